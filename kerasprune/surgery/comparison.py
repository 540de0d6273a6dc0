"""Two models on the same random inputs: what they are given, what they put out, and how far apart that is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune._keras import Functional, structures
from kerasprune.graph.walk import functional, walk

_SIDE = 16
_NUMBERS = 10


@dataclass(frozen=True)
class Difference:
    """How one output of a model differs from that of another.

    Args:
        error: `max |a − b| / max |a|`; infinity where their shapes differ.
        size: `max |a|`.
        spread: `max std_samples(a) / max |a|`: how much the output depends on the inputs at all.
    """

    error: float
    size: float
    spread: float


def differences(expected: keras.Model, model: keras.Model, inputs: Any) -> list[Difference]:
    """Runs two models on a batch and returns how they differ, output by output.

    Args:
        expected: A model; a subclassed one will do.
        model: Another with as many outputs.
        inputs: A batch in the structure that both take, such as `random_inputs(model)`.
    """
    pairs = zip(outputs_of(expected, inputs), outputs_of(model, inputs), strict=True)
    return [difference(a, b) for a, b in pairs]


def difference(a: np.ndarray, b: np.ndarray) -> Difference:
    """Returns how an output `b` differs from the expected `a`."""
    size = float(np.abs(a).max(initial=0.0))
    unit = max(size, 1e-30)
    error = float(np.abs(a - b).max(initial=0.0)) / unit if a.shape == b.shape else float("inf")
    return Difference(error, size, float(a.std(axis=0).max(initial=0.0)) / unit)


def outputs_of(model: keras.Model, inputs: Any) -> list[np.ndarray]:
    """Returns the outputs of a model, as it acts in use, one array each."""
    outputs = tree.flatten(model(inputs, training=False))
    return [keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")) for y in outputs]


def output_error(slim: keras.Model, dense: keras.Model, batches: Iterable[Any]) -> float:
    """Returns `Σ ‖slim − dense‖² / Σ ‖dense − mean(dense)‖²` over all outputs: 0 = the same.

    Args:
        slim: A model.
        dense: The model that it is to stand for.
        batches: What both are run on, in the structure that they take.
    """
    pairs = [[outputs_of(model, batch) for model in (slim, dense)] for batch in batches]
    wrong = spread = 0.0
    for output in range(len(pairs[0][0])):
        a, b = (np.concatenate([pair[side][output] for pair in pairs]).astype("float64") for side in (0, 1))
        wrong, spread = wrong + ((a - b) ** 2).sum(), spread + ((b - b.mean(axis=0)) ** 2).sum()
    return float(wrong / max(spread, 1e-30))


def random_inputs(model: keras.Model, batch: int = 4, seed: int = 0, side: int = _SIDE) -> Any:
    """Returns a batch of random inputs in the structure that the model takes.

    Args:
        model: A functional or Sequential model.
        batch: Number of samples. Defaults to 4.
        seed: Of the values. Defaults to 0.
        side: Size of free axes. Defaults to 16.

    Returns:
        Normally distributed arrays; truth values for inputs of those; whole numbers from 0 on for inputs of whole
        numbers, as many as the smallest table has that they are looked up in, ten at most.
    """
    generator = np.random.default_rng(seed)

    def draw(tensor: keras.KerasTensor, numbers: int) -> np.ndarray:
        shape = (batch, *(side if size is None else size for size in tensor.shape[1:]))
        if "int" in str(tensor.dtype):
            return generator.integers(0, numbers, shape).astype(tensor.dtype)
        values = generator.normal(size=shape)
        return values > 0 if tensor.dtype == "bool" else values.astype(tensor.dtype)

    inputs = [draw(x, numbers) for x, numbers in zip(tree.flatten(model.inputs), _looked_up(model), strict=True)]
    if isinstance(model, Functional):
        return tree.pack_sequence_as(structures(model)[0], inputs)
    return inputs[0] if len(inputs) == 1 else inputs


def _looked_up(model: keras.Model) -> list[int]:
    """Returns for each input how many numbers there are in the smallest table that it is looked up in, ten at most."""
    body = functional(model)
    limits = [_NUMBERS] * len(body.inputs)

    def visit(node: Any, *args: Any, **kwargs: Any) -> list[frozenset[int]]:
        sources = frozenset().union(*(x for x in tree.flatten((args, kwargs)) if isinstance(x, frozenset)))
        if isinstance(node.operation, keras.layers.Embedding) and node.operation.input_dim > 1:
            for source in sources:
                limits[source] = min(limits[source], node.operation.input_dim)
        return [sources] * len(node.outputs)

    walk(body, [frozenset({index}) for index in range(len(limits))], visit)
    return limits
