"""A slim model paired with the dense one: the calls that correspond, and the channels kept of their outputs."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

import keras
import numpy as np

from kerasprune._keras import inner_layers
from kerasprune.errors import nearest, raise_faults
from kerasprune.graph.channels import Ids
from kerasprune.repair.reconstruction.program import Program, Step, Value
from kerasprune.rules.gate import Gate
from kerasprune.surgery.cut import Cut


@dataclass(frozen=True)
class Pair:
    """A tensor of the slim model, that of the dense one, and the positions of it that were kept: `{axis: indices}`."""

    slim: Value
    dense: Value
    kept: dict[int, np.ndarray]

    def cut(self, tensor: np.ndarray) -> np.ndarray:
        """Returns the kept part of the dense tensor."""
        for axis, indices in self.kept.items():
            if indices.size < tensor.shape[axis]:
                tensor = np.take(tensor, indices, axis=axis)
        return tensor


@dataclass(frozen=True)
class Pairing:
    """A slim model and the dense one, call by call.

    Args:
        cut: The cut in the dense model.
        slim: The calls of the slim model.
        dense: The calls of the dense model, blocks that were dropped included.
        dense_of: The call of the dense model for every call of the slim one that it has too.
        of: For every output of those calls, the pair of tensors.
    """

    cut: Cut
    slim: Program
    dense: Program
    dense_of: dict[Step, Step] = field(repr=False)
    of: dict[Value, Pair] = field(repr=False)

    def has_kernel(self, step: Step) -> bool:
        """Returns whether a call in the slim model belongs to a layer with a kernel."""
        owners = {id(kernel.owner) for kernel in self.cut.graph.kernels}
        dense = self.dense_of.get(step)
        return dense is not None and any(id(each) in owners for each in inner_layers(dense.operation))

    def reads_channels(self, step: Step) -> bool:
        """Returns whether a kernel of a layer reads channels; what an embedding looks up is exact after removal."""
        own = {id(each) for each in inner_layers(self.dense_of[step].operation)}
        kernels = (kernel for kernel in self.cut.graph.kernels if id(kernel.owner) in own)
        return any(kernel.reads and any(number != 0 for number in kernel.positions) for kernel in kernels)

    def last_kernel_steps(self) -> list[Step]:
        """Returns the calls of the last layers with kernels before the outputs."""
        found, seen = [], set()
        stack = list(self.slim.outputs)
        while stack:
            step = self.slim.maker.get(stack.pop())
            if step is None or step in seen:
                continue
            seen.add(step)
            if self.has_kernel(step):
                found.append(step)
            else:
                stack += step.inputs
        return found

    def last_features(self) -> list[Pair]:
        """Returns the tensors that the last layers with kernels read, without inputs; the outputs if none is left."""
        values = [value for step in self.last_kernel_steps() for value in step.inputs]
        return self._pairs(values) or self.outputs()

    def outputs(self) -> list[Pair]:
        """Returns the outputs of the models."""
        return self._pairs(self.slim.outputs)

    def _pairs(self, values: list[Value]) -> list[Pair]:
        return [self.of[value] for value in dict.fromkeys(values) if value in self.of]


def pair_models(slim: keras.Model, cut: Cut, dense: Program | None = None) -> Pairing:
    """Pairs a slim model with the dense one.

    Args:
        slim: What `kp.rebuild(model, plan)` has made.
        cut: The cut that the plan makes in the dense model.
        dense: The calls of the dense model, where they are known. Defaults to `None`: they are found.

    Raises:
        PruneError: The slim model is not one of this plan.
    """
    mine, dense = Program(slim), dense or Program(cut.model)
    theirs: dict[int, deque[Step]] = defaultdict(deque)
    for step in dense.steps:
        theirs[id(step.node)].append(step)
    ours: dict[str, deque[Step]] = defaultdict(deque)
    for step in mine.steps:
        ours[step.operation.name].append(step)
    dense_of: dict[Step, Step] = {}
    of: dict[Value, Pair] = {}
    faults = []
    if [x.shape[1:] for x in mine.inputs] != [x.shape[1:] for x in dense.inputs]:
        faults.append(f"inputs {[x.shape for x in dense.inputs]}. Received: {[x.shape for x in mine.inputs]}.")
    for call in cut.graph.calls:
        name = call.operation.name
        step = theirs[id(call.node)].popleft()
        own = ours[name].popleft() if ours[name] else None
        if own is None or type(own.operation) is not type(call.operation):
            if getattr(call.operation, "weights", ()) and not isinstance(call.operation, Gate):
                known = {each.operation.name for each in mine.steps}
                faults.append(f"a call of {name!r} of class {type(call.operation).__name__}.{nearest(name, known)}")
            continue
        dense_of[own] = step
        for value, whole, ids in zip(own.outputs, step.outputs, call.outputs, strict=True):
            of[value] = pair = Pair(value, whole, {axis: cut.take(line) for axis, line in ids.axes.items()})
            faults += _width_faults(name, pair, ids)
    raise_faults(
        f"Expected the model that kp.rebuild returns for {cut.model.name!r} with this plan. "
        f"Received: {slim.name!r}, which does not have",
        faults,
    )
    return Pairing(cut, mine, dense, dense_of, of)


def _width_faults(name: str, pair: Pair, ids: Ids) -> list[str]:
    """Returns a fault for each axis of a tensor whose width in the slim model is not the plan's."""
    return [
        f"{indices.size} channels out of {name!r}. Received: {pair.slim.shape[axis]}."
        for axis, indices in pair.kept.items()
        if pair.slim.shape[axis] not in (None, indices.size)
    ]
