"""Several runs on one self-contained page: accuracy over cost, and those that no other run beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasprune.files import write_text
from kerasprune.recipes.reports.comparison import comparison_table, rows_by_experiment
from kerasprune.recipes.reports.html import render_page
from kerasprune.recipes.reports.record import Record, read
from kerasprune.tables import DENSE, SLIM, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COSTS = {"macs": "multiply–adds kept", "latency_ms": "latency, ms"}


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Returns the places of the points `(cost, worth)` that no other one beats, the cheapest first.

    A point is beaten by one that costs as much or less and is worth as much or more, and differs.

    Example:
        >>> pareto([(0.5, 0.9), (0.3, 0.8), (0.4, 0.7), (0.5, 0.8)])
        [1, 0]
    """
    front: list[int] = []
    for place in sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1])):
        best = points[front[-1]] if front else None
        if best is None or points[place][1] > best[1] or points[place] == best:
            front.append(place)
    return front


def write_page(folders: Sequence[Path | str], path: Path | str) -> Path:
    """Writes the page of run folders and returns its path; arguments as for `write_comparison`."""
    return write_text(path, comparison_page([read(folder) for folder in folders]))


def comparison_page(records: Sequence[Record]) -> str:
    """Returns the comparison of runs as HTML text that needs no network.

    Args:
        records: The runs.
    """
    rows = rows_by_experiment(records)
    figures = []
    for cost, label in COSTS.items():
        shown = [row for row in rows if row.get(cost) is not None and row.get("accuracy") is not None]
        if shown:
            caption = f"Test accuracy over {label}, ± standard deviation. The line joins runs that no other beats."
            figures.append((f"Accuracy over {label}", _drawn(shown, cost, label), caption))
    return render_page(
        "Runs compared", "Runs that differ in the seed only are one row.", [comparison_table(records)], figures
    )


def _drawn(rows: Sequence[Mapping[str, Any]], cost: str, label: str) -> str:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        points = [(row[cost], 100 * row["accuracy"]) for row in rows]
        spread = [100 * (row["accuracy_deviation"] or 0) for row in rows]
        axes.errorbar(*zip(*points, strict=True), yerr=spread, fmt="o", color=DENSE, markersize=4, capsize=2)
        axes.plot(*zip(*(points[place] for place in pareto(points)), strict=True), "o-", color=SLIM, markersize=4)
        for row, point in zip(rows, points, strict=True):
            axes.annotate(_name(row, rows), point, textcoords="offset points", xytext=(5, -9), fontsize=7)
        axes.margins(0.06, 0.12)
        axes.set_xlabel(label)
        axes.set_ylabel("test accuracy, %")

    return svg(draw, height=3.4)


def _name(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the settings of a row, which stand before the number of runs, that are not those of all rows."""
    settings = [*row][: [*row].index("runs")]
    return ", ".join(str(row[name]) for name in settings if len({str(each[name]) for each in rows}) > 1)
