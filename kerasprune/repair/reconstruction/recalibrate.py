"""Statistics of BatchNorm: recomputed from examples (`recalibrate`), or from what a reconstructed model sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, tree

from kerasprune._keras import call_operation, calls_of_layers, inner_layers, structures
from kerasprune.backend.precision import full_precision
from kerasprune.checks import whole_number_faults
from kerasprune.data.batches import Batches, example_batches
from kerasprune.defaults import SAMPLES
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.graph import check_finite_weights, values
from kerasprune.surgery.clone import clone
from kerasprune.surgery.copy_layer import make_layer
from kerasprune.surgery.weight_constraints import obeys


def trainable_norms(model: keras.Model) -> list[layers.BatchNormalization]:
    """Returns the layers whose statistics are recomputed, those of models and layers inside included."""
    return [each for each in inner_layers(model) if isinstance(each, layers.BatchNormalization) and each.trainable]


class Averages:
    """Statistics of layers as averages over batches b of nᵦ examples: `μ = Σ nᵦ·μᵦ / Σ nᵦ`, `σ²` alike.

    Args:
        norms: The layers that hold them.

    Attributes:
        examples: How many examples each layer has seen.
        numbers: How many numbers of a channel.
        most: How many of them at most in a batch.
    """

    def __init__(self, norms: Iterable[layers.BatchNormalization]) -> None:
        self.examples, self.numbers, self.most = (dict.fromkeys(norms, 0) for _ in range(3))

    def take(self, norm: layers.BatchNormalization, call: Callable, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """Adds the inputs of a layer to the averages; returns them normalised by the statistics of their batch."""
        shape, usual = tuple(_input(args, kwargs).shape), norm.momentum
        numbers = int(np.prod(shape)) // shape[norm.axis]
        norm.momentum = self.examples[norm] / (self.examples[norm] + shape[0])
        self.examples[norm] += shape[0]
        self.numbers[norm] += numbers
        self.most[norm] = max(self.most[norm], numbers)
        try:
            return call(norm, *args, **{**kwargs, "training": True})
        finally:
            norm.momentum = usual


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
    """Sets the statistics of every trainable BatchNorm to those of its inputs, which changes the outputs."""
    averages = Averages(trainable_norms(model))

    def visit(layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        if layer in averages.examples:
            return averages.take(layer, call, args, kwargs)
        return call(layer, *args, **kwargs)

    run(model, examples, visit)
    alone = [norm.name for norm, most in averages.most.items() if most == 1]
    if alone:
        raise PruneError(
            f"Expected batches with two numbers of a channel or more. Received: one for {alone}, whose variance is 0. "
            "Give more examples in a batch; build a model of a fixed batch size with keras.Input(shape) for it."
        )


_LEAST = 100  # numbers of a channel that its variance is taken from


def take_own_statistics(model: keras.Model, examples: Batches) -> None:
    """Sets the statistics of every BatchNorm to those of its inputs; its scale and shift compensate for the change.

    With μ and σ² before, μ′ and σ′² of the examples, the model computes in inference what it did:

        γ′ = γ·√(σ′² + ε) / √(σ² + ε),    β′ = β + γ·(μ′ − μ) / √(σ² + ε)

    In training a BatchNorm divides by the statistics of the batch. If the stored ones differ, as after least squares
    (outputs vary less than their targets), training would begin with another function.

    Args:
        model: Changed in place. Layers that are not trainable, lack a scale or a shift, or see fewer than a hundred
            numbers of a channel stay as they are, and those whose scale or shift would break its constraint.
        examples: Batches of flat inputs.
    """
    norms = [each for each in trainable_norms(model) if _can_compensate(each)]
    if not norms:
        return
    twins = {norm: make_layer(norm) for norm in norms}
    averages = Averages(twins.values())

    def visit(layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        if layer in twins:
            averages.take(twins[layer], call, args, kwargs)
        return call(layer, *args, **kwargs)

    run(model, examples, visit)
    for norm, twin in twins.items():
        if averages.numbers[twin] >= _LEAST:
            _take_over(norm, values(twin.moving_mean), values(twin.moving_variance))


def _can_compensate(norm: layers.BatchNormalization) -> bool:
    """Returns whether a layer computes what Keras's does, with a scale and a shift."""
    return type(norm) is layers.BatchNormalization and norm.scale and norm.center


def _take_over(norm: layers.BatchNormalization, mean: np.ndarray, variance: np.ndarray) -> None:
    parts = norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance
    gamma, beta, old_mean, old_variance = (values(each).astype("float64") for each in parts)
    slope = gamma / np.sqrt(old_variance + norm.epsilon)
    scale, shift = slope * np.sqrt(variance.astype("float64") + norm.epsilon), beta + slope * (mean - old_mean)
    if obeys(norm.gamma, scale) and obeys(norm.beta, shift):
        for variable, value in zip(parts, (scale, shift, mean, variance), strict=True):
            variable.assign(value)
