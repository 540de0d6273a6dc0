"""Figures as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasprune.errors import PruneError
from kerasprune.files.reading import path_of
from kerasprune.files.writing import replace_when_done

FORMATS = (".svg", ".png", ".pdf")


def draw_figure(path: str | Path, size: tuple[float, float], draw: Callable[[Any], None]) -> Path:
    """Draws on an empty figure of a size in inches, writes it to a file (`.svg`, `.png`, `.pdf`), returns its path."""
    from matplotlib.figure import Figure

    path, figure = path_of(path), Figure(figsize=size, layout="constrained")
    check_picture(path)
    draw(figure)
    with replace_when_done(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".").lower())
    return path


def check_picture(path: Path) -> None:
    """Raises if a path does not end as a picture does."""
    if path.suffix.lower() not in FORMATS:
        raise PruneError(f"Expected the name of a picture, {', '.join(FORMATS)}. Received: {str(path)!r}.")
