"""`plane`: loss and error on the plane through three models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.analysis.judged_weights import WeightsJudge, check_alike, check_statistics, combine_weights, weights_of
from kerasprune.checks import non_negative_faults, whole_number_faults
from kerasprune.errors import PruneError, extras, raise_faults
from kerasprune.files.figure import draw_figure


@dataclass(frozen=True, eq=False)
class Plane:
    """Loss and error on a plane of weights; returned by `plane`.

    Args:
        x: `(points,)`: distance from the first model in the direction of the second.
        y: `(points,)`: distance from the line through both in the direction of the third.
        losses: `(points, points)`: mean losses, a row for each y.
        errors: `(points, points)`: fractions of wrong classes; the losses if the outputs are not scores of classes.
        places: `(3, 2)`: x and y of the models.
    """

    x: np.ndarray
    y: np.ndarray
    losses: np.ndarray
    errors: np.ndarray
    places: np.ndarray

    @extras("Plane.plot")
    def plot(self, path: str | Path) -> Path:
        """Draws the losses into an image file (`.svg`, `.png`, `.pdf`), and returns its path."""

        def draw(figure: Any) -> None:
            axes = figure.subplots()
            figure.colorbar(axes.contourf(self.x, self.y, self.losses, 20), label="loss")
            axes.plot(*self.places.T, "k.")
            axes.set(xlabel="x", ylabel="y")

        return draw_figure(path, (5, 4), draw)


def plane(
    a: keras.Model,
    b: keras.Model,
    c: keras.Model,
    data: Any,
    *,
    points: int = 11,
    margin: float = 0.2,
    recalibrate: Any = None,
    loss: Any = None,
) -> Plane:
    """Measures loss and error on the plane through the weights of three models of one architecture.

        u = b − a,    v = (c − a) − ⟨c − a, u⟩/⟨u, u⟩ · u
        W(x, y) = a + x·u/‖u‖ + y·v/‖v‖

    Args:
        a: A trained model; all are left untouched.
        b: The second trained model; layers are matched by position.
        c: The third, such as the bend of a curve.
        data: Labelled examples, as for `line`.
        points: Number of values of x and of y. Defaults to 11.
        margin: How far the plane extends beyond the models, as a fraction of their extent. Defaults to 0.2.
        recalibrate: Training examples, needed if there is a BatchNorm, as for `line`; here at every point.
        loss: The loss as `compile` takes it. Defaults to the compiled one of `a`.

    Returns:
        `.x`, `.y`, `.losses`, `.errors`, `.places` of the models, `.plot(path)`.

    Raises:
        PruneError: The models differ in shape or lie on one line, the loss is missing, or the data do not fit.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> models = [keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]) for _ in range(3)]
        >>> kp.analysis.plane(*models, (np.ones((8, 2)), np.ones((8, 1))), points=3, loss="mse").losses.shape
        (3, 3)

    Reference:
        Garipov et al., Loss Surfaces, Mode Connectivity, and Fast Ensembling of DNNs, NeurIPS 2018, arXiv 1802.10026.
    """
    raise_faults(
        "Invalid arguments for plane:", whole_number_faults(2, points=points) + non_negative_faults(margin=margin)
    )
    check_alike(a, b, c)
    judge = WeightsJudge(a, data, loss, check_statistics(a, recalibrate))
    knots = [weights_of(each) for each in (a, b, c)]
    u, w = (_difference(each, knots[0]) for each in knots[1:])
    length = np.sqrt(u @ u)
    along = w @ u / length if length else 0.0
    height = np.sqrt(max(w @ w - along**2, 0.0))
    if not length or height <= 1e-6 * np.sqrt(w @ w):
        raise PruneError("Expected three models that do not lie on one line. Received: a, b and c that do.")
    places = np.array([(0.0, 0.0), (length, 0.0), (along, height)])
    low, high = places.min(axis=0), places.max(axis=0)
    x, y = np.linspace(low - margin * (high - low), high + margin * (high - low), points).T
    found = np.empty((points, points, 2))
    for row, column in np.ndindex(points, points):
        of_c = y[row] / height
        of_b = (x[column] - of_c * along) / length
        found[row, column] = judge.at(combine_weights(knots, (1 - of_b - of_c, of_b, of_c)))
    return Plane(x, y, found[..., 0], found[..., 1], places)


def _difference(one: list[np.ndarray], other: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([(a.astype("float64") - b).ravel() for a, b in zip(one, other, strict=True)])
