"""Figures of the candidates that a run has judged before it chose one: recipes of a pruning space, searched widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasprune.reports.figures import DENSE, SLIM, svg
from kerasprune.reports.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MEASURES = {"std": "standard deviation of the recipe", "mcb": "mean computation budget: MACs kept ÷ parameters kept"}
_FACTS = ("recipe", "macs", "params", *_MEASURES)
_ORIGINS = {"given": "x", "random": "o", "mutation": "^", "crossover": "s"}


def space(record: Record) -> str | None:
    """Draws what each recipe of a pruning space was judged with, over its spread and its mean computation budget.

    One row of panels for each time that recipes were judged; the best of each is filled.
    """
    rounds = judged(record)
    if not rounds:
        return None

    def draw(figure: Figure) -> None:
        panels = figure.subplots(len(rounds), len(_MEASURES), squeeze=False)
        for row, (name, rows) in zip(panels, rounds.items(), strict=True):
            best = max(rows, key=lambda each: each[name])
            for axes, (measure, label) in zip(row, _MEASURES.items(), strict=True):
                axes.scatter([each[measure] for each in rows], [each[name] for each in rows], s=14, color=DENSE)
                axes.scatter([best[measure]], [best[name]], s=28, color=SLIM)
                axes.set(xlabel=label, ylabel=name)

    return svg(draw, height=2.6 * len(rounds))


def judged(record: Record) -> dict[str, list[Mapping[str, Any]]]:
    """Returns the recipes of a space by what they were judged as, in this order, and nothing for other runs."""
    rows = record.space
    names = [name for name in (rows[0] if rows else ()) if name not in _FACTS and name not in record.widths]
    found = {name: [row for row in rows if isinstance(row[name], float)] for name in names}
    return {name: each for name, each in found.items() if each}


def searched(record: Record) -> str | None:
    """Draws the score of every candidate of a search in the order in which it was judged, and the best so far."""
    scores = np.array([row["score"] for row in record.candidates if isinstance(row.get("score"), float)])
    if not scores.size:
        return None
    origins = [str(row.get("origin")) for row in record.candidates if isinstance(row.get("score"), float)]

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


SPACE = (
    (
        "Recipes of the pruning space",
        space,
        "What each recipe was judged with, a row of panels for each round; the best of each is blue.",
    ),
)
SEARCHED = (
    (
        "Searched widths",
        searched,
        "The score of every candidate in the order in which it was judged, and the best so far.",
    ),
)
