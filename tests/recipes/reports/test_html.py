"""The page: self-contained, escaped, and redrawn from the files of a run folder alone."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib.util import find_spec
from itertools import pairwise

import keras
import numpy as np
import pytest
import yaml

import kerasprune as kp
from kerasprune.errors import PruneError
from kerasprune.recipes import reports


def network(name: str) -> kp.surgery.Picture:
    """The picture of a network whose first layer has a name."""
    dense = keras.layers.Dense
    return kp.plot(keras.Sequential([keras.Input((4,)), dense(4, name=name.replace("/", "|")), dense(2)]))


@pytest.fixture
def folder(tmp_path):
    summary = {
        "dense": {"accuracy": 0.97, "params": 1000, "macs": 5000, "tflite_bytes": 4000, "latency_ms": 1.0},
        "slim": {"accuracy": 0.96, "params": 400, "macs": 2000, "tflite_bytes": 1500, "latency_ms": 0.5},
        "layers": [{"name": "conv<1>", "class": "Conv2D", "params": [900, 300], "macs": [5000, 2000]}],
        "exports": [{"format": "tflite", "bytes": 1500, "max_error": 1e-6, "agreement": 1.0, "latency_ms": 0.5}],
        "seconds": 12.5,
    }
    recipe = {
        "name": "tiny",
        "why": "Are <b>tags</b> & quotes safe?",
        "smoke": True,
        "expected": {"macs": 0.4},
    }
    graph = {"groups": [["g", "4", "2", "a"]], "dot": network("a").dot}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (tmp_path / "metrics.csv").write_text("stage,epoch,loss,val_loss\ntrain,1,2.5,\nfinetune,1,0.5,0.75\n")
    (tmp_path / "widths.json").write_text(json.dumps({"conv<1>": [16, 8]}))
    np.savez(tmp_path / "norms.npz", steps=np.array([0, 5]), **{"conv/1": np.ones((2, 4))})
    return tmp_path


class Tags(HTMLParser):
    """The elements of a page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.ids, self.paths = [], [], [], {"svg": [], "table": [], "pre": []}
        self.attributes = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in {"meta", "img", "br"}:
            self.open.append((tag, dict(attributes).get("class")))
        if tag in self.paths:
            self.paths[tag].append(list(self.open))
        self.attributes += attributes
        self.links += [value for key, value in attributes if key in {"src", "href", "xlink:href"}]
        self.ids += [value for key, value in attributes if key == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag


def test_page_is_one_file_without_outside_resources(folder):
    text = reports.write(folder).read_text()
    tags = Tags(text)
    assert tags.open == []
    assert len(tags.paths["svg"]) == 6
    assert not re.search(r"https?://|@import|xmlns|<script", text)
    assert {link[:5] for link in tags.links} == {"#figu"}
    assert all(link[1:] in tags.ids for link in tags.links)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(tags.ids)
    assert len(set(tags.ids)) == len(tags.ids)  # of all figures together


def test_page_fits_a_phone(folder):
    text = reports.write(folder).read_text()
    tags = Tags(text)
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    for tag in ("svg", "table"):  # what is wider than the screen scrolls by itself
        assert all(("div", "scroll") in path for path in tags.paths[tag]), tag
    for selector in (".scroll", "pre"):
        assert re.search(rf"^{re.escape(selector)} {{[^}}]*overflow-x: auto", text, re.MULTILINE)
    assert re.search(r"td:first-child {[^}]*position: sticky; left: 0", text)  # rows keep their name while they scroll
    assert not re.search(r"[^-]width: *\d+(px|rem|em)", text)
    assert not [value for key, value in tags.attributes if key in {"width", "height"} and value.endswith(("px", "pt"))]


def test_page_is_legible_on_dark(folder):
    text = reports.write(folder).read_text()
    style = text[text.index("<style>") : text.index("</style>")]
    light, dark = (set(re.findall(r"(--[\w-]+):", part)) for part in style.split("@media (prefers-color-scheme: dark)"))
    assert light == dark
    assert set(re.findall(r"var\((--[\w-]+)", text)) <= light
    body = text[text.index("</style>") :]
    colours = {colour.lower() for colour in re.findall(r"(?:fill|stroke)[:=] ?\"?(#[0-9a-fA-F]{6})", body)}
    assert not colours & {"#000000", "#ffffff", "#1f5fa8", "#b8c4d6"}, colours
    assert "currentColor" in body and "var(--slim)" in body and "var(--dense)" in body


def test_page_shows_the_reductions_and_the_smoke_label(folder):
    text = reports.page(reports.read(folder))
    assert "60.0 % fewer" in text
    assert "60.0 % fewer, 2.50×" in text
    assert "Smoke run" in text
    assert "Are &lt;b&gt;tags&lt;/b&gt; &amp; quotes safe?" in text
    assert "<b>tags" not in text
    assert "<td>not judged</td>" in text  # what a smoke run has means nothing
    assert (
        '<td>conv&lt;1&gt;</td><td class="word">Conv2D</td><td>900</td><td>300</td><td>5,000</td><td>2,000</td>' in text
    )


SCRIPT = "<script>alert(1)</script>"


def test_the_network_is_drawn_and_its_groups_are_listed(folder):
    text = reports.page(reports.read(folder))
    assert "<td>g</td><td>4</td><td>2</td>" in text
    assert (find_spec("pygraphviz") is None) == ("Dependency graph" not in text)
    earlier = {"groups": [{"name": "g", "size": 4, "prunable": True, "reason": "", "layers": ["a"]}], "edges": []}
    (folder / "graph.json").write_text(json.dumps(earlier))  # of 0.4.0
    assert "Groups" not in reports.page(reports.read(folder))


def test_names_of_layers_runs_and_files_are_no_markup(folder):
    """Whatever its files say, the page holds no element that they name: neither in tables nor in figures."""
    written = (folder / "summary.json").read_text().replace("conv<1>", SCRIPT).replace('"tflite"', f'"{SCRIPT}"')
    (folder / "summary.json").write_text(written)
    (folder / "widths.json").write_text(json.dumps({SCRIPT: [16, 8]}))
    drawn = network(SCRIPT)
    (folder / "graph.json").write_text(json.dumps({"groups": drawn.table.rows, "dot": drawn.dot}))
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"name": SCRIPT, "why": SCRIPT, "model": f"{SCRIPT}.keras"}))
    np.savez(folder / "norms.npz", steps=np.array([0, 5]), **{SCRIPT.replace("/", "|"): np.ones((2, 4))})
    text = reports.write(folder).read_text()
    assert text.count("&lt;script&gt;alert(1)") > 5
    assert "<script" not in text and Tags(text).open == []


def test_figures_that_were_promised_are_met_or_missed(folder):
    (folder / "recipe.yaml").write_text("name: tiny\nexpected: {macs: 0.4, accuracy: 0.97}\n")
    text = reports.page(reports.read(folder))
    assert '<td class="met">met</td>' in text and '<td class="missed">missed</td>' in text


def test_redrawing_gives_the_same_bytes_and_leaves_the_other_files(folder):
    before = reports.write(folder).read_bytes()
    names = sorted(path.name for path in folder.iterdir())
    assert reports.write(folder).read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == names


def test_files_that_a_run_has_not_are_left_out(folder):
    for name in ("metrics.csv", "widths.json", "norms.npz", "recipe.yaml", "graph.json"):
        (folder / name).unlink()
    record = reports.read(folder)
    assert record.norms is None
    assert "60.0 % fewer" in reports.page(record)


def test_rows_keep_empty_cells_apart_from_zero(folder):
    rows = reports.read(folder).metrics
    assert rows[0] == {"stage": "train", "epoch": 1.0, "loss": 2.5, "val_loss": None}
    assert rows[1]["val_loss"] == 0.75


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("summary.json", "{"),
        ("summary.json", "[]"),
        ("summary.json", "[" * 100_000),
        ("recipe.yaml", "a: [1"),
        (
            "recipe.yaml",
            "a: &a [1, 2]\n" + "".join(f"{n}: &{n} [{', '.join(['*' + m] * 9)}]\n" for m, n in pairwise("abcdef")),
        ),
        ("recipe.yaml", "[" * 50_000),
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
    with pytest.raises(PruneError, match="not a folder"):
        reports.read(tmp_path / "missing")
