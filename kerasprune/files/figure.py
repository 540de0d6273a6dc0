"""Figures as files, and results that are drawn on one."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from kerasprune.errors import PruneError
from kerasprune.files.reading import path_of
from kerasprune.files.writing import replace_when_done
from kerasprune.tables import Graphic, Shown, svg

FORMATS = (".svg", ".png", ".pdf")


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


def draw_figure(path: str | Path, size: tuple[float, float], draw: Callable[[Any], None]) -> Path:
    """Draws on an empty figure of a size in inches, writes it to a file (`.svg`, `.png`, `.pdf`), returns its path."""
    from matplotlib.figure import Figure

    path, figure = path_of(path), Figure(figsize=size, layout="constrained")
    check_picture(path)
    draw(figure)
    with replace_when_done(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".") or "png")
    return path


def check_picture(path: Path) -> None:
    """Raises if a path has the suffix of another kind of file."""
    if path.suffix and path.suffix not in FORMATS:
        raise PruneError(f"Expected the name of a picture, {', '.join(FORMATS)}. Received: {str(path)!r}.")
