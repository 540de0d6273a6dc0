"""The guides' notebooks are made from their pages, run from the first cell to the last, and are short."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import notebooks  # noqa: E402

GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
PAGES = pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)


def stored(page: Path) -> dict:
    return json.loads(page.with_suffix(".ipynb").read_text(encoding="utf-8"))


def source(cell: dict) -> str:
    return "".join(cell["source"])


@PAGES
def test_a_notebook_is_its_page_and_begins_with_what_installs_it(page):
    wanted = notebooks.cells(page.read_text(encoding="utf-8"))
    found = stored(page)["cells"]
    assert [source(cell) for cell in found] == [text for _, text in wanted], "run python tools/notebooks.py"
    assert len(found) <= 15 and source(found[1]).startswith("%pip install")
    assert all(f"]({notebooks.SITE}/" in source(cell) or "](" not in source(cell) for cell in found)


@PAGES
def test_the_stored_outputs_are_without_errors_and_without_paths_of_a_machine(page):
    shown = [output for cell in stored(page)["cells"] for output in cell.get("outputs", ())]
    assert len(shown) > 3 and not [
        each for each in shown if each["output_type"] == "error" or each.get("name") == "stderr"
    ]
    assert str(Path.home()) not in json.dumps(shown) and "/tmp/" not in json.dumps(shown)
    assert any("text/html" in each.get("data", ()) for each in shown)


@pytest.mark.thorough
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
@PAGES
def test_a_notebook_runs(page, backend, monkeypatch):
    pytest.importorskip(backend)
    if "import keras_hub" in page.read_text(encoding="utf-8"):
        pytest.importorskip("keras_hub")
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    run = notebooks.run(page.read_text(encoding="utf-8"))
    assert not [output for cell in run.cells for output in cell.get("outputs", ()) if output["output_type"] == "error"]
