"""Figures as files, and results that can be drawn."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

from kerasprune.files.writing import write_picture
from kerasprune.tables import Graphic, Shown, svg


def draw_figure(path: str | Path, size: tuple[float, float], draw: Callable[[Any], None]) -> Path:
    """Draws on an empty figure of a size in inches, writes it to a file (`.svg`, `.png`, `.pdf`), returns its path."""
    from matplotlib.figure import Figure

    def drawn(form: str) -> bytes:
        figure, content = Figure(figsize=size, layout="constrained"), BytesIO()
        draw(figure)
        figure.savefig(content, format=form)
        return content.getvalue()

    return write_picture(path, drawn)


class Drawn(Shown):
    """A result that can be drawn as well, where matplotlib is installed."""

    height: ClassVar[float]
    """Of the picture, in inches."""

    def draw(self, figure: Any) -> None:
        """Draws it on an empty figure of matplotlib."""
        raise NotImplementedError

    def save(self, path: str | Path) -> Path:
        """Writes it as a picture, `.svg`, `.png` or `.pdf`, and returns its path."""
        return draw_figure(path, (6.4, self.height), self.draw)

    def _pictures(self, caption: str) -> list[Graphic]:
        """Returns it as a picture; none without matplotlib."""
        return [] if find_spec("matplotlib") is None else [Graphic(svg(self.draw, height=self.height), caption)]
