"""Figures of pruning along three dimensions: curves, surface, residuals, blocks, K and R, feature maps."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasprune.papers.three_dimensional.accuracy_predictor import MAP
from kerasprune.papers.three_dimensional.surface import Surface
from kerasprune.recipes.reports.figures import CHOSEN
from kerasprune.recipes.reports.record import Record
from kerasprune.tables import DENSE, SLIM, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIMENSIONS = ("d", "w", "r")
LABELS = {"d": "depth d", "w": "width w", "r": "resolution r"}
DEGREES, RANKS = (1, 2, 3, 4, 5, 6), (1, 2, 3)
_GRID, _RIDGE = 121, 1e-6


def _of_points(draw: Callable[[Mapping[str, Any]], str | None]) -> Callable[[Record], str | None]:
    """Draws `points.json` of a run, or nothing if the run has none."""

    @functools.wraps(draw)
    def drawn(record: Record) -> str | None:
        points = record.section.get("points")
        return draw(points) if points else None

    return drawn


@_of_points
def curves(points: Mapping[str, Any]) -> str:
    """Draws accuracy against each dimension alone: the points, the fitted curve, its interval (the paper's Fig. 3)."""
    table, surface = _table(points), fitted(points)

    def draw(figure: Figure) -> None:
        for axis, (name, axes) in enumerate(zip(DIMENSIONS, figure.subplots(1, 3, sharey=True), strict=True)):
            others = np.delete(table[:, :3], axis, axis=1)
            here = table[(others == 1).all(axis=1)]
            line = np.ones((_GRID, 3))
            line[:, axis] = np.linspace(here[:, axis].min(), 1, _GRID)
            low, high = surface.interval(*line.T, draws=100)
            axes.fill_between(line[:, axis], 100 * low, 100 * high, color=DENSE, alpha=0.6, linewidth=0)
            axes.plot(line[:, axis], 100 * surface.predict(*line.T), color=SLIM)
            axes.plot(here[:, axis], 100 * here[:, 3], "o", color="black", markersize=3)
            axes.set_xlabel(LABELS[name])
        figure.axes[0].set_ylabel("accuracy, %")

    return svg(draw, height=2.8)


@_of_points
def sheet(points: Mapping[str, Any]) -> str:
    """Draws the predicted accuracy over all d and r that meet `d·w²·r² = T`, with the optimum and the controls."""
    surface, cost = fitted(points), float(points["macs"])
    lines = [np.linspace(least, 1, _GRID) for least in (cost, cost**0.5)]
    d, r = np.meshgrid(*lines)
    w = np.sqrt(cost / (d * r**2))
    value = np.where((w <= 1 + 1e-9) & (w >= cost**0.5 - 1e-9), surface.predict(d, np.minimum(w, 1), r), np.nan)
    chosen = points["optimum"]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        filled = axes.contourf(d, r, 100 * value, levels=15, cmap="Blues")
        figure.colorbar(filled, ax=axes, label="predicted accuracy, %")
        for x, y, label in ((cost, 1, "depth only"), (1, 1, "width only"), (1, cost**0.5, "resolution only")):
            axes.plot(x, y, "s", color="black", markersize=5, clip_on=False)
            axes.annotate(label, (x, y), xytext=(4, -11), textcoords="offset points", fontsize=7)
        axes.plot(chosen[0], chosen[2], "*", color=CHOSEN, markersize=12, clip_on=False, label="optimum")
        axes.set(xlabel=LABELS["d"], ylabel=LABELS["r"], title=f"w from d·w²·r² = {cost:g}")
        axes.legend(fontsize=7, frameon=False, loc="lower left")

    return svg(draw, height=3.6)


@_of_points
def residuals(points: Mapping[str, Any]) -> str:
    """Draws measured less predicted accuracy of every point, in points of accuracy."""
    left = 100 * fitted(points).residuals()
    less = [[f"{name}={point[name]:.2f}" for name in DIMENSIONS if point[name] < 1] for point in points["points"]]
    names = [", ".join(each) or "dense" for each in less]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.bar(np.arange(len(left)), left, color=SLIM)
        axes.axhline(0, color="grey", linewidth=0.5)
        axes.set_xticks(np.arange(len(left)), names, fontsize=6, rotation=30)
        axes.set_ylabel("measured − predicted, points")

    return svg(draw, height=2.6)


@_of_points
def blocks(points: Mapping[str, Any]) -> str | None:
    """Draws the importance of every block that can be dropped."""
    importance = points.get("importance")
    if not importance:
        return None
    names = list(importance)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        rows = np.arange(len(names))[::-1]
        axes.barh(rows, [100 * importance[name] for name in names], color=SLIM)
        axes.axvline(0, color="grey", linewidth=0.5)
        axes.set_yticks(rows, names, fontsize=7)
        axes.set_xlabel("gain in accuracy of a linear classifier, points")

    return svg(draw, height=0.9 + 0.19 * len(names))


@_of_points
def settings(points: Mapping[str, Any]) -> str:
    """Draws the optimum as K and R vary (the paper's Fig. 3, last part, and Fig. 4)."""
    cost = float(points["macs"])
    rows = [("K", K, optimum(points, 1, K, cost)) for K in DEGREES]
    rows += [("R", R, optimum(points, R, 3, cost)) for R in RANKS]

    def draw(figure: Figure) -> None:
        for kind, axes in zip("KR", figure.subplots(1, 2, sharey=True), strict=True):
            here = [(number, found) for which, number, found in rows if which == kind]
            for axis, name in enumerate(DIMENSIONS):
                axes.plot([n for n, _ in here], [found[axis] for _, found in here], marker="o", label=LABELS[name])
            axes.set_xlabel("degree K (R = 1)" if kind == "K" else "rank R (K = 3)")
            axes.set_xticks([n for n, _ in here])
        figure.axes[0].set_ylabel("optimum")
        figure.axes[0].legend(fontsize=7, frameon=False)

    return svg(draw, height=2.8)


def maps(record: Record) -> str | None:
    """Draws the last convolution's feature maps of every model, image by image (the paper's Fig. 5).

    Args:
        record: A run; its `maps` are `images`, of shape `(images, height, width, channels)`, and the feature maps of
            each model on them, of shape `(images, height, width)`.
    """
    taken = record.section.get("maps")
    if not taken:
        return None
    images = taken["images"]
    low, high = images.min(), images.max()
    rows = {"image": (images - low) / max(high - low, 1e-12)}
    rows |= {name: found for name, found in taken.items() if name != "images"}

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(rows), len(images), squeeze=False)
        for line, (name, grids) in zip(grid, rows.items(), strict=True):
            for axes, cells in zip(line, grids, strict=True):
                axes.imshow(cells, cmap="viridis", interpolation="nearest")
                axes.set(xticks=[], yticks=[])
            line[0].set_ylabel(name, rotation=0, ha="right", va="center")

    return svg(draw, height=1.1 * len(rows))


def fitted(points: Mapping[str, Any]) -> Surface:
    """Returns the accuracy model of a run, refitted."""
    return _fit(points, points["surface"]["rank"], points["surface"]["degree"])


def optimum(points: Mapping[str, Any], rank: int, degree: int, cost: float) -> tuple[float, float, float]:
    """Returns the optimum at `d·w²·r² = cost` of an accuracy model of this rank and degree."""
    return tuple(_fit(points, rank, degree).optimum(cost))


def _fit(points: Mapping[str, Any], rank: int, degree: int) -> Surface:
    table = _table(points)
    few = MAP(rank, degree).faults(*table.T[:3])
    return MAP(rank, degree, ridge=_RIDGE if few else 0.0).fit(*table.T)


def _table(points: Mapping[str, Any]) -> np.ndarray:
    return np.array([[point[name] for name in (*DIMENSIONS, "accuracy")] for point in points["points"]], float)


FIGURES = (
    (
        "Three dimensions",
        curves,
        "Accuracy of the measured networks along each dimension alone, the fitted model and its 90 % interval.",
    ),
    ("", sheet, "Predicted accuracy at the budget, by depth and resolution."),
    ("", residuals, "Residual of the model at each measured network."),
    ("", blocks, "Importance of the blocks: their gains in accuracy of a linear classifier."),
    ("", settings, "The optimum for other degrees and ranks of the model."),
    (
        "",
        maps,
        "Mean absolute value of the last convolution's channels on validation images: the dense network, the chosen "
        "one before fine-tuning, and those pruned furthest along one dimension.",
    ),
)
