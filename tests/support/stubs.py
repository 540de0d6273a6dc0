"""Stubs of the lazy packages, made from their tables: for editors, type checkers and the reference pages."""

from __future__ import annotations

import importlib
from pathlib import Path

from kerasprune.registry import lazy
from support.rooms import ROOT


def lazy_packages() -> list[str]:
    """Returns the packages whose names are imported when they are used."""
    files = [ROOT / "kerasprune" / "__init__.py", *sorted((ROOT / "kerasprune").glob("*/__init__.py"))]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    return [
        ".".join(path.parent.relative_to(ROOT).parts) for path, text in texts.items() if lazy.__name__ + "(" in text
    ]


def stub_path(package: str) -> Path:
    """Returns where the stub of a package lies."""
    return ROOT.joinpath(*package.split(".")) / "__init__.pyi"


def stub(package: str) -> str:
    """Returns the stub of a package: every public name, imported from where it is."""
    module = importlib.import_module(package)
    public = vars(module).get("_find", module.__getattr__).public
    imports, values = set(), []
    for name, address in sorted(public.items()):
        source, _, path = address.partition(":")
        if "." in path:
            table = path.split(".")[0]
            imports.add(f"from {source} import {table} as _{table}")
            values.append(f"{name} = _{path}")
        elif path:
            imports.add(f"from {source} import {path} as {name}")
        else:
            parent, _, last = source.rpartition(".")
            imports.add(f"from {parent} import {last} as {name}")
    if package == "kerasprune":
        values.append("__version__: str")
    return (
        "\n".join(["# Written by tests/test_names.py from the table in __init__.py.", *sorted(imports), *values]) + "\n"
    )


def write() -> None:
    """Writes the stubs of all lazy packages."""
    for package in lazy_packages():
        stub_path(package).write_text(stub(package), encoding="utf-8")
