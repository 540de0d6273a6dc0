"""Zeroes channels and blocks of a model in training without changing its shapes."""

from __future__ import annotations

from math import prod
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kerasprune._keras import making_node, number_of_calls
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.channels import Block
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import trace
from kerasprune.papers.three_dimensional.block_criterion import blocks_of
from kerasprune.training.candidates import Part, Unit
from kerasprune.training.masks import Masks
from kerasprune.training.session import Session

_QUIET = (
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.Activation,
    layers.ReLU,
    layers.LeakyReLU,
    layers.Identity,
)
_MAKERS = (layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv2D, layers.Dense)


class PlanMasks:
    """Masks under which a model computes the same as the network of a plan.

    Channels: every kernel that reads them is zero along them (`kp.mask(…, silence="output")`). Residual blocks: the
    layer that ends the branch is zero. Dense blocks: as channels.

    Args:
        model: The model, compiled.
        dimension: `"depth"` or `"width"`, the dimension to be pruned.

    Raises:
        PruneError: The model has parts that cannot be silenced by values.
    """

    def __init__(self, model: keras.Model, dimension: str) -> None:
        self._model = model
        self._graph = graph = trace(model, unknown="freeze")
        self._blocks = blocks_of(graph)
        self._closing: dict[str, list[Any]] = {}
        faults = []
        for name, block in self._blocks.items() if dimension == "depth" else ():
            found = _closing(block) if block.kind == "residual" else []
            if block.kind == "plain" or found is None:
                faults.append(f"block {name!r} ({block.kind}) does not end in a layer whose weights can be zero.")
            self._closing[name] = found or []
        prunable = np.isin(graph.classes, [each for group in graph.prunable.values() for each in group.classes])
        removes_channels = dimension == "width" or any(block.kind == "dense" for block in self._blocks.values())
        norms = [owner.name for owner, _, ids in graph.norms if prunable[ids].any()]
        if removes_channels and norms:
            faults.append(f"{', '.join(norms[:5])} take statistics over channels, which a silent one would change.")
        raise_faults(
            "The model cannot be shrunk by values; kp.papers.three_dimensional.rounds rebuilds it instead:", faults
        )
        self._readers = [
            entry
            for entry in graph.slices
            if any(entry.ids[axis] is not None and prunable[entry.ids[axis]].any() for axis in entry.reads)
        ]
        variables = [entry.variable for entry in self._readers]
        variables += [variable for closing in self._closing.values() for variable in closing]
        self._variables = list({id(variable): variable for variable in variables}.values())
        sizes = [(v, graph.paths[id(v)], prod(v.shape)) for v in self._variables]
        self._masks = Masks([Unit.of(path, size, size, (Part(v),)) for v, path, size in sizes])
        self._masks.clear()

    def attach(self, session: Session) -> None:
        """Keeps silent weights at zero in every step of `fit`."""
        self._masks.attach(session)

    def holds(self) -> bool:
        """Returns whether all silent weights are zero."""
        return self._masks.holds()

    def assign(self, plan: Plan) -> None:
        """Silences the channels and blocks that a plan removes, now and in every later step."""
        alive = self._graph.alive(plan.keep)
        for name in plan.removed:
            if self._blocks[name].kind == "dense":
                removed = self._graph.classes[self._added(self._blocks[name])]
                alive &= ~np.isin(self._graph.classes, removed)
        masks = {id(variable): np.ones(variable.shape, bool) for variable in self._variables}
        for entry in self._readers:
            for axis in entry.reads:
                if entry.ids[axis] is not None:
                    line = [-1 if a == axis else 1 for a in range(len(entry.ids))]
                    masks[id(entry.variable)] &= alive[entry.ids[axis]].reshape(line)
        for name in plan.removed:
            for variable in self._closing.get(name, ()):
                masks[id(variable)][...] = False
        self._masks.assign([~masks[id(variable)].ravel() for variable in self._variables])
        self._masks.apply(self._model.optimizer)

    def _added(self, block: Block) -> np.ndarray:
        """Returns the ids of the channels of a dense block."""
        for call in self._graph.calls:
            if call.node.outputs[0] is block.target:
                for tensor, ids in zip(call.node.input_tensors, call.inputs, strict=True):
                    if tensor is block.branch:
                        return ids.axes[len(ids.shape) - 1]
        raise PruneError(f"Expected the channels that {block.name!r} adds. Received: none that can be identified.")


def _closing(block: Block) -> list[Any] | None:
    """Returns variables whose zeros make a residual branch zero, or `None` if it has none."""
    tensor = block.branch
    while tensor is not block.source:
        node = making_node(tensor)
        operation = node.operation
        if len(node.input_tensors) != 1:
            return None
        if number_of_calls(operation) == 1:
            if isinstance(operation, layers.BatchNormalization) and operation.scale:
                return [operation.gamma, *([operation.beta] if operation.center else [])]
            if isinstance(operation, _MAKERS) and _at_zero(operation.activation):
                return [operation.kernel, *([operation.bias] if operation.use_bias else [])]
        if not isinstance(operation, _QUIET) or not _at_zero(getattr(operation, "activation", None)):
            return None
        tensor = node.input_tensors[0]
    return None


def _at_zero(activation: Any) -> bool:
    """Returns whether an activation of zero is zero."""
    return activation is None or not ops.convert_to_numpy(activation(ops.zeros((1, 2)))).any()
