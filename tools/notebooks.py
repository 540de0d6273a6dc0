"""Makes the notebooks of the guides from their pages, and runs them.

python tools/notebooks.py [PAGE …]     # by default all of docs/guides

Texts become cells of text, Python blocks cells of code; the block that installs is not run here.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

GUIDES = Path(__file__).parent.parent / "docs" / "guides"
SITE = "https://github.com/kerasprune/kerasprune/blob/main/docs"
BLOCK = re.compile(r"^<!-- (install|runs) -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([\w./#-]+)\)")
SECONDS = 900  # of a cell


def cells(page: str) -> list[tuple[str, str]]:
    """Returns the kind and the text of each cell of a page: `"text"`, `"install"` or `"runs"`."""
    found, end = [], 0
    for block in BLOCK.finditer(page):
        found += [("text", page[end : block.start()]), (block[1], block[2])]
        end = block.end()
    found.append(("text", page[end:]))
    found = [(kind, LINK.sub(_on_the_web, text) if kind == "text" else text) for kind, text in found]
    return [(kind, text.strip()) for kind, text in found if text.strip()]


def _on_the_web(link: re.Match[str]) -> str:
    """Returns a link of a notebook, which is opened anywhere."""
    target = link[1].removeprefix("../") if link[1].startswith("../") else f"guides/{link[1]}"
    return f"]({SITE}/{target})"


def made(page: str) -> Any:
    """Returns the notebook of a page, not run."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    notebook = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for number, (kind, text) in enumerate(cells(page)):
        cell = new_markdown_cell(text) if kind == "text" else new_code_cell(text)
        cell["id"] = f"cell-{number}"
        notebook.cells.append(cell)
    return notebook


def run(page: str) -> Any:
    """Returns the notebook of a page with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell has failed.
    """
    from nbclient import NotebookClient

    notebook = made(page)
    install = [cell for cell in notebook.cells if cell.source.startswith("%pip")]
    sources = [cell.source for cell in install]
    for cell in install:
        cell.source = "pass"
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": folder}}).execute()
    for cell, source in zip(install, sources, strict=True):
        cell.source, cell.outputs = source, []
    for cell in notebook.cells:
        cell.metadata.clear()  # when it was run
        if cell.cell_type == "code":
            cell.outputs = [*_as_seen(cell.outputs)]
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    return notebook


def _as_seen(outputs: Sequence[Any]) -> Iterator[Any]:
    """Yields outputs without warnings, and of lines that were written over what is left of them."""
    streams = [each for each in outputs if each.get("name") == "stdout"]
    text = "".join(each.text for each in streams)
    lines = [_left(line) for line in text.split("\n")]
    if any(lines):
        streams[0].text = "\n".join(lines)
        yield streams[0]
    yield from (each for each in outputs if each.output_type != "stream")


def _left(line: str) -> str:
    """Returns what can be read of a line after all its carriage returns."""
    shown = ""
    for part in line.split("\r"):
        shown = part + shown[len(part) :]
    return shown.rstrip()


def write(page: Path) -> Path:
    """Runs the guide of a page, and writes its notebook beside it."""
    import nbformat

    path = page.with_suffix(".ipynb")
    nbformat.write(run(page.read_text(encoding="utf-8")), path)
    return path


if __name__ == "__main__":
    for each in map(Path, sys.argv[1:] or sorted(map(str, GUIDES.glob("*.md")))):
        print(write(each))
