"""Builds the graph of a functional model with rounded kernels and a range for every tensor of its int8 file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers, ops, tree

from kerasprune._keras import Functional
from kerasprune.export.attention_masks import HUGE
from kerasprune.export.quantization.fake_quantize import FixedRange, FollowedRange, Range
from kerasprune.export.quantization.operators import (
    FIXED,
    RECTIFIERS,
    SIGMOID,
    Kind,
    function_of,
    kind_of,
    kind_of_function,
    passes_masks,
)
from kerasprune.export.quantization.rounded_layers import RoundedKernel, RoundedNorm, share_variables
from kerasprune.graph.walk import Wiring, bodies, nodes, walk, wiring
from kerasprune.surgery.clone import input_like


class GraphWithRanges:
    """The new calls of a model, one after the other.

    Args:
        model: The functional model.
        steps: Number of training steps with statistics of the batch.
        held: Number of training steps after which ranges are held.
    """

    def __init__(self, model: Functional, steps: int, held: int) -> None:
        self._model, self._steps, self._held = model, steps, held
        self._behind = _calls_behind(model)
        self._taken = {id(each) for chain in self._behind.values() for each in chain}
        self._ranges: dict[int, tuple[Any, Range]] = {}  # of new tensors by their id, which stay alive here
        self._masks: dict[int, Any] = {}  # new tensors with −1e9 in them, by their id: no range has room for scores too
        self._names: set[str] = set()
        self.in_float: list[str] = []  # names of layers of which only inputs and outputs are rounded

    def tensors(self) -> tuple[list[Any], list[Any]]:
        """Returns the new inputs and outputs."""
        inputs = [input_like(x, x) for x in self._model.inputs]
        starts = [self._followed(x, f"{x.name}_range") for x in inputs]
        return inputs, walk(self._model, starts, self._visit)

    def _visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        if id(node) in self._taken:
            return args[0]  # computed with the call before it
        operation, kind = node.operation, kind_of(node)
        if passes_masks(node) and self._holds_mask(args, kwargs):
            self.in_float.append(operation.name)
            y = self._copied(operation)(*args, **kwargs)
            self._masks[id(y)] = y
            return y
        behind = [each.operation for each in self._behind.get(id(node), [])]
        if kind is Kind.KERNEL:
            return self._kernel(operation, behind, args[0])
        function = function_of(node)
        if function is not None:
            return self._activation(function, args[0], self._copied(operation), operation.name)
        if kind in (Kind.SAME, Kind.AVERAGE):
            return self._same(self._copied(operation), kind, args, kwargs)
        if kind is Kind.FLOAT:
            self.in_float.append(operation.name)
        if kind is Kind.NORM:
            y = RoundedNorm(operation, self._steps, self._held, self._named(operation.name))(args[0])
        else:
            y = self._copied(operation)(*args, **kwargs)
        y = self._rectified(y, behind)
        return tree.map_structure(lambda each: self._followed(each, f"{operation.name}_range"), y)

    def _kernel(self, layer: Any, behind: list[Any], x: Any) -> Any:
        """Returns the output of a layer with a kernel and of the calls that it takes in."""
        norm = behind.pop(0) if behind and isinstance(behind[0], layers.BatchNormalization) else None
        activation, name = layer.activation, f"{layer.name}_activation"
        own = None if activation is keras.activations.linear else layers.Activation(activation, name=self._named(name))
        made = FollowedRange(self._held, name=self._named(f"{layer.name}_range"))
        ranges = self._range(x) or made, made
        y = RoundedKernel(layer, norm, self._steps, ranges, self._named(layer.name))(x)
        if own and activation not in RECTIFIERS:
            return self._activation(activation, self._ranged(made(y), made), own, name)
        y = own(y) if own else self._rectified(y, behind)
        return self._ranged(made(y), made)

    def _rectified(self, y: Any, behind: list[Any]) -> Any:
        for each in behind:
            y = self._copied(each)(y)
        return y

    def _activation(self, function: Callable[..., Any], x: Any, layer: Any, name: str) -> Any:
        """Returns an activation of a rounded tensor; `layer` computes it."""
        kind = kind_of_function(function)
        if kind is Kind.SAME:
            return self._ranged(layer(x), self._range(x))
        if kind is Kind.FIXED:
            new = FixedRange(*FIXED[function], function, self._named(f"{name}_range"))
            return self._ranged(new(layer(x)), new)
        if kind is Kind.FLOAT:
            self.in_float.append(name)
        y = x * FixedRange(*SIGMOID)(ops.sigmoid(x)) if kind is Kind.SILU else layer(x)
        return self._followed(y, f"{name}_range", function)

    def _same(self, operation: Any, kind: Kind, args: Any, kwargs: Any) -> Any:
        """Returns the outputs of an operation whose tensors have one scale."""
        fed = self._fed(args, kwargs)
        if len({each.fixed if isinstance(each, FixedRange) else None for each in fed}) > 1:
            args, kwargs = tree.map_structure(lambda x: self._free(x, f"{operation.name}_scale"), (args, kwargs))
            fed = self._fed(args, kwargs)
        y = operation(*args, **kwargs)
        if not fed:
            return tree.map_structure(lambda each: self._followed(each, f"{operation.name}_range"), y)
        first, *others = fed
        for other in others:
            if isinstance(first, FollowedRange):
                first.scale.join(other.scale)
        if kind is Kind.AVERAGE:
            y = self._rounded_as(first, y, f"{operation.name}_range")
        return tree.map_structure(lambda each: self._ranged(each, first), y)

    def _fed(self, *inputs: Any) -> list[Range]:
        return [given for given in map(self._range, tree.flatten(inputs)) if given is not None]

    def _free(self, x: Any, name: str) -> Any:
        """Returns a tensor whose scale is not fixed: rounded once more, if an activation has fixed it."""
        return self._followed(x, name) if isinstance(self._range(x), FixedRange) else x

    def _rounded_as(self, given: Range, x: Any, name: str) -> Any:
        if isinstance(given, FixedRange):
            return FixedRange(*given.fixed, name=self._named(name))(x)
        new = FollowedRange(self._held, name=self._named(name))
        given.scale.join(new.scale)
        return new(x)

    def _holds_mask(self, *inputs: Any) -> bool:
        fed = tree.flatten(inputs)
        constants = (each for each in fed if isinstance(each, int | float | np.ndarray))
        return any(id(each) in self._masks for each in fed) or any(np.any(np.abs(each) >= HUGE) for each in constants)

    def _followed(self, x: Any, name: str, function: Callable[..., Any] | None = None) -> Any:
        """Returns a tensor rounded to a range that follows it; numbers that are integers already stay."""
        if not keras.backend.is_float_dtype(x.dtype):
            return x
        new = FollowedRange(self._held, function, self._named(name))
        return self._ranged(new(x), new)

    def _ranged(self, x: Any, given: Range | None) -> Any:
        if given is not None:
            self._ranges[id(x)] = x, given
        return x

    def _range(self, x: Any) -> Range | None:
        return self._ranges.get(id(x), (None, None))[1]

    def _copied(self, operation: Any) -> Any:
        return share_variables(operation, name=self._named(operation.name))

    def _named(self, name: str) -> str:
        """Returns a name that no call has yet."""
        found, number = name, 1
        while found in self._names:
            number += 1
            found = f"{name}_{number}"
        self._names.add(found)
        return found


def _calls_behind(model: Functional) -> dict[int, list[Any]]:
    """Returns the calls that an operator of the file takes in, by the id of its own call."""
    found = {}
    reads = wiring(*bodies(model))
    for body in bodies(model):
        for node in nodes(body):
            kind = kind_of(node)
            if kind in (Kind.KERNEL, Kind.NORM, Kind.SUM):
                found[id(node)] = list(_taken_in(node, kind, reads))
    return found


def _taken_in(node: Any, kind: Kind, reads: Wiring) -> Iterator[Any]:
    if kind is Kind.KERNEL and node.operation.activation is not keras.activations.linear:
        return
    reader = _only_reader(node, reads)
    if kind is Kind.KERNEL and reader and kind_of(reader) is Kind.NORM and _is_of_channels(node, reader):
        yield reader
        reader = _only_reader(reader, reads)
    if reader and function_of(reader) in RECTIFIERS:
        yield reader


def _only_reader(node: Any, reads: Wiring) -> Any | None:
    readers = reads.readers_of(node.outputs[0])
    return readers[0] if len(readers) == 1 else None


def _is_of_channels(node: Any, norm: Any) -> bool:
    """Returns whether a BatchNorm normalises the output channels of a kernel."""
    rank = len(node.outputs[0].shape)
    first = getattr(node.operation, "data_format", "channels_last") == "channels_first"
    return norm.operation.axis % rank == (1 if first else rank - 1)
