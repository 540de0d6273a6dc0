"""Figures: the numbers behind them in closed form, and that they draw what there is and no more."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kerasprune.recipes.reports import figures
from kerasprune.recipes.reports.record import Norms, Record

EMPTY = Record(title="empty", recipe={}, summary={})
RECORD = Record(
    title="run",
    recipe={},
    summary={"exports": [{"format": "tflite", "bytes": 2048, "latency_ms": None}]},
    metrics=(
        {"stage": "train", "epoch": 1.0, "loss": 2.0, "accuracy": 0.1, "val_loss": 1.9, "val_accuracy": None},
        {"stage": "prune", "epoch": 1.0, "loss": float("nan"), "accuracy": 0.4, "val_loss": 1.4},
        {
            "stage": "finetune",
            "epoch": 1.0,
            "loss": 0.5,
            "accuracy": 0.9,
            "val_loss": 0.6,
            "val_accuracy": 0.9,
        },
    ),
    widths={"a": (16, 8), "b/conv": (32, 32)},
    norms=Norms(np.array([0, 10, 20]), {"a": np.array([[1.0, 1, 1, 1], [1, 1, 3, 3], [0, 0, 4, 4]])}),
    scales=Norms(np.array([0, 8]), {"bn.gamma": np.array([[0.5, 0.5], [0.0, 1.0]]), "other": np.array([[0.5], [2.0]])}),
)
DRAWN = [figures.widths, figures.curves, figures.spread, figures.filters, figures.scales, figures.sizes]


@pytest.mark.matrix
@pytest.mark.parametrize("draw", DRAWN)
def test_draws_svg_that_repeats_byte_for_byte(draw):
    svg = draw(RECORD)
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert draw(RECORD) == svg


@pytest.mark.parametrize("draw", DRAWN)
def test_draws_nothing_where_there_is_nothing(draw):
    assert draw(EMPTY) is None


def test_curves_are_of_what_was_measured():
    """A measure that nobody took has no axes, and nothing is left of the warnings of matplotlib about them."""
    stages = [("rebuild", {}), ("reconstruct", {}), *(("finetune", {"loss": 1 / n}) for n in range(1, 15))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = figures.curves(replace(EMPTY, metrics=[{"stage": stage, **logs} for stage, logs in stages]))
        assert "loss" in svg and "accuracy" not in svg
        assert figures.curves(replace(EMPTY, metrics=[{"stage": "rebuild", "val_loss": float("nan")}])) is None


def drawn(monkeypatch, rows, recipe=None) -> Figure | None:
    """Returns the figure of the training as matplotlib has it, laid out; `None` if there is none."""
    monkeypatch.setattr(figures, "svg", lambda draw, height: (draw, height))
    metrics = [{"stage": stage, **logs} for stage, logs in rows]
    found = figures.curves(replace(EMPTY, metrics=metrics, recipe=recipe or {}))
    if found is None:
        return None
    figure = Figure(figsize=(figures.WIDTH, found[1]), layout="constrained")
    found[0](figure)
    FigureCanvasAgg(figure).draw()
    return figure


def lines_of(axes) -> list:
    """Returns the lines of measures, without the marks of stages."""
    return [line for line in axes.lines if line.get_marker() == "."]


BOTH = {"loss": 1.0, "accuracy": 0.5, "val_loss": 2.0, "val_accuracy": 0.25}
AT_ONCE = [("rebuild", {"val_loss": 3.0, "val_accuracy": 0.1}), ("reconstruct", {"val_loss": 2.5, "val_accuracy": 0.2})]


@pytest.mark.parametrize("epochs", [(0, 0, 2), (2, 1, 2), (60, 2, 1), (3, 200, 3), (300, 30, 100)])
def test_labels_of_stages_do_not_overprint(epochs, monkeypatch):
    train, prune, finetune = epochs
    rows = [("train", BOTH)] * train + [("prune", BOTH)] * prune + AT_ONCE + [("finetune", BOTH)] * finetune
    for recipe in ({}, {"finetune": {"distil": {}}}):
        figure = drawn(monkeypatch, rows, recipe)
        labels = [text for axes in figure.axes for text in axes.texts]
        assert len(labels) == len(dict(rows)) * len(figure.axes)
        boxes = [label.get_window_extent() for label in labels]
        assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
        assert all(figure.bbox.contains(*box.min) and figure.bbox.contains(*box.max) for box in boxes)


def test_nothing_is_drawn_if_nothing_was_trained(monkeypatch):
    assert drawn(monkeypatch, AT_ONCE) is None
    figure = drawn(monkeypatch, [*AT_ONCE, ("finetune", BOTH), ("finetune", BOTH)])
    lines = [line.get_xdata().tolist() for line in lines_of(figure.axes[0])]
    assert lines == [[2, 3], [0], [1], [2, 3]]  # training; validation, stage by stage


def test_the_loss_with_a_teacher_has_axes_of_its_own(monkeypatch):
    rows = [("train", {**BOTH, "loss": 7.0}), *AT_ONCE, ("finetune", {**BOTH, "loss": 5.0})]

    def shown(recipe):
        return [
            {y for line in lines_of(axes) for y in line.get_ydata()} for axes in drawn(monkeypatch, rows, recipe).axes
        ]

    accuracies = {0.5, 0.25, 0.1, 0.2}
    assert shown({"finetune": {"distil": None}}) == [{7, 2, 3, 2.5, 5}, accuracies]
    assert shown({"finetune": {"distil": {}}}) == [{7, 2, 3, 2.5}, {5}, accuracies]


def test_deviation_over_mean_is_the_coefficient_of_variation():
    # Half the filters at m−d, half at m+d: std = d and mean = m, so the ratio is d/m.
    np.testing.assert_allclose(figures.normalised_deviation(RECORD.norms)["a"], [0, 0.5, 1])


def test_deviation_does_not_depend_on_the_scale():
    values = np.random.default_rng(0).uniform(0.1, 1, (5, 7))
    one = figures.normalised_deviation(Norms(np.arange(5), {"a": values}))["a"]
    many = figures.normalised_deviation(Norms(np.arange(5), {"a": 1000 * values}))["a"]
    np.testing.assert_allclose(one, many)


def test_relative_norms_peak_at_one_and_a_dead_layer_stays_finite():
    relative = figures.relative_norms(np.array([[1.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(relative, [[0.25, 1], [0, 0]])


def test_pyplot_is_left_alone():
    import matplotlib.pyplot

    before = matplotlib.pyplot.get_fignums()
    figures.curves(RECORD)
    assert matplotlib.pyplot.get_fignums() == before
