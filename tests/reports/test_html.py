"""The page: self-contained, escaped, and redrawn from the files of a run folder alone."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml

from kerasprune import reports
from kerasprune.errors import PruneError


@pytest.fixture
def folder(tmp_path):
    summary = {
        "dense": {"accuracy": 0.97, "params": 1000, "macs": 5000, "tflite_bytes": 4000, "latency_ms": 1.0},
        "slim": {"accuracy": 0.96, "params": 400, "macs": 2000, "tflite_bytes": 1500, "latency_ms": 0.5},
        "exports": [{"format": "tflite", "bytes": 1500, "max_error": 1e-6, "agreement": 1.0, "latency_ms": 0.5}],
        "seconds": 12.5,
    }
    recipe = {
        "name": "tiny",
        "why": "Are <b>tags</b> & quotes safe?",
        "smoke": True,
        "expected": {"macs": 0.4},
    }
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (tmp_path / "metrics.csv").write_text("stage,epoch,loss,val_loss\ntrain,1,2.5,\nfinetune,1,0.5,0.75\n")
    (tmp_path / "widths.json").write_text(json.dumps({"conv<1>": [16, 8]}))
    np.savez(tmp_path / "norms.npz", steps=np.array([0, 5]), **{"conv/1": np.ones((2, 4))})
    return tmp_path


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.links, self.images = [], [], 0

    def handle_starttag(self, tag, attributes):
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)
        self.images += tag == "img"
        self.links += [value for key, value in attributes if key in {"src", "href"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_one_file_without_outside_resources(folder):
    text = reports.write(folder).read_text()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.images == 5
    assert all(link.startswith("data:") for link in tags.links)
    assert not re.search(r"https?://|@import|url\(", text)


def test_page_shows_the_reductions_and_the_smoke_label(folder):
    text = reports.page(reports.read(folder))
    assert "Prr 60.0 %" in text
    assert "Frr 60.0 %, 2.50×" in text
    assert "Smoke run" in text
    assert "Are &lt;b&gt;tags&lt;/b&gt; &amp; quotes safe?" in text
    assert "<b>tags" not in text


def test_redrawing_gives_the_same_bytes_and_leaves_the_other_files(folder):
    before = reports.write(folder).read_bytes()
    names = sorted(path.name for path in folder.iterdir())
    assert reports.write(folder).read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == names


def test_files_that_a_run_has_not_are_left_out(folder):
    for name in ("metrics.csv", "widths.json", "norms.npz", "recipe.yaml"):
        (folder / name).unlink()
    record = reports.read(folder)
    assert record.norms is None
    assert "Prr" in reports.page(record)


def test_rows_keep_empty_cells_apart_from_zero(folder):
    rows = reports.read(folder).metrics
    assert rows[0] == {"stage": "train", "epoch": 1.0, "loss": 2.5, "val_loss": None}
    assert rows[1]["val_loss"] == 0.75


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("summary.json", "{"),
        ("summary.json", "[]"),
        ("recipe.yaml", "a: [1"),
        ("norms.npz", "no archive"),
        ("widths.json", '{"a": 3}'),
    ],
)
def test_damaged_file_is_named(folder, name, content):
    (folder / name).write_text(content)
    with pytest.raises(PruneError, match=re.escape(name)):
        reports.read(folder)


def test_pickles_are_refused(folder):
    np.savez(folder / "norms.npz", steps=np.array([0]), conv=np.array([{"a": 1}], dtype=object))
    with pytest.raises(PruneError, match="norms.npz"):
        reports.read(folder)


def test_folder_without_summary_says_how_to_go_on(tmp_path):
    with pytest.raises(PruneError, match="--resume"):
        reports.read(tmp_path)
    with pytest.raises(PruneError, match="no folder"):
        reports.read(tmp_path / "missing")
