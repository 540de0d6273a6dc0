"""Figure of a search for widths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kerasprune.recipes.reports.record import Record
from kerasprune.tables import DENSE, SLIM, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ORIGINS = {"given": "x", "random": "o", "mutation": "^", "crossover": "s"}


def searched(record: Record) -> str | None:
    """Draws the score of every candidate of a search in the order in which it was judged, and the best so far."""
    rows = [row for row in record.section.get("candidates", ()) if isinstance(row.get("score"), float)]
    if not rows:
        return None
    scores, origins = np.array([row["score"] for row in rows]), [str(row.get("origin")) for row in rows]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for origin, marker in _ORIGINS.items():
            places = [place for place, each in enumerate(origins) if each == origin]
            if places:
                axes.scatter(places, scores[places], s=14, color=DENSE, marker=marker, label=origin)
        axes.plot(np.maximum.accumulate(scores), color=SLIM, drawstyle="steps-post", label="best so far")
        axes.set(xlabel="candidate", ylabel="score")
        axes.legend(fontsize=7, frameon=False)

    return svg(draw, height=3.0)


FIGURES = (("Searched widths", searched, "The score of every candidate in order of judgement, and the best so far."),)
