"""A kernel that is solved for, and what follows it: a BatchNorm, a sum that it goes into, a relu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune._keras import LayerScale, StochasticDepth, nn
from kerasprune.graph.blocks import SUMS
from kerasprune.graph.channels import Slice
from kerasprune.graph.rule import channel_axis
from kerasprune.repair.reconstruction.as_linear import Linear
from kerasprune.repair.reconstruction.program import Program, Step, Value, run_step
from kerasprune.rules.activations import DROPOUTS

_CHANNEL_BY_CHANNEL = (
    layers.BatchNormalization, *DROPOUTS, layers.GaussianDropout, layers.GaussianNoise, layers.Identity, LayerScale,
    StochasticDepth,
)  # fmt: skip
_EVERYTHING = -np.inf, np.inf
_RECTIFIERS = {
    keras.activations.linear: _EVERYTHING,
    keras.activations.relu: (0.0, np.inf),
    keras.activations.relu6: (0.0, 6.0),
}


@dataclass(frozen=True)
class Tail:
    """The operations on the output u of a kernel, up to the first that mixes channels.

    Args:
        scale: `z = scale · u + offset` is what is added to others, or rectified; (groups, columns).
        offset: As `scale`.
        norm: The BatchNorm directly behind, which alone reads u, and nothing that other layers make; its mean can hold
            a constant.
        sum: The call that adds other tensors to z.
        others: Those tensors.
        range: Values below and above which nothing behind the sum tells apart: `(0, inf)` before a relu.
    """

    scale: np.ndarray
    offset: np.ndarray
    norm: layers.BatchNormalization | None = None
    sum: Step | None = None
    others: tuple[Value, ...] = ()
    range: tuple[float, float] = _EVERYTHING


def tail_of(program: Program, step: Step, view: Linear) -> Tail:
    """Returns the tail of a call of the slim model: the layers between it and the next kernel.

    Args:
        program: The calls of the slim model.
        step: The call.
        view: The last kernel of the layer.
    """
    unchanged = np.ones_like(view.start[:, 0]), np.zeros_like(view.start[:, 0])
    if not view.is_linear:
        return Tail(*unchanged, range=_RECTIFIERS.get(view.activation, _EVERYTHING))
    if len(step.outputs) != 1 or type(step.operation) is layers.TimeDistributed:
        return Tail(*unchanged)
    chain, value = [], step.outputs[0]
    while (reader := _sole_reader(program, value)) and _keeps_channels_apart(reader, view):
        chain.append(reader)
        value = reader.outputs[0]
    norm = chain[0].operation if chain and type(chain[0].operation) is layers.BatchNormalization else None
    if norm is not None and not _serves_only(program, norm, step.operation):
        norm = None
    total = reader if reader and _adds(program, reader, value, step) else None
    end = total.outputs[0] if total else value
    others = tuple(x for x in total.inputs if x is not value) if total else ()
    return Tail(*_affine(step, view, chain, value), norm, total, others, _range_behind(program, end))


def _sole_reader(program: Program, value: Value) -> Step | None:
    readers = program.readers.get(value, [])
    return readers[0] if len(readers) == 1 and not any(value is y for y in program.outputs) else None


def _serves_only(program: Program, norm: Any, layer: Any) -> bool:
    """Returns whether all that a BatchNorm reads, in however many calls, is made by one layer."""
    read = [each.inputs[0] for each in program.steps if each.operation is norm]
    return all(value in program.maker and program.maker[value].operation is layer for value in read)


def _keeps_channels_apart(step: Step, view: Linear) -> bool:
    operation = step.operation
    if type(operation) is layers.BatchNormalization:
        rank = len(step.inputs[0].shape)
        return operation.axis % rank == channel_axis(view.layer) % rank and not step.kwargs.get("training")
    return type(operation) in _CHANNEL_BY_CHANNEL


def _adds(program: Program, step: Step, value: Value, source: Step) -> bool:
    """Returns whether a call adds tensors of one shape to one that depends on `source` alone."""
    inputs = step.inputs
    alike = isinstance(step.operation, SUMS) and len(inputs) > 1 and all(x.shape == value.shape for x in inputs)
    others = [x for x in inputs if x is not value]
    return alike and len(others) == len(inputs) - 1 and not any(source is each for each in program.before(others))


def _affine(step: Step, view: Linear, chain: list[Step], value: Value) -> tuple[np.ndarray, np.ndarray]:
    """Returns scale and offset of a chain of calls, found by running it on ones and on zeros."""
    shape = [1, *(size or 1 for size in step.outputs[0].shape[1:])]
    seen = []
    for number in (0.0, 1.0):
        tensors = {step.outputs[0]: keras.ops.convert_to_tensor(np.full(shape, number, "float32"), "float32")}
        for each in chain:
            tensors.update(zip(each.outputs, run_step(each, tensors), strict=True))
        y = keras.ops.convert_to_numpy(keras.ops.cast(tensors[value], "float32"))
        seen.append(view.outputs(y, np.zeros((1, 1), int))[0])
    return seen[1] - seen[0], seen[0]


def _range_behind(program: Program, value: Value) -> tuple[float, float]:
    """Returns the range outside which values make no difference to any reader of a tensor."""
    readers = program.readers.get(value, [])
    if not readers or any(value is y for y in program.outputs):
        return _EVERYTHING
    ranges = [_range(each.operation) for each in readers]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _range(operation: Any) -> tuple[float, float]:
    if type(operation) is layers.ReLU and not operation.negative_slope and not operation.threshold:
        return 0.0, np.inf if operation.max_value is None else float(operation.max_value)
    if type(operation) is layers.Activation:
        return _RECTIFIERS.get(operation.activation, _EVERYTHING)
    return {nn.Relu: (0.0, np.inf), nn.Relu6: (0.0, 6.0)}.get(type(operation), _EVERYTHING)


@dataclass
class Kernel:
    """One kernel to be solved.

    Args:
        calls: The calls of its layer in the slim model, with their tails; `None` if another kernel has it.
        view: The kernel.
        dense: The same kernel of the dense model.
        entry: How that follows the channels.
    """

    calls: Sequence[tuple[Step, Tail | None]]
    view: Linear
    dense: Linear
    entry: Slice

    @property
    def norms(self) -> list[Any]:
        """The BatchNorms whose means can hold the constant; none if one call has none after it."""
        norms = [tail and tail.norm for _, tail in self.calls]
        return [] if None in norms else list(dict.fromkeys(norms))
