"""`line`: loss and error along the segment between two trained models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.analysis.judged_weights import (
    Weights,
    WeightsJudge,
    check_alike,
    check_statistics,
    combine_weights,
    weights_of,
)
from kerasprune.checks import whole_number_faults
from kerasprune.errors import extras, raise_faults
from kerasprune.files.figure import draw_figure


@dataclass(frozen=True, eq=False)
class Line:
    """Loss and error on a path between two models; returned by `line`.

    Args:
        alphas: `(points,)`, evenly spaced from 0, the first model, to 1, the second.
        losses: `(points,)`: mean losses.
        errors: `(points,)`: fractions of wrong classes; the losses if the outputs are not scores of classes.
    """

    alphas: np.ndarray
    losses: np.ndarray
    errors: np.ndarray

    @property
    def instability(self) -> float:
        """The largest error on the path − the mean of its ends."""
        return float(self.errors.max() - (self.errors[0] + self.errors[-1]) / 2)

    @property
    def barrier(self) -> float:
        """The largest loss above the straight line between the losses of the ends; 0 if there is none."""
        return float((self.losses - (1 - self.alphas) * self.losses[0] - self.alphas * self.losses[-1]).max())

    @extras("Line.plot")
    def plot(self, path: str | Path) -> Path:
        """Draws loss and error into an image file (`.svg`, `.png`, `.pdf`), and returns its path."""

        def draw(figure: Any) -> None:
            for axes, name in zip(figure.subplots(1, 2), ("losses", "errors"), strict=True):
                axes.plot(self.alphas, getattr(self, name), marker="o", markersize=3)
                axes.set(xlabel="α", ylabel=name)

        return draw_figure(path, (7, 3), draw)


def line(
    a: keras.Model,
    b: keras.Model,
    data: Any,
    *,
    points: int = 30,
    recalibrate: Any = None,
    loss: Any = None,
) -> Line:
    """Measures loss and error along the segment between two models of one architecture.

        W(α) = (1 − α)·a + α·b  over all weights
        instability = max_α error(α) − (error(0) + error(1)) / 2

    Two trainings from the same weights, each with its own order of the data, are *stable* if the instability is at
    most 2 %.

    Args:
        a: A trained model; both are left untouched.
        b: The other trained model; layers are matched by position.
        data: Labelled examples to measure on: batches of `(inputs, labels)`, or one such tuple of whole arrays.
        points: Number of values of α, both ends included. Defaults to 30.
        recalibrate: Training examples, needed if there is a BatchNorm: its statistics are recomputed from them at
            every point between the ends. Do not pass `data` itself. Defaults to `None`.
        loss: The loss as `compile` takes it. Defaults to the compiled one of `a`.

    Returns:
        The measurements: `.alphas`, `.losses`, `.errors`, `.instability`, `.barrier`, `.plot(path)`.

    Raises:
        PruneError: The models differ in shape, the loss is missing, or the data do not fit.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> a, b = (keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]) for _ in range(2))
        >>> found = kp.analysis.line(a, b, (np.ones((8, 2)), np.ones((8, 1))), points=5, loss="mse")
        >>> found.alphas.tolist(), found.barrier < 1e-6  # a convex loss has no barrier
        ([0.0, 0.25, 0.5, 0.75, 1.0], True)

    Reference:
        Frankle et al., Linear Mode Connectivity and the Lottery Ticket Hypothesis, ICML 2020, arXiv 1912.05671.
    """
    raise_faults("Invalid arguments for line:", whole_number_faults(2, points=points))
    check_alike(a, b)
    judge = WeightsJudge(a, data, loss, check_statistics(a, recalibrate))
    return between(judge, weights_of(a), weights_of(b), points)


def between(judge: WeightsJudge, a: Weights, b: Weights, points: int) -> Line:
    """Returns the measurements of `line` for two lists of weights."""
    alphas = np.linspace(0, 1, points)
    return Line(alphas, *along(judge, [combine_weights((a, b), (1 - alpha, alpha)) for alpha in alphas]))


def along(judge: WeightsJudge, path: list[Weights]) -> tuple[np.ndarray, np.ndarray]:
    """Returns losses and errors at weights on a path; BatchNorm keeps its own statistics at both ends."""
    last = len(path) - 1
    found = [judge.at(weights, own_statistics=place in (0, last)) for place, weights in enumerate(path)]
    losses, errors = np.array(found).T
    return losses, errors
