"""Stages of a network: the stem, then each run of blocks at one spatial size."""

from __future__ import annotations

from math import prod

from kerasprune.graph.blocks import SUMS
from kerasprune.graph.channels import TracedCall
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.graph.walk import Wiring

_NOMINAL_SIDE = 256  # of a free input side: only the order of sizes matters


def stages(graph: ChannelGraph) -> dict[str, int]:
    """Returns `{layer name: stage}`, counted from 0, for layers with kernels, except dense layers on vectors.

    Stage 0 is the first convolution. A layer inside a residual branch belongs to the stage of the sum that ends the
    branch, even before the block's stride; other layers belong to the stage of their own output size.
    """
    if any(None in call.outputs[0].shape[1:] for call in graph.calls):
        graph = trace(graph.model, coupling=graph.coupling, unknown="freeze", size=_NOMINAL_SIDE)
    owners = {id(kernel.owner) for kernel in graph.kernels}
    found: dict[str, int] = {}
    stage, size = 0, None
    for name, here in _sizes(graph, owners).items():
        if found and here != size:
            stage, size = stage + 1, here
        found[name] = stage
    return found


def _sizes(graph: ChannelGraph, owners: set[int]) -> dict[str, int]:
    """Returns the spatial size of the output of each layer, in the order of the calls."""
    spatial = [c for c in graph.calls if id(c.operation) in owners and len(c.outputs[0].shape) > 2]
    sizes = {call.operation.name: _area(call) for call in spatial}
    wired = Wiring()
    settled: set[str] = set()
    for call in graph.calls:
        wired.add(call, call.inputs, call.outputs)
        if isinstance(call.operation, SUMS):
            for name in _branch_layers(call, wired, settled):
                settled.add(name)
                if name in sizes:
                    sizes[name] = _area(call)
    return sizes


def _branch_layers(call: TracedCall, wired: Wiring, settled: set[str]) -> set[str]:
    """Returns the layers that lead to a merge from the merges before it."""
    found, waiting = set(), [wired.maker(x) for x in call.inputs]
    while waiting:
        before = waiting.pop()
        if before is None or before.operation.name in found | settled or isinstance(before.operation, SUMS):
            continue
        found.add(before.operation.name)
        waiting += [wired.maker(x) for x in before.inputs]
    return found


def _area(call: TracedCall) -> int:
    made = call.outputs[0]
    channels = made.axes or (len(made.shape) - 1,)
    return prod(size for axis, size in enumerate(made.shape) if axis and axis not in channels)
