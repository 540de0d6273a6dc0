"""The operators of a converted model: the calls that are fused into each, and the widths that its time depends on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune.export.latency.staircase import Widths
from kerasprune.graph.channels import Count, Ids, TracedCall
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.rule import NORMALISED, PADDED, POINTWISE, find
from kerasprune.surgery.clone import taken_arguments
from kerasprune.surgery.copy_layer import leave_out, make_layer
from kerasprune.surgery.rebuild import config_changes

_FOLLOW = {POINTWISE, NORMALISED}  # operations that a converter fuses into the one before them
_NAMELESS = ("name", "trainable", "dtype", "build_config", "seed")
_SAME_TIME = ("_initializer", "_regularizer", "_constraint")


@dataclass(frozen=True)
class FusedCall:
    """A call, with numbers for the tensors that it reads and makes."""

    call: TracedCall
    reads: tuple[int, ...]
    makes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Operator:
    """Calls that a converter fuses into one operator, or a few: a convolution, its BatchNorm and activation.

    Args:
        graph: The graph that they are part of.
        steps: The calls, each of which reads the one before it.
    """

    graph: ChannelGraph
    steps: tuple[FusedCall, ...]

    @property
    def calls(self) -> list[TracedCall]:
        """The calls."""
        return [step.call for step in self.steps]

    @cached_property
    def key(self) -> str:
        """A hash of its computation without the widths: operators of equal key differ only in their widths."""
        return hashlib.sha256(json.dumps(self._identity, sort_keys=True, default=str).encode()).hexdigest()[:12]

    @cached_property
    def label(self) -> str:
        """Class names and input sizes, for people."""
        names = " ".join(type(call.operation).__name__ for call in self.calls)
        return f"{names} {' '.join(self._sides(ids) for ids in self._inputs)}"

    def widths(self, count: Count) -> Widths:
        """Returns the channels that it reads and makes.

        Args:
            count: Number of channels kept of an array of ids.
        """
        reads = sum(count(ids) for ids in self._read)
        return (reads, sum(count(ids) for ids in self._made)) if self._made else (0, reads)

    def free(self) -> tuple[bool, bool]:
        """Returns whether a plan may change the channels that it reads, and those that it makes."""
        read, made = (any(self._is_prunable(ids) for ids in each) for each in (self._read, self._made))
        return (read, made) if self._made else (False, read)

    @property
    def is_free_inside(self) -> bool:
        """Whether a side of an input is unknown."""
        return any(None in ids.shape[1:] for ids in self._inputs)

    def built(self, widths: Widths) -> keras.Model:
        """Returns the operator alone, with random weights.

        Args:
            widths: Channels read and made; they may exceed those in the model.
        """
        most = self.widths(len)
        read, made = (width / max(whole, 1) for width, whole in zip(widths, most, strict=True))
        read = read if self._made else made
        inside = np.concatenate([*self._read, np.zeros(0, int)])

        def count(ids: np.ndarray) -> int:
            share = read if np.isin(ids, inside).all() else made
            return max(1, round(len(ids) * share))

        changes = config_changes(self.graph, count)
        argument = taken_arguments(self.graph, lambda ids: np.arange(count(ids)))
        tensors = {number: self._input(ids, like, count) for number, (ids, like) in self._outside.items()}
        inputs = list(tensors.values())
        for step in self.steps:
            call = step.call
            pairs = zip(call.node.input_tensors, step.reads, strict=True)
            args, kwargs = call.node.arguments.fill_in({id(tensor): tensors[number] for tensor, number in pairs})
            args = [argument(call.node, index, value) for index, value in enumerate(args)]
            new = make_layer(call.operation, changes.get(id(call.operation), {}), leave_out)
            outputs = keras.tree.flatten(new(*args, **kwargs))
            tensors.update(zip(step.makes, outputs, strict=True))
        return keras.Model(inputs, outputs)

    @cached_property
    def _outside(self) -> dict[int, tuple[Ids, Any]]:
        """The tensors that it reads and does not make, each with one of the model."""
        own = {number for step in self.steps for number in step.makes}
        read = [
            each
            for step in self.steps
            for each in zip(step.reads, step.call.inputs, step.call.node.input_tensors, strict=True)
        ]
        return {number: (ids, tensor) for number, ids, tensor in read if number not in own}

    @property
    def _inputs(self) -> list[Ids]:
        return [ids for ids, _ in self._outside.values()]

    @cached_property
    def _read(self) -> list[np.ndarray]:
        return [each for ids, like in self._outside.values() if not _is_mask(like) for each in ids.axes.values()]

    @cached_property
    def _made(self) -> list[np.ndarray]:
        """The channels that it makes, inside and at its end."""
        own = {id(call.operation) for call in self.calls}
        lines = [each for call in self.calls for ids in call.outputs for each in ids.axes.values()]
        lines += [
            each for entry in self.graph.slices if id(entry.owner) in own for each in entry.ids if each is not None
        ]
        read = np.concatenate([*self._read, np.zeros(0, int)])
        return list({each.tobytes(): each for each in lines if not np.isin(each, read).all()}.values())

    def _is_prunable(self, ids: np.ndarray) -> bool:
        owners, groups = self.graph.places[0][self.graph.classes[ids]], list(self.graph.groups.values())
        return any(groups[number].prunable for number in np.unique(owners) if number >= 0)

    @cached_property
    def _identity(self) -> list[Any]:
        settings = Counter((id(each.owner), each.key[0]) for each in self.graph.settings)
        calls = []
        for call in self.calls:
            config = call.operation.get_config()
            kept = {
                name: value
                for name, value in config.items()
                if name not in _NAMELESS and not name.endswith(_SAME_TIME) and not settings[id(call.operation), name]
            }
            if calls[-1:] != [[type(call.operation).__name__, kept]] or not _is_rectifier(call.operation):
                calls.append([type(call.operation).__name__, kept])  # a converter leaves one rectifier of two
        return [calls, [self._sides(ids) for ids in self._inputs]]

    @staticmethod
    def _sides(ids: Ids) -> str:
        return "×".join("c" if axis in ids.axes else str(size) for axis, size in enumerate(ids.shape) if axis)

    @staticmethod
    def _input(ids: Ids, like: Any, count: Count) -> Any:
        axes = {} if _is_mask(like) else ids.axes
        shape = [count(axes[axis]) if axis in axes else size for axis, size in enumerate(ids.shape)]
        return keras.Input(
            tuple(shape[1:]), dtype="float32" if keras.backend.is_float_dtype(like.dtype) else like.dtype
        )


def _is_mask(tensor: Any) -> bool:
    """Returns whether a tensor says which time steps are padding, whose number is that of the model at any width."""
    return keras.backend.standardize_dtype(tensor.dtype) == "bool"


def _is_rectifier(operation: Any) -> bool:
    """Returns whether an operation is `max(x, 0)`; two of them meet if the block between them is removed."""
    if isinstance(operation, layers.Activation):
        return operation.activation is keras.activations.relu
    plain = {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}
    return isinstance(operation, layers.ReLU) and plain.items() <= operation.get_config().items()


def operators(graph: ChannelGraph) -> list[Operator]:
    """Returns the operators of a traced model, in order.

    A call is fused into the one before it if nobody else reads what lies between them: BatchNorm, activation and
    dropout after any layer, and a convolution after its padding. Dropout and the like cost nothing.

    Args:
        graph: The graph.
    """
    steps = _steps(graph)
    readers = Counter(number for step in steps for number in step.reads)
    last: dict[int, list[FusedCall]] = {}  # by the tensor that an operator ends with
    found: list[list[FusedCall]] = []
    for step in steps:
        before = last.get(step.reads[0]) if len(step.reads) == 1 and readers[step.reads[0]] == 1 else None
        if before is not None and (_follows(step.call) or _pads(before[-1].call)):
            before.append(step)
        else:
            before = [step]
            found.append(before)
        if len(step.makes) == 1:
            last[step.makes[0]] = before
    return [Operator(graph, tuple(each)) for each in found if not all(_is_free(step.call) for step in each)]


def _steps(graph: ChannelGraph) -> list[FusedCall]:
    """Returns the calls with numbered tensors.

    A tensor that no call makes under its own name comes into a nested model, or from in front of a removed block: it
    is the newest one with the same ids.
    """
    by_tensor: dict[int, int] = {}
    by_ids: dict[int, int] = {}
    numbers = count()
    found = []
    for call in graph.calls:
        reads = []
        for tensor, ids in zip(call.node.input_tensors, call.inputs, strict=True):
            known = by_tensor.get(id(tensor), by_ids.get(id(ids)))
            reads.append(known if known is not None else by_ids.setdefault(id(ids), next(numbers)))
        makes = [next(numbers) for _ in call.outputs]
        by_tensor.update(zip(map(id, call.node.outputs), makes, strict=False))
        by_ids.update(zip(map(id, call.outputs), makes, strict=True))
        found.append(FusedCall(call, tuple(reads), tuple(makes)))
    return found


def _constant(call: TracedCall) -> str:
    rule = find(call.operation)
    return "" if rule is None else rule.constant


def _follows(call: TracedCall) -> bool:
    activation = isinstance(call.operation, layers.Activation | layers.Dropout)
    return activation or _constant(call) in _FOLLOW


def _pads(call: TracedCall) -> bool:
    return _constant(call) == PADDED


def _is_free(call: TracedCall) -> bool:
    """Returns whether a call computes nothing in inference."""
    return isinstance(call.operation, layers.Dropout | layers.Identity | layers.GaussianNoise | layers.Flatten)


@dataclass(frozen=True)
class Alike:
    """The operators of one key, which share a staircase.

    Args:
        operator: One of them.
        most: The most channels read by any of them, and the most made.
        free: Whether a plan may change the channels that one of them reads, and those that one makes.
    """

    operator: Operator
    most: Widths
    free: tuple[bool, bool]


def by_key(found: list[Operator]) -> Mapping[str, Alike]:
    """Returns the operators of every key."""
    alike: dict[str, list[Operator]] = {}
    for each in found:
        alike.setdefault(each.key, []).append(each)
    return {
        key: Alike(
            max(each, key=lambda one: one.widths(len)),
            tuple(map(max, zip(*(one.widths(len) for one in each), strict=True))),
            tuple(map(any, zip(*(one.free() for one in each), strict=True))),
        )
        for key, each in alike.items()
    }
