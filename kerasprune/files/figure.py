"""Figures as files."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from kerasprune.files.writing import write_picture


def draw_figure(path: str | Path, size: tuple[float, float], draw: Callable[[Any], None]) -> Path:
    """Draws on an empty figure of a size in inches, writes it to a file (`.svg`, `.png`, `.pdf`), returns its path."""
    from matplotlib.figure import Figure

    def drawn(form: str) -> bytes:
        figure, content = Figure(figsize=size, layout="constrained"), BytesIO()
        draw(figure)
        figure.savefig(content, format=form)
        return content.getvalue()

    return write_picture(path, drawn)
