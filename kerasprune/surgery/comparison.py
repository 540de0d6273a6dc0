"""The outputs of two models on the same inputs, and their difference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune._keras import call_operation
from kerasprune.backend.engine import full_precision, layer_programs
from kerasprune.errors import PruneError
from kerasprune.graph.built_model import stateful_layers
from kerasprune.graph.graph import check_finite_weights
from kerasprune.surgery.output_distance import TIES, distances, error_of_quantities, joint_error
from kerasprune.surgery.output_kind import last_axes

_NO_LENGTH = 1e-12


@dataclass(frozen=True)
class Difference:
    """The difference between an output a of a model and the same output b of another.

    Args:
        error: `max |a − b| / max |a|`; infinity if their shapes differ, or b has NaN or infinity. Of class numbers the
            fraction of those that differ, or 0 if they are so few that they may be ties.
        size: `max |a|`.
        spread: `max std_samples(a) / max |a|`: how much the output depends on the inputs at all.
    """

    error: float
    size: float
    spread: float


def difference(a: np.ndarray, b: np.ndarray) -> Difference:
    """Returns the difference between an output `b` and the expected `a`."""
    if a.dtype.kind in "biu" and a.shape == b.shape:
        differ = float(np.mean(a != b)) if a.size else 0.0
        return Difference(differ if differ * a.size > max(1, TIES * a.size) else 0.0, 1.0, float(a.std(axis=0).max()))
    size = float(np.abs(a).max(initial=0.0))
    unit = max(size, 1e-30)
    comparable = a.shape == b.shape and np.isfinite(b).all()
    error = float(np.abs(a - b).max(initial=0.0)) / unit if comparable else float("inf")
    return Difference(error, size, float(a.std(axis=0).max(initial=0.0)) / unit)


def cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns the cosine of the channels of two tensors, the last axis, at every position; 1 where one is zero.

    Channels that only one has are beside zeros. If the positions differ, the means over those of an example are
    compared.
    """
    x, y = (each.astype("float64") for each in (x, y))
    if x.shape[:-1] != y.shape[:-1]:
        x, y = (each.reshape(len(each), -1, each.shape[-1]).mean(axis=1) for each in (x, y))
    shared = min(x.shape[-1], y.shape[-1])
    lengths = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
    products = (x[..., :shared] * y[..., :shared]).sum(axis=-1)
    return np.where(lengths > _NO_LENGTH, products / np.maximum(lengths, _NO_LENGTH), 1.0)


@contextmanager
def fresh_states(model: keras.Model) -> Iterator[None]:
    """Resets what stateful recurrent layers remember while the block runs; afterwards it is as before."""
    remembering = stateful_layers(model)
    states = [state for layer in remembering for state in tree.flatten(layer.states)]
    before = [np.array(keras.ops.convert_to_numpy(state)) for state in states]
    for layer in remembering:
        layer.reset_state()
    try:
        yield
    finally:
        for state, value in zip(states, before, strict=True):
            state.assign(value)


def largest_error(expected: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> float:
    """Returns the largest error of outputs, see `Difference`; infinity if they cannot be compared."""
    return max(difference(a, b).error for a, b in zip(expected, outputs, strict=True))


def finite_outputs_of(model: keras.Model, inputs: Any) -> list[np.ndarray]:
    """Returns the outputs of a model, as `outputs_of`; raises a `PruneError` if they have infinity or NaN."""
    outputs = outputs_of(model, inputs)
    if not all(np.isfinite(output).all() for output in outputs):
        check_finite_weights(model)
        raise PruneError(
            f"Expected finite outputs of {model.name!r} for the comparison. Received: NaN or infinity. "
            "Use smaller weights or inputs."
        )
    return outputs


@full_precision()
def outputs_of(model: keras.Model, inputs: Any, call: Callable[..., Any] = call_operation) -> list[np.ndarray]:
    """Returns the outputs of a model in inference and in full precision, one array each; `call` calls it.

    Its layers are called one by one: a program that the model has for `predict` may be of another precision.
    """
    with fresh_states(model), layer_programs():
        outputs = tree.flatten(call(model, inputs, training=False))
    floats = [keras.ops.cast(y, "float32") if keras.backend.is_float_dtype(y.dtype) else y for y in outputs]
    return [keras.ops.convert_to_numpy(y) for y in floats]


def output_error(slim: keras.Model, dense: keras.Model, batches: Iterable[Any]) -> float:
    """Returns `Σ ‖slim − dense‖² / Σ ‖dense − mean(dense)‖²`, as `error_of_quantities` of all outputs: 0 = the same.

    Args:
        slim: A model.
        dense: The model to compare it with.
        batches: Batches in the structure that both take.
    """
    pairs = ([outputs_of(model, batch) for model in (dense, slim)] for batch in batches)
    return error_of_quantities(distances(pairs, last_axes(dense)))


def relative_error(made: Iterable[Sequence[np.ndarray]], wanted: Iterable[Sequence[np.ndarray]]) -> float:
    """Returns the `joint_error` of the outputs of both models, batch by batch, each read once."""
    return joint_error(distances(zip(wanted, made, strict=True), {}))
