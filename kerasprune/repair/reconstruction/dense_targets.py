"""Outputs of the dense model: the targets for which the kernels of the slim one are solved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import layers, ops

from kerasprune._keras import attention_parts, calls_of_layers
from kerasprune.data.batches import Batches
from kerasprune.graph.graph import values
from kerasprune.repair.reconstruction.as_linear import chosen_positions, numbers_of
from kerasprune.repair.reconstruction.layer_tail import Kernel
from kerasprune.repair.reconstruction.program import Program, ProgramRun, Scratch, Step, Value, run_step
from kerasprune.rules.gate import Gate

_ATTENTION = (layers.MultiHeadAttention, layers.GroupQueryAttention)


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
    if layer is step.operation:
        return tensors[0]
    if type(step.operation) is layers.TimeDistributed:
        return ops.reshape(tensors[0], (-1, *tensors[0].shape[2:]))
    seen: list[Any] = []

    def visit(it: Any, call: Any, args: Any, kwargs: Any) -> Any:
        if it is layer:
            seen.append(args[0])
        return call(it, *args, **kwargs)

    with calls_of_layers(visit):
        run_step(step, dict(zip(step.inputs, tensors, strict=False)))
    return seen[0]


def steps_of(step: Step) -> int:
    """Returns how often the layer inside a call is applied to each example; 1 if that is unknown."""
    at_every_step = type(step.operation) is layers.TimeDistributed
    return step.inputs[0].shape[1] or 1 if at_every_step else 1


@dataclass(frozen=True)
class Made:
    """Outputs of the dense model for a batch at chosen positions, (rows, all columns), before the activation.

    Args:
        chosen: The positions, (examples, number).
        y: What the kernel makes.
        sum: The residual sum that it goes into; `None` if that is not requested.
    """

    chosen: np.ndarray
    y: np.ndarray
    sum: np.ndarray | None


class Targets:
    """The outputs of the dense model's kernels.

    Args:
        dense: The calls of the dense model.
        examples: What it is run on.
        random: Chooses the positions.
    """

    def __init__(self, dense: Program, examples: Batches, random: np.random.Generator) -> None:
        self.scratch = Scratch()  # of the slim model, too
        self._program, self._run, self._random = dense, ProgramRun(dense, examples, scratch=self.scratch), random

    @property
    def pinned(self) -> Counter[Value]:
        """How often each tensor will still be requested; it is held until then."""
        return self._run.pinned

    def of(self, kernel: Kernel, step: Step, total: Value | None, number: int) -> Iterator[Made]:
        """Yields the outputs of a kernel, batch by batch; they must be read to the end.

        Args:
            kernel: The kernel.
            step: Its call of the dense model.
            total: The residual sum that it goes into, if that is wanted.
            number: How many positions of every example.
        """
        view, gates = kernel.dense, self._gates(step)
        made = step.outputs[:1] if kernel.is_last and view.layer is step.operation and view.is_linear else ()
        for tensors in self._run.batches(*step.inputs, *made, *([] if total is None else [total])):
            whole = numbers_of(given_to(view.layer, step, tensors))
            chosen = chosen_positions(len(whole), view.positions(whole.shape), number, self._random)
            y = view.outputs(numbers_of(tensors[len(step.inputs)]), chosen) if made else view.made(whole, chosen)
            y = y.reshape(len(y), -1) * gates
            sums = None if total is None else view.outputs(numbers_of(tensors[-1]), chosen).reshape(len(y), -1)
            yield Made(chosen, y, sums)

    def _gates(self, step: Step) -> np.ndarray:
        """Returns the scales of a gate behind a dense layer, which the slim one has in its kernel; else 1."""
        readers = self._program.readers.get(step.outputs[0], [])
        gates = [each.operation for each in readers if isinstance(each.operation, Gate)]
        return values(gates[0].gamma) if gates else np.ones(1, "float32")
