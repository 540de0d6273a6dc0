"""Figures as SVG text: each a pure function of a record, or `None` if the record has nothing to draw.

The same record gives the same bytes: ids are salted and no date is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kerasprune.checks import is_number
from kerasprune.recipes.reports.record import Norms, Record
from kerasprune.recipes.reports.tables import files
from kerasprune.surgery.picture import draw_network
from kerasprune.tables import DENSE, SLIM, WIDTH, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHOSEN = "#c0392b"
SCALE_BINS = 50
LETTER = 0.062  # width of a letter of 7 points, in inches
MEASURES = ("loss", "accuracy")
AT_ONCE = ("rebuild", "reconstruct")  # stages that train nothing
MOMENTS = 4  # of the training, side by side
_STEEP = 10.0
CURVES = 8  # groups drawn one by one; all others only enter the mean


def widths(record: Record) -> str | None:
    """Draws how many channels of each group are kept, and how many there were."""
    if not record.widths:
        return None
    names = list(record.widths)
    dense, kept = np.array([record.widths[name] for name in names]).T

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        rows = np.arange(len(names))[::-1]
        axes.barh(rows, dense, color=DENSE, label="dense")
        axes.barh(rows, kept, color=SLIM, height=0.5, label="slim")
        axes.set_yticks(rows, names, fontsize=7)
        axes.set_ylim(-0.7, len(names) - 0.3)
        axes.set_xlabel("channels")
        axes.legend(fontsize=7, frameon=False)

    return svg(draw, height=0.9 + 0.19 * len(names))


def network(record: Record) -> str | None:
    """Draws the network as `kp.plot` does; `None` without pygraphviz."""
    return draw_network(record.graph["dot"]) or None if record.graph.get("dot") else None


def drops(record: Record) -> str | None:
    """Draws the drop over the cost at the models that a search tried."""
    if not record.search:
        return None
    from kerasprune.steps.search_report import CostCurve  # of few runs

    return svg(CostCurve.of(record.search["curve"]).draw, height=3.2)


def curves(record: Record) -> str | None:
    """Draws loss and accuracy of training and validation over the epochs of all stages, one after another.

    Points are connected within a stage. The loss that a teacher is part of has axes of its own. Nothing is drawn if
    nothing was trained.
    """
    rows = [row for row in record.metrics if row.get("stage")]
    distilled = (record.recipe.get("finetune") or {}).get("distil") is not None
    panels = {panel: lines for panel, lines in _lines(rows, distilled).items() if lines}
    if not panels or all(row["stage"] in AT_ONCE for row in rows):
        return None
    stages = [str(row["stage"]).partition(",")[0] for row in rows]  # the recipes of a round are one
    marks = _marks(stages, WIDTH / len(panels) - 0.8)

    def draw(figure: Figure) -> None:
        for axes, (panel, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
            for label, colour, points in lines:
                axes.plot(*zip(*points, strict=True), color=colour, label=label, marker=".", markersize=3)
            if is_steep([value for *_, points in lines for _, value in points]):
                axes.set_yscale("log")
            _mark_stages(axes, marks)
            axes.set_xlim(-0.5, max(len(rows), 2) - 0.5)
            axes.set_ylabel(panel)
            axes.set_xlabel("epoch, all stages one after another")
            axes.legend(fontsize=7, frameon=False)

    return svg(draw, height=3 + 0.12 * (1 + max(mark.level for mark in marks)))


def is_steep(values: Sequence[float]) -> bool:
    """Returns whether the largest of some losses hides how the others differ: it is ten times their median.

    Example:
        >>> is_steep([50.0, 1.0, 0.9, 0.8]), is_steep([2.0, 1.0, 0.9, 0.8]), is_steep([9.0, 0.0, -1.0])
        (True, False, False)
    """
    return min(values) > 0 and max(values) > _STEEP * float(np.median(values))


Drawn = tuple[str, str, list[tuple[int, float]]]
"""Label, colour and points; a label that begins with an underscore is not in the legend."""


def _lines(rows: Sequence[Mapping[str, Any]], distilled: bool) -> dict[str, list[Drawn]]:
    """Returns the lines of each panel: one for each stage and side."""
    panels: dict[str, list[Drawn]] = {"loss": [], "loss, with the teacher": [], "accuracy": []}
    for measure in MEASURES:
        for side, name, colour in (("", "training", DENSE), ("val_", "validation", SLIM)):
            for stage, indices in groupby(range(len(rows)), key=lambda index: rows[index]["stage"]):
                points = [(index, rows[index].get(side + measure)) for index in indices]
                points = [point for point in points if is_number(point[1])]
                apart = distilled and stage == "finetune" and side + measure == "loss"
                lines = panels["loss, with the teacher" if apart else measure]
                known = any(label == name for label, *_ in lines)
                lines += [(f"_{name}" if known else name, colour, points)] if points else []
    return panels


def spread(record: Record) -> str | None:
    """Draws the standard deviation over the mean of each group's filter L1 norms while the penalty grows.

    Reference:
        Neural Pruning via Growing Regularization (Wang et al., ICLR 2021), Fig. 1, row 1.
    """
    if record.norms is None or len(record.norms.steps) < 2:
        return None
    values = normalised_deviation(record.norms)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for index in _spaced(len(values), CURVES):
            name = list(values)[index]
            axes.plot(record.norms.steps, values[name], linewidth=1, alpha=0.7, label=name)
        mean = np.mean(list(values.values()), axis=0)
        axes.plot(record.norms.steps, mean, color="black", linewidth=2, label=f"mean of {len(values)} groups")
        axes.set_xlabel("step")
        axes.set_ylabel("standard deviation / mean of filter norms")
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))

    return svg(draw, height=3.2)


def filters(record: Record) -> str | None:
    """Draws the L1 norm of every filter over the largest of its layer, at four moments of the training.

    Reference:
        Neural Pruning via Growing Regularization (Wang et al., ICLR 2021), Fig. 1, row 2, and Fig. 2.
    """
    if record.norms is None or not record.norms.groups:
        return None
    every = list(record.norms.groups)
    names = [every[index] for index in _spaced(len(every), 3)]
    moments = _spaced(len(record.norms.steps), MOMENTS)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(names), len(moments), squeeze=False, sharey=True)
        for name, row in zip(names, grid, strict=True):
            relative = relative_norms(record.norms.groups[name])
            for moment, axes in zip(moments, row, strict=True):
                axes.bar(np.arange(relative.shape[1]), relative[moment], width=1, color=SLIM)
                axes.set_title(f"{name}, step {record.norms.steps[moment]:,}", fontsize=7)
                axes.tick_params(labelsize=6)
                axes.set_ylim(0, 1.05)
        for axes in grid[-1]:
            axes.set_xlabel("filter", fontsize=7)

    return svg(draw, height=0.5 + 1.6 * len(names))


def scales(record: Record) -> str | None:
    """Draws the histogram of the BatchNorm scales of all layers together, at four moments of the training.

    Reference:
        Zhuang et al., Neuron-level Structured Pruning using Polarization Regularizer, NeurIPS 2020, Fig. 1.
    """
    if record.scales is None or not record.scales.groups:
        return None
    pooled = np.concatenate(list(record.scales.groups.values()), axis=1)
    moments = _spaced(len(record.scales.steps), MOMENTS)
    edges = np.linspace(0, max(1.0, pooled.max()), SCALE_BINS + 1)

    def draw(figure: Figure) -> None:
        row = figure.subplots(1, len(moments), squeeze=False, sharey=True)[0]
        for moment, axes in zip(moments, row, strict=True):
            axes.stairs(np.histogram(pooled[moment], edges)[0], edges, fill=True, color=SLIM)
            axes.set_yscale("symlog")
            axes.set_title(f"step {record.scales.steps[moment]:,}", fontsize=7)
            axes.tick_params(labelsize=6)
            axes.set_xlabel("scale", fontsize=7)
        row[0].set_ylabel("channels")

    return svg(draw, height=2.4)


def sizes(record: Record) -> str | None:
    """Draws the bytes and the latency of every exported file."""
    exported = [one for one in files(record.summary) if is_number(one[2].get("bytes"))]
    if not exported:
        return None
    names, dense, measures = zip(*exported, strict=True)
    every = (("bytes", 1 / 1024, "KiB"), ("latency_ms", 1, "latency, ms"))
    shown = [one for one in every if any(is_number(file.get(one[0])) for file in measures)]

    def draw(figure: Figure) -> None:
        rows = np.arange(len(names))[::-1]
        for axes, (key, scale, label) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            lengths = [scale * (file.get(key) or 0) for file in measures]
            axes.barh(rows, lengths, color=[DENSE if each else SLIM for each in dense])
            axes.set_yticks(rows, names, fontsize=7)
            axes.set_xlabel(label)

    return svg(draw, height=0.9 + 0.25 * len(names))


def normalised_deviation(norms: Norms) -> dict[str, np.ndarray]:
    """Returns `std / mean` over the filters of each group, shape `(times,)`.

    Args:
        norms: The L1 norms of the filters over training.

    Example:
        >>> import numpy as np
        >>> from kerasprune.recipes.reports.record import Norms
        >>> norms = Norms(np.array([0, 10]), {"conv": np.array([[2.0, 2.0], [1.0, 3.0]])})
        >>> print(normalised_deviation(norms)["conv"])
        [0.  0.5]
    """
    return {name: values.std(axis=1) / np.maximum(values.mean(axis=1), 1e-12) for name, values in norms.groups.items()}


def relative_norms(values: np.ndarray) -> np.ndarray:
    """Returns norms `(times, filters)` over the largest of their time, so that each row peaks at 1."""
    return values / np.maximum(values.max(axis=1, keepdims=True), 1e-12)


def _spaced(count: int, most: int) -> np.ndarray:
    """Returns numbers from 0 to the last of `count`, evenly spaced and `most` at the most."""
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))


class Mark(NamedTuple):
    """Where a stage begins: its name, its first row, the level of its label, and on which side of the label that is."""

    stage: str
    row: int
    level: int
    side: str


def _marks(stages: Sequence[str], width: float) -> list[Mark]:
    """Returns the beginnings of the stages, with the lowest levels at which no two labels overlap.

    Args:
        stages: The stage of each row.
        width: Width of the axes, in inches.
    """
    ends: list[float] = []  # of the last label of each level
    marks: list[Mark] = []
    for index, stage in enumerate(stages):
        if index and stage == stages[index - 1]:
            continue
        begin, length = index / max(len(stages), 2) * width, LETTER * (len(stage) + 1)
        side = "right" if begin + length > width and begin > length else "left"
        begin -= length if side == "right" else 0
        level = next((n for n, end in enumerate(ends) if end <= begin), len(ends))
        ends[level : level + 1] = [begin + length]
        marks.append(Mark(stage, index, level, side))
    return marks


def _mark_stages(axes: Axes, marks: Sequence[Mark]) -> None:
    for mark in marks:
        place, above = (mark.row - 0.5, 1), (0, 2 + 9 * mark.level)
        axes.axvline(place[0], color="grey", linewidth=0.5, linestyle=":")
        how = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
        axes.annotate(mark.stage, place, above, fontsize=7, ha=mark.side, **how)
