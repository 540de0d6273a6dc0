"""Hooks of mkdocs: public names in the reference, and the plots of the benchmarks, of which one copy is kept.

`::: kp.trace` in a page becomes the object's own address with the public name as its heading; a public package stands
for all its public members. Plots are linked by their path in the repository, so that they are shown there as well.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
PUBLIC = re.compile(r"^::: kp\.([\w.]+)$", re.MULTILINE)
PLOT = re.compile(r"\]\((?:\.\./)+benchmarks/results/([\w.-]+\.svg)\)")


def found(name: str) -> object:
    """Returns what a public name stands for, e.g. `"callbacks.GReg1"`."""
    thing = importlib.import_module("kerasprune")
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def members(name: str) -> list[str]:
    """Returns the public names to be documented for a public name: those in a package, or the name itself."""
    thing = found(name)
    if not (isinstance(thing, ModuleType) and hasattr(thing, "__path__")):
        return [name]
    inside = {each: getattr(thing, each) for each in thing.__all__}
    return [f"{name}.{each}" for each, part in inside.items() if inspect.isclass(part) or inspect.isfunction(part)]


def address(name: str) -> str:
    """Returns where the object of a public name is defined."""
    thing = found(name)
    return thing.__name__ if isinstance(thing, ModuleType) else f"{thing.__module__}.{thing.__qualname__}"


def reference(name: str) -> str:
    """Returns the directives of mkdocstrings for a public name."""
    entry = "::: {}\n    options:\n      heading: kp.{}\n      toc_label: kp.{}\n"
    return "\n".join(entry.format(address(each), each, each) for each in members(name))


def on_files(files, config):
    """Adds the plots of the benchmarks to the site."""
    from mkdocs.structure.files import File

    for path in sorted(RESULTS.glob("*.svg")):
        files.append(File.generated(config, f"images/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Resolves public names, and the paths of plots."""
    up = "../" * page.file.src_uri.count("/")
    markdown = PUBLIC.sub(lambda match: reference(match[1]), markdown)
    return PLOT.sub(lambda match: f"]({up}images/{match[1]})", markdown)
