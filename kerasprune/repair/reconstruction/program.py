"""A model as one flat list of calls, and running it on examples part by part.

Nested models are walked into. What later calls still need is held for all examples, in files where it is large;
everything else is there for one batch at a time.
"""

from __future__ import annotations

import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune._keras import call_operation, calls_of_layers, in_inference, mask_of, put_mask
from kerasprune.backend.engine import full_precision, layer_programs
from kerasprune.data.batches import Batches
from kerasprune.graph.built_model import body_of
from kerasprune.graph.walk import walk

MEMORY = 2**30
"""Bytes that are held in memory."""


class Scratch:
    """Holds arrays, in memory while there is room, otherwise in unnamed files, which are deleted with the arrays.

    Args:
        memory: Bytes that are held in memory. Defaults to 1 GiB.

    Example:
        >>> import numpy as np
        >>> scratch = Scratch(memory=0)
        >>> type(scratch.hold(np.ones((2, 3)))).__name__
        'memmap'
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self._left = memory

    def hold(self, array: np.ndarray) -> np.ndarray:
        """Returns an array with the same numbers, whose memory or file is freed when it is no longer used."""
        if array.nbytes <= self._left:
            self._left -= array.nbytes
            weakref.finalize(array, self._release, array.nbytes)
            return array
        if not array.nbytes:
            return array
        with tempfile.TemporaryFile() as file:
            held = np.memmap(file, array.dtype, "w+", shape=array.shape)
        held[...] = array
        return held

    def _release(self, size: int) -> None:
        self._left += size


@dataclass(frozen=True, eq=False)
class Value:
    """Stands for a tensor of a program; `shape` is its symbolic shape."""

    shape: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Step:
    """One call of a layer or operation.

    Args:
        operation: The layer or operation.
        args: Its positional arguments, with a `Value` for every tensor.
        kwargs: Its keyword arguments, likewise.
        outputs: What it makes.
        node: The call in Keras's graph of the model; several steps have one where a nested model is called again.
    """

    operation: Any
    args: Any
    kwargs: dict[str, Any]
    outputs: tuple[Value, ...]
    node: Any

    @property
    def inputs(self) -> list[Value]:
        """The tensors that go in, in order."""
        return [x for x in tree.flatten((self.args, self.kwargs)) if isinstance(x, Value)]


class Program:
    """The calls of a functional model, nested models included.

    Args:
        model: A functional or Sequential model.
    """

    def __init__(self, model: keras.Model) -> None:
        body = body_of(model)
        self.steps: list[Step] = []

        def visit(node: Any, *args: Any, **kwargs: Any) -> tuple[Value, ...]:
            outputs = tuple(Value(tuple(output.shape)) for output in node.outputs)
            self.steps.append(Step(node.operation, args, kwargs, outputs, node))
            return outputs

        self.inputs = [Value(tuple(x.shape)) for x in body.inputs]
        self.outputs = walk(body, self.inputs, visit)
        self.maker = {output: step for step in self.steps for output in step.outputs}
        self.readers: dict[Value, list[Step]] = {}
        for step in self.steps:
            for value in dict.fromkeys(step.inputs):
                self.readers.setdefault(value, []).append(step)

    def before(self, wanted: Sequence[Value]) -> Iterator[Step]:
        """Yields the calls that tensors need, each after those that feed it; of two inputs the nearer one first.

        So the shortcut of a residual block comes before its branch.
        """
        done: set[Step] = set()
        stack = [self.maker[value] for value in reversed(wanted) if value in self.maker]
        while stack:
            step = stack[-1]
            feeding = {self.maker[value] for value in step.inputs if value in self.maker} - done
            if step in done or not feeding:
                stack.pop()
                if step not in done:
                    done.add(step)
                    yield step
                continue
            stack += sorted(feeding, key=self._depth.get, reverse=True)

    @cached_property
    def _depth(self) -> dict[Step, int]:
        """How many calls lie before each."""
        depth: dict[Step, int] = {}
        for step in self.steps:
            feeding = [self.maker[value] for value in step.inputs if value in self.maker]
            depth[step] = 1 + max((depth[each] for each in feeding), default=0)
        return depth


@dataclass
class ProgramRun:
    """A program run on examples as far as was asked for.

    Args:
        program: The program.
        examples: What it is run on.
        scratch: Where tensors are held.
        visit: Calls layers and operations, see `calls_of_layers`. Defaults to `None`: they are called as usual.
    """

    program: Program
    examples: Batches
    scratch: Scratch = field(default_factory=Scratch)
    visit: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        self._order = list(self.program.before(self.program.outputs))
        self._run: set[Step] = set()
        self._waiting = Counter(value for step in self._order for value in dict.fromkeys(step.inputs))
        self._held = {
            value: [(batch[index], None) for batch in self.examples] for index, value in enumerate(self.program.inputs)
        }

    def batches(self, *wanted: Value) -> Iterator[list[Any]]:
        """Yields tensors batch by batch, and runs the calls that they need; they must be read to the end."""
        steps = self._missing(wanted)
        self._run.update(steps)
        for step in steps:
            self._waiting.subtract(dict.fromkeys(step.inputs, 1))
        made = [output for step in steps for output in step.outputs]
        lasting = [value for value in made if self._waiting[value]]
        new: dict[Value, list[Any]] = {value: [] for value in lasting}
        for number in range(len(self.examples)):
            tensors = _Batch(self._held, number)
            with nullcontext() if self.visit is None else calls_of_layers(self.visit):
                for step in steps:
                    tensors.update(zip(step.outputs, run_step(step, tensors), strict=True))
            for value in lasting:
                new[value].append(self._hold(tensors[value]))
            yield [tensors[value] for value in wanted]
        self._held |= new
        for value in [value for value in self._held if not self._waiting[value]]:
            del self._held[value]

    def finish(self) -> None:
        """Runs the calls that nothing has asked for."""
        for _ in self.batches(*(value for step in self._order if step not in self._run for value in step.outputs)):
            pass

    def _hold(self, tensor: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns a tensor and its mask as arrays."""
        mask = mask_of(tensor)
        array = self.scratch.hold(keras.ops.convert_to_numpy(tensor))
        return array, None if mask is None else keras.ops.convert_to_numpy(mask)

    def _missing(self, wanted: Sequence[Value]) -> list[Step]:
        """Returns the calls that are still to be run for some tensors, in order."""
        needed, stack = set(), [value for value in wanted if value not in self._held]
        while stack:
            step = self.program.maker[stack.pop()]
            if step not in needed and step not in self._run:
                needed.add(step)
                stack += [value for value in step.inputs if value not in self._held]
        return [step for step in self._order if step in needed]


class _Batch(dict):
    """The tensors of one batch; those that are held are taken from there."""

    def __init__(self, held: dict[Value, list[Any]], number: int) -> None:
        super().__init__()
        self._all, self._number = held, number

    def __missing__(self, value: Value) -> Any:
        array, mask = self._all[value][self._number]
        kind = None if array.dtype.kind in "OSU" else str(array.dtype)  # texts; see clone.starting_from
        self[value] = tensor = keras.ops.convert_to_tensor(array, kind)
        if mask is not None:
            put_mask(tensor, keras.ops.convert_to_tensor(mask))
        return tensor


@full_precision()
def run_step(step: Step, tensors: dict[Value, Any]) -> list[Any]:
    """Returns the outputs of a call for tensors, in inference mode and in full precision."""
    args, kwargs = tree.map_structure(lambda x: tensors[x] if isinstance(x, Value) else x, (step.args, step.kwargs))
    with layer_programs():
        made = call_operation(step.operation, *args, **in_inference(step.operation, kwargs))
    return list(made) if isinstance(made, list | tuple) and len(made) == len(step.outputs) else tree.flatten(made)
