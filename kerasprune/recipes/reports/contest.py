"""Methods compared at several budgets: mean and deviation over the seeds, as a table and as a plot."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from kerasprune.steps.numbers import moments
from kerasprune.tables import Table, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DENSE = "dense"
SHARES = ("macs", "params", "compression", "speedup")
SCORES = ("removed", "validation", "test")
AXES = (("macs", "multiply–adds kept"), ("compression", "compression ratio"), ("speedup", "theoretical speed-up"))


def summarise_runs(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns one row for each method and budget, the best of a budget first.

    `mean = Σ x / n`, `deviation = √(Σ (x − mean)² / (n − 1))` over the seeds.

    Args:
        runs: Rows with `method`, `target`, `seed`, `measure`, the shares and the scores.

    Returns:
        Rows with `method`, `target`, `runs`, `measure`, the means of the shares, and of each score the mean and, under
        `<score>_deviation`, the deviation (`None` for a single run).

    Example:
        >>> def run(method, seed, test):
        ...     shares = {"macs": 0.5, "params": 0.5, "compression": 2.0, "speedup": 2.0}
        ...     scores = {"measure": "accuracy", "removed": 0.1, "validation": test, "test": test}
        ...     return {"method": method, "target": 0.5, "seed": seed, **shares, **scores}
        >>> rows = summarise_runs([run("random", 0, 0.5), run("l1", 0, 0.75), run("l1", 1, 0.25 + 0.5)])
        >>> [(row["method"], row["runs"], row["validation"], row["validation_deviation"]) for row in rows]
        [('l1', 2, 0.75, 0.0), ('random', 1, 0.5, None)]
    """
    groups: dict[tuple[float, str], list[Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["target"], run["method"]), []).append(run)
    rows = []
    for (target, method), members in groups.items():
        row = {"method": method, "target": target, "runs": len(members), "measure": members[0]["measure"]}
        row |= {name: statistics.fmean(one[name] for one in members) for name in SHARES}
        for name in SCORES:
            row |= moments(name, [one[name] for one in members])
        rows.append(row)
    sign = -1 if rows and rows[0]["measure"] == "accuracy" else 1  # a small loss is good
    return sorted(rows, key=lambda row: (-row["target"], sign * row["validation"]))


def contest_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Returns the rows of `summarise_runs` as text."""
    measure = rows[0]["measure"] if rows else "accuracy"
    header = ("method", "asked", "multiply–adds", "parameters", "theoretical speed-up", "runs")
    scores = (f"{measure} after removal, validation", f"{measure}, validation", f"{measure}, test")
    body = [
        (
            row["method"],
            "–" if row["method"] == DENSE else f"{row['target']:g}",
            f"{row['macs']:.1%}",
            f"{row['params']:.1%}",
            f"{row['speedup']:.2f}×",
            str(row["runs"]),
            *(_cell(row, name) for name in SCORES),
        )
        for row in rows
    ]
    return Table((*header, *scores), body)


def _cell(row: Mapping[str, Any], name: str) -> str:
    mean, deviation = row[name], row[f"{name}_deviation"]
    if row["measure"] != "accuracy":
        return f"{mean:.4g}" + ("" if deviation is None else f" ± {deviation:.2g}")
    return f"{mean:.2%}" if deviation is None else f"{100 * mean:.2f} ± {100 * deviation:.2f} %"


def draw(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns a plot as SVG text: the test score against multiply–adds, compression ratio and speed-up, ± deviation."""
    measure = rows[0]["measure"] if rows else "accuracy"
    dense = next((row for row in rows if row["method"] == DENSE), None)

    def paint(figure: Figure) -> None:
        for axes, (share, title) in zip(figure.subplots(1, len(AXES), sharey=True), AXES, strict=True):
            for method in dict.fromkeys(row["method"] for row in rows if row["method"] != DENSE):
                found = [
                    (row[share], row["test"], row["test_deviation"] or 0) for row in rows if row["method"] == method
                ]
                points = zip(*sorted(found, key=itemgetter(0)), strict=True)
                axes.errorbar(*points, label=method, marker="o", markersize=3, capsize=2, linewidth=1)
            if dense is not None:
                axes.axhline(dense["test"], color="black", linewidth=0.7, linestyle=":", label=DENSE)
            axes.set_xlabel(title)
        figure.axes[0].set_ylabel(f"{measure}, test")
        figure.axes[-1].legend(frameon=False, fontsize=7)

    return svg(paint, height=3.2)
