"""`curve`: a curve of low loss between two models, trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kerasprune._keras import call_operation, calls_of_layers
from kerasprune.analysis.between_models import Line, along
from kerasprune.analysis.judged_weights import (
    Weights,
    WeightsJudge,
    check_alike,
    check_statistics,
    combine_weights,
    weights_of,
)
from kerasprune.backend.derivatives import gradient
from kerasprune.checks import choice_faults, positive_faults, seed_faults, whole_number_faults
from kerasprune.criteria.batch_loss import batch_loss, batches_for_loss
from kerasprune.errors import raise_faults


def _bezier(t: float) -> tuple[float, float, float]:
    return (1 - t) ** 2, 2 * t * (1 - t), t**2


def _polychain(t: float) -> tuple[float, float, float]:
    return max(1 - 2 * t, 0.0), 1 - abs(1 - 2 * t), max(2 * t - 1, 0.0)


_SHARES = {"bezier": _bezier, "polychain": _polychain}


@dataclass(frozen=True, eq=False)
class Curve(Line):
    """Loss and error on a curve between two models, and the curve; returned by `curve`.

    Args:
        alphas: `(points,)`: t, evenly spaced from 0 to 1.
        losses: `(points,)`: mean losses.
        errors: `(points,)`: fractions of wrong classes; the losses if the outputs are not scores of classes.
        kind: `"bezier"` or `"polychain"`.
        knots: The weights of the first model, of the bend that was trained, and of the second model.
    """

    kind: str
    knots: tuple[Weights, Weights, Weights]

    def weights(self, t: float) -> Weights:
        """Returns the weights φ(t), for `model.set_weights`; statistics of BatchNorm are averages of the knots'."""
        return combine_weights(self.knots, _SHARES[self.kind](t))


def curve(
    a: keras.Model,
    b: keras.Model,
    data: Any,
    *,
    kind: str = "bezier",
    epochs: int = 10,
    learning_rate: float = 0.01,
    points: int = 30,
    recalibrate: Any = None,
    loss: Any = None,
    seed: int = 0,
) -> Curve:
    """Trains a curve of low loss between two models of one architecture.

        bezier:     φ(t) = (1 − t)²·a + 2t(1 − t)·θ + t²·b
        polychain:  φ(t) = a + 2t·(θ − a) if t ≤ ½, else θ + (2t − 1)·(b − θ)
        θ = argmin E[L(φ(t))],  t uniform in [0, 1]

    θ starts halfway between a and b. For every batch a t is drawn and Adam takes one step; BatchNorm uses the
    statistics of the batch, and dropout is off.

    Args:
        a: A trained model; both are left untouched. Weights that are not trainable keep the mean of both in θ.
        b: The other trained model; layers are matched by position.
        data: Labelled training examples: batches of `(inputs, labels)`, or one such tuple of whole arrays.
        kind: `"bezier"` or `"polychain"`. Defaults to `"bezier"`.
        epochs: Passes over the data. Defaults to 10.
        learning_rate: The learning rate of Adam. Defaults to 0.01.
        points: Number of values of t that are measured, both ends included. Defaults to 30.
        recalibrate: Training examples, needed if there is a BatchNorm, as for `line`. Defaults to `None`.
        loss: The loss as `compile` takes it. Defaults to the compiled one of `a`.
        seed: Random seed of t and of the order of batches. Defaults to 0.

    Returns:
        The measurements of `line` along the curve on the data, and `.weights(t)`.

    Raises:
        PruneError: The models differ in shape, the loss is missing, or the data do not fit.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> a, b = (keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]) for _ in range(2))
        >>> found = kp.analysis.curve(a, b, (np.ones((8, 2)), np.ones((8, 1))), points=5, epochs=1, loss="mse")
        >>> bool((found.weights(1)[0] == b.get_weights()[0]).all())
        True

    Reference:
        Garipov et al., Loss Surfaces, Mode Connectivity, and Fast Ensembling of DNNs, NeurIPS 2018, arXiv 1802.10026.
    """
    raise_faults(
        "Invalid arguments for curve:",
        choice_faults(tuple(_SHARES), kind=kind)
        + whole_number_faults(2, points=points)
        + whole_number_faults(0, epochs=epochs)
        + positive_faults(learning_rate=learning_rate)
        + seed_faults(seed=seed),
    )
    check_alike(a, b)
    judge = WeightsJudge(a, data, loss, check_statistics(a, recalibrate))
    ends, random = (weights_of(a), weights_of(b)), np.random.default_rng(seed)
    bend = _Bend(a, combine_weights(ends, (0.5, 0.5)), loss, learning_rate)
    batches = list(batches_for_loss(data, a, loss))
    for place in (place for _ in range(epochs) for place in random.permutation(len(batches))):
        shares = _SHARES[kind](random.uniform())
        bend.step(combine_weights((ends[0], bend.weights, ends[1]), shares), shares[1], batches[place])
    knots, ts = (ends[0], bend.weights, ends[1]), np.linspace(0, 1, points)
    return Curve(ts, *along(judge, [combine_weights(knots, _SHARES[kind](t)) for t in ts]), kind, knots)


class _Bend:
    """The trained weights θ of a curve; gradients are taken at weights W that are linear in θ.

    Args:
        model: The model, for its loss.
        weights: Where θ begins.
        loss: The loss as `compile` takes it, or `None`.
        learning_rate: The learning rate of Adam.
    """

    def __init__(self, model: keras.Model, weights: Weights, loss: Any, learning_rate: float) -> None:
        self._model, self._start = model, weights
        places = {id(variable): place for place, variable in enumerate(model.weights)}
        self._places = [places[id(variable)] for variable in model.trainable_variables]
        self._trained = [keras.Variable(weights[place], name=f"bend_{place}") for place in self._places]
        self._optimizer = keras.optimizers.Adam(learning_rate)
        mean_loss = batch_loss(model, loss, computing=_by_batch(model))
        self._gradient = gradient(mean_loss, model.trainable_variables, model.variables)

    @property
    def weights(self) -> Weights:
        """Returns all weights."""
        found = list(self._start)
        for place, variable in zip(self._places, self._trained, strict=True):
            found[place] = np.array(ops.convert_to_numpy(variable))
        return found

    def step(self, at: Weights, share: float, batch: Any) -> None:
        """Takes a step by the gradient of a batch at weights in which θ has a share: `∂L/∂θ = share · ∂L/∂W`."""
        given = [ops.convert_to_tensor(each) for each in at]
        with keras.StatelessScope(list(zip(self._model.weights, given, strict=True))):
            _, slopes = self._gradient(*batch)
        self._optimizer.apply([share * each for each in slopes], self._trained)


def _by_batch(model: keras.Model) -> Any:
    """Returns the model as a function in inference mode, but with the statistics of the batch in BatchNorm."""

    def visit(layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        trained = isinstance(layer, layers.BatchNormalization) and layer.trainable
        return call(layer, *args, **({**kwargs, "training": True} if trained else kwargs))

    def computing(inputs: Any, training: bool = False) -> Any:
        with calls_of_layers(visit):
            return call_operation(model, inputs, training=training)

    return computing
