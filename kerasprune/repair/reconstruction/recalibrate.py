"""Statistics of BatchNorm: recomputed from examples (`recalibrate`), or from what a reconstructed model sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any

import keras
import numpy as np
from keras import layers, tree

from kerasprune._keras import (
    batch_moments,
    call_operation,
    calls_of_layers,
    inner_layers,
    mask_of,
    structures,
)
from kerasprune.backend.engine import engine, full_precision
from kerasprune.checks import whole_number_faults
from kerasprune.data.batches import Batches, example_batches
from kerasprune.defaults import SAMPLES
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.graph import check_finite_weights, values
from kerasprune.surgery.clone import clone
from kerasprune.surgery.weight_constraints import obeys


def trainable_norms(model: keras.Model) -> list[layers.BatchNormalization]:
    """Returns the layers whose statistics are recomputed, those of models and layers inside included."""
    return [each for each in inner_layers(model) if isinstance(each, layers.BatchNormalization) and each.trainable]


def _input(args: Any, kwargs: Mapping[str, Any]) -> Any:
    return args[0] if args else kwargs["inputs"]


@full_precision()
def run(model: keras.Model, examples: Batches, visit: Callable[[Any, Callable, Any, Any], Any]) -> None:
    """Runs a model as in inference, in full precision; layers are called by `visit(layer, call, args, kwargs)`."""
    with calls_of_layers(visit):
        for batch in examples:
            call_operation(model, tree.pack_sequence_as(structures(model)[0], batch), training=False)


def recalibrate(slim: keras.Model, data: Any, *, samples: int = SAMPLES) -> keras.Model:
    """Recomputes the statistics of every BatchNorm from the inputs that it receives.

    All batches b, of nᵦ examples, pass through the model once, each normalised by its own statistics μᵦ and σ²ᵦ:

        μ = Σ nᵦ·μᵦ / Σ nᵦ,    σ² = Σ nᵦ·σ²ᵦ / Σ nᵦ

    Use it after changing weights by hand or training with masks. It is not needed after `kp.reconstruct`, which updates
    the statistics itself without changing the outputs.

    Args:
        slim: A functional or Sequential model; it is left untouched.
        data: Examples, as for `kp.reconstruct`; labels are ignored.
        samples: Maximum number of examples used. Defaults to 1000.

    Returns:
        A new model, not compiled. As in `fit`, layers that are not trainable keep their statistics; dropout and
        augmentation are off.

    Raises:
        PruneError: There is no BatchNorm to recalibrate, the data do not fit, or no batch has two numbers of a channel.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
        >>> new = kp.recalibrate(model, np.array([[1.0, 0.0], [3.0, 0.0]]))
        >>> new.layers[-1].moving_mean.numpy().tolist()
        [2.0, 0.0]

    Reference:
        Li et al., EagleEye, ECCV 2020, arXiv 2007.02491, §3.3; Izmailov et al., Averaging Weights, UAI 2018, §3.2.
    """
    raise_faults("Nothing can be recalibrated:", whole_number_faults(1, samples=samples))
    check_finite_weights(slim)
    new, _ = clone(slim, value=values)
    if not trainable_norms(new):
        raise PruneError(
            f"Expected a model with trainable BatchNormalization layers. Received: {slim.name!r}, which has none."
        )
    take_statistics(new, example_batches(new, data, samples))
    return new


def take_statistics(model: keras.Model, examples: Batches) -> None:
    """Sets the statistics of every trainable BatchNorm to those of its inputs, which changes the outputs.

    Each is an average over batches b of nᵦ examples, `μ = Σ nᵦ·μᵦ / Σ nᵦ`, `σ²` alike.
    """
    seen, most = (dict.fromkeys(trainable_norms(model), 0) for _ in range(2))

    def visit(layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        if layer not in seen:
            return call(layer, *args, **kwargs)
        shape, usual = tuple(_input(args, kwargs).shape), layer.momentum
        layer.momentum = seen[layer] / (seen[layer] + shape[0])
        seen[layer] += shape[0]
        most[layer] = max(most[layer], prod(shape) // shape[layer.axis])
        try:
            return call(layer, *args, **{**kwargs, "training": True})
        finally:
            layer.momentum = usual

    run(model, examples, visit)
    alone = [norm.name for norm, number in most.items() if number == 1]
    if alone:
        raise PruneError(
            f"Expected batches with two numbers of a channel or more. Received: one for {alone}, whose variance is 0. "
            "Give more examples in a batch; build a model of a fixed batch size with keras.Input(shape) for it."
        )


_LEAST = 100  # numbers of a channel that its variance is taken from


class OwnStatistics:
    """Gives every BatchNorm the statistics of its inputs; its scale and shift compensate for the change.

    With μ and σ² before, μ′ and σ′² of the examples, the model computes in inference what it did:

        γ′ = γ·√(σ′² + ε) / √(σ² + ε),    β′ = β + γ·(μ′ − μ) / √(σ² + ε)

    In training a BatchNorm divides by the statistics of the batch. If the stored ones differ, as after least squares
    (outputs vary less than their targets), training would begin with another function.

    Args:
        model: Its layers are changed by `take_over`. Those that are not trainable, lack a scale or a shift, or see
            fewer than a hundred numbers of a channel stay as they are, and those whose scale or shift would break its
            constraint.
    """

    def __init__(self, model: keras.Model) -> None:
        self._moments: dict[layers.BatchNormalization, list[tuple[tuple[int, ...], np.ndarray, np.ndarray]]] = {
            norm: [] for norm in trainable_norms(model) if _can_compensate(norm)
        }
        self._programs: dict[tuple[int, bool], Callable[..., Any]] = {}

    def visit(self, layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        """Calls a layer, see `calls_of_layers`, and keeps the moments of what a BatchNorm reads."""
        if layer in self._moments:
            x, mask = _input(args, kwargs), kwargs.get("mask")
            exact = keras.ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
            found = self._program(layer)(exact, mask_of(x) if mask is None else mask)
            mean, variance = (keras.ops.convert_to_numpy(each).astype("float64") for each in found)
            self._moments[layer].append((tuple(x.shape), mean, variance))
        return call(layer, *args, **kwargs)

    def _program(self, norm: layers.BatchNormalization) -> Callable[..., Any]:
        """Returns the moments along the axis of a layer as a function, which is the same for all layers with it."""
        key = norm.axis, norm.synchronized
        if key not in self._programs:
            self._programs[key] = engine().compiled(partial(batch_moments, norm))
        return self._programs[key]

    def take_over(self) -> None:
        """Changes the layers."""
        for norm, seen in self._moments.items():
            shapes, means, variances = zip(*seen, strict=True) if seen else ((), (), ())
            if sum(prod(shape) // shape[norm.axis] for shape in shapes) >= _LEAST:
                examples = [shape[0] for shape in shapes]
                _take_over(norm, *(np.average(each, axis=0, weights=examples) for each in (means, variances)))


def _can_compensate(norm: layers.BatchNormalization) -> bool:
    """Returns whether a layer computes what Keras's does, with a scale and a shift."""
    return type(norm) is layers.BatchNormalization and norm.scale and norm.center


def _take_over(norm: layers.BatchNormalization, mean: np.ndarray, variance: np.ndarray) -> None:
    parts = norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance
    gamma, beta, old_mean, old_variance = (values(each).astype("float64") for each in parts)
    slope = gamma / np.sqrt(old_variance + norm.epsilon)
    scale, shift = slope * np.sqrt(variance + norm.epsilon), beta + slope * (mean - old_mean)
    if obeys(norm.gamma, scale) and obeys(norm.beta, shift):
        for variable, value in zip(parts, (scale, shift, mean, variance), strict=True):
            variable.assign(value.astype(np.result_type(values(variable), "float32")))
