"""Outputs of the dense model: the targets for which the kernels of the slim one are solved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import layers, ops

from kerasprune._keras import argument_names, attention_parts, calls_of_layers
from kerasprune.data.batches import Batches
from kerasprune.graph.graph import values
from kerasprune.progress import ProgressLine
from kerasprune.repair.reconstruction.as_linear import Linear, chosen_positions, numbers_of
from kerasprune.repair.reconstruction.program import Program, Scratch, Step, Value, run_step
from kerasprune.rules.gate import Gate

_ATTENTION = (layers.MultiHeadAttention, layers.GroupQueryAttention)
_READ = {"query_dense": ("query",), "gate_dense": ("query",), "key_dense": ("key", "value"), "value_dense": ("value",)}
"""The arguments of an attention that its projections read, or of which they read the first that is given."""


def kernel_layers(layer: Any) -> list[Any]:
    """Returns the layers that have the kernels of a layer, in the order they act: itself, if it has no inner ones."""
    if type(layer) is layers.TimeDistributed:
        return [layer.layer]
    if type(layer) not in _ATTENTION:
        return [layer]
    parts = attention_parts(layer)
    projections = (parts.query_dense, parts.key_dense, parts.value_dense, parts.gate_dense, parts.output_dense)
    return [each for each in projections if each is not None]


def given_to(layer: Any, step: Step, tensors: Sequence[Any]) -> Any:
    """Returns the input that a layer receives if it, or the layer that contains it, is called.

    Under `TimeDistributed`, the steps become examples: `steps_of` for each one.

    Args:
        layer: The layer.
        step: The call.
        tensors: Those that go into the call, in order.
    """
    found = _read_directly(layer, step, tensors)
    if found is None:
        _, given = run_with_inputs([layer], step, dict(zip(step.inputs, tensors, strict=False)))
        return given[id(layer)]
    return found


def _read_directly(layer: Any, step: Step, tensors: Sequence[Any]) -> Any | None:
    """Returns the input of a layer if the call gets it; `None` if only a run of the call shows it."""
    if layer is step.operation:
        return tensors[0]
    if type(step.operation) is layers.TimeDistributed:
        return ops.reshape(tensors[0], (-1, *tensors[0].shape[2:]))
    for part, names in _READ.items() if type(step.operation) in _ATTENTION else ():
        if layer is getattr(attention_parts(step.operation), part):
            given = dict(zip(argument_names(step.operation), step.args, strict=False)) | step.kwargs
            return tensors[step.inputs.index(next(given[name] for name in names if given.get(name) is not None))]
    return None


def run_with_inputs(inner: Sequence[Any], step: Step, tensors: dict[Value, Any]) -> tuple[list[Any], dict[int, Any]]:
    """Returns the outputs of a call, and the inputs of the layers with its kernels by their `id`, from one run."""
    given = {id(each): _read_directly(each, step, [tensors[x] for x in step.inputs]) for each in inner}
    hidden = [key for key, found in given.items() if found is None]

    def visit(it: Any, call: Any, args: Any, kwargs: Any) -> Any:
        if id(it) in hidden:
            given[id(it)] = args[0]
        return call(it, *args, **kwargs)

    with calls_of_layers(visit) if hidden else nullcontext():
        return run_step(step, tensors), given


def steps_of(step: Step) -> int:
    """Returns how often the layer inside a call is applied to each example; 1 if that is unknown."""
    at_every_step = type(step.operation) is layers.TimeDistributed
    return step.inputs[0].shape[1] or 1 if at_every_step else 1


@dataclass(frozen=True)
class Wanted:
    """What is to be computed of one call of a kernel of the dense model, before its activation.

    Args:
        view: The kernel.
        step: Its call.
        is_output: Whether the call returns just that.
        total: The residual sum that it goes into; `None` if that is not requested.
        number: How many positions of every example.
        columns: Which columns, (groups, columns).
    """

    view: Linear
    step: Step
    is_output: bool
    total: Value | None
    number: int
    columns: np.ndarray | slice

    @property
    def key(self) -> tuple[Step, int, Value | None]:
        """What it is known by."""
        return self.step, id(self.view.variable), self.total


@dataclass
class Made:
    """Outputs of the dense model for a batch at chosen positions, (rows, groups, columns), before the activation.

    Args:
        chosen: The positions, (examples, number).
        y: What the kernel makes.
        sum: The residual sum that it goes into; `None` if that is not requested.
    """

    chosen: np.ndarray
    y: np.ndarray
    sum: np.ndarray | None = None


class Targets:
    """The outputs of the dense model's kernels at chosen positions, computed for all kernels in one pass.

    Args:
        dense: The calls of the dense model.
        examples: What it is run on.
        random: Chooses the positions.
        verbose: 0 = silent, otherwise lines on the batches. Defaults to 0.
    """

    def __init__(self, dense: Program, examples: Batches, random: np.random.Generator, verbose: int = 0) -> None:
        self.scratch, self._verbose = Scratch(), verbose  # the memory of the slim model, too
        self._program, self._examples, self._random = dense, examples, random
        self._held: dict[tuple, list[Made]] = {}

    def hold(self, wanted: Sequence[Wanted]) -> None:
        """Runs the dense model on all examples, once, for what is not held yet."""
        missing = {each.key: each for each in wanted if each.key not in self._held}
        self._held |= {key: [] for key in missing}
        calls, sums = defaultdict(list), defaultdict(list)
        for each in missing.values():
            calls[each.step].append(each)
            sums[each.total].append(each)
        ends = [value for step in calls for value in step.outputs] + [value for value in sums if value is not None]
        steps = list(self._program.before(ends))
        with ProgressLine("reconstruct: the dense model", len(self._examples), "batches", self._verbose) as line:
            for number, batch in enumerate(self._examples if steps else ()):
                line.write(number)
                self._hold_batch(batch, steps, calls, sums)

    def _hold_batch(
        self,
        batch: Sequence[Any],
        steps: Sequence[Step],
        calls: Mapping[Step, Sequence[Wanted]],
        sums: Mapping[Any, Sequence[Wanted]],
    ) -> None:
        """Runs a batch, and holds what is wanted of each step and of each sum."""
        tensors = dict(zip(self._program.inputs, map(ops.convert_to_tensor, batch), strict=True))
        for step, done in with_last_uses(steps):
            outputs, given = run_with_inputs([each.view.layer for each in calls[step]], step, tensors)
            for each in calls[step]:
                self._held[each.key].append(self._made(each, numbers_of(given[id(each.view.layer)]), outputs))
            for value, tensor in zip(step.outputs, outputs, strict=True):
                tensors[value] = tensor
                for each in sums[value]:
                    made = self._held[each.key][-1]
                    rows = each.view.outputs(numbers_of(tensor), made.chosen)
                    made.sum = self._kept(each, _flat(rows))
            for value in done:
                del tensors[value]

    def of(self, wanted: Wanted) -> Iterable[Made]:
        """Returns the outputs at the positions of a call, batch by batch."""
        return self._held[wanted.key]

    def release(self, wanted: Wanted) -> None:
        """Lets go of what has been used."""
        self._held.pop(wanted.key, None)

    def _made(self, wanted: Wanted, whole: np.ndarray, outputs: Sequence[Any]) -> Made:
        view = wanted.view
        chosen = chosen_positions(len(whole), view.positions(whole.shape), wanted.number, self._random)
        y = view.outputs(numbers_of(outputs[0]), chosen) if wanted.is_output else view.made(whole, chosen)
        return Made(chosen, self._kept(wanted, self._gated(wanted.step, _flat(y))))

    def _kept(self, wanted: Wanted, rows: np.ndarray) -> np.ndarray:
        return self.scratch.hold(rows[:, wanted.columns])

    def _gated(self, step: Step, rows: np.ndarray) -> np.ndarray:
        """Returns rows times the scales of a gate behind a dense layer, which the slim one has in its kernel."""
        readers = self._program.readers.get(step.outputs[0], [])
        gates = [each.operation for each in readers if isinstance(each.operation, Gate)]
        return rows * values(gates[0].gamma) if gates else rows


def _flat(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(len(rows), -1)


def with_last_uses(steps: Sequence[Step]) -> Iterator[tuple[Step, list[Value]]]:
    """Yields calls with the tensors that none of those after it reads, nor is any made for."""
    last: dict[Value, Step] = {}
    for step in steps:
        last |= dict.fromkeys([*step.inputs, *step.outputs], step)
    gone: dict[Step, list[Value]] = {step: [] for step in steps}
    for value, step in last.items():
        gone[step].append(value)
    return ((step, gone[step]) for step in steps)
