"""Stubs of the lazy packages: the one declaration of public names, read by `lazy`, editors and type checkers."""

from __future__ import annotations

from kerasprune.registry import lazy
from support.rooms import ROOT


def lazy_packages() -> list[str]:
    """Returns the packages whose names are imported when they are used."""
    files = [ROOT / "kerasprune" / "__init__.py", *sorted((ROOT / "kerasprune").glob("**/__init__.py"))]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    return [
        ".".join(path.parent.relative_to(ROOT).parts) for path, text in texts.items() if lazy.__name__ + "(" in text
    ]


def stub_of(package: str) -> str:
    """Returns the text of the stub of a package."""
    return (ROOT.joinpath(*package.split(".")) / "__init__.pyi").read_text(encoding="utf-8")
