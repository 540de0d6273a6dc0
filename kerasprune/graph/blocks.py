"""Finds the parts of a model that can be dropped whole: residual branches, dense layers, plain convolutions."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune._keras import number_of_calls
from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.built_model import functional
from kerasprune.graph.channels import Block
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.walk import nodes
from kerasprune.graph.wiring import Wiring, bodies, wiring

SUMS = (layers.Add, knp.Add)
_JOINS = (layers.Concatenate, knp.Concatenate)
_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_FOLLOWERS = (layers.BatchNormalization, layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)


def find_blocks(model: keras.Model) -> dict[str, Block]:
    """Returns the droppable blocks of a model and of the models nested in it, by name.

    A *residual* block is the branch of a sum whose other operand goes in unchanged: `x + f(x)` becomes `x`. A *dense*
    block is what a concatenation adds to what went in: `[x; f(x)]` becomes `x`. A *plain* block is a convolution, with
    the normalisation and activation after it, that leaves the shape as it is and is no part of a branch: `f(x)`
    becomes `x`. Its group ends with it, so in plain networks blocks are dropped before channels are chosen.

    Args:
        model: A functional or Sequential model.

    Returns:
        The blocks, in the order of the graph. Nothing outside a block reads from inside it.
    """
    blocks: dict[str, Block] = {}
    for body in dict.fromkeys(bodies(functional(model))):
        wired, calls = wiring(body), nodes(body)
        branches = [block for node in calls if (block := _branch(node, wired))]
        inside = {name for block in branches for name in block.layers}
        plain = [block for node in calls if (block := _plain(node, wired)) and not inside & set(block.layers)]
        for block in (*branches, *plain):
            blocks.setdefault(block.name, block)
    return blocks


def droppable(graph: ChannelGraph) -> dict[str, Block]:
    """Returns the blocks of a traced model, but for dense ones that cannot go by their channels.

    Those are the ones of whose channels some are pinned, or are channels of the trunk too (a copy of it, activated), or
    have channels of a narrower branch added to them, which would have nowhere to go.
    """
    found = find_blocks(graph.model)
    ends = {id(block.target): block for block in found.values() if block.kind == "dense"}
    if not ends:
        return found
    pinned = np.zeros(graph.classes.max(initial=-1) + 1, bool)
    for group in graph.groups.values():
        pinned[group.classes] = not group.prunable
    for sum_ in graph.padded:
        pinned[graph.classes[sum_.trunk]] = True
    for call in graph.calls:
        block = ends.get(id(call.node.outputs[0]))
        if block is not None:
            tensors = list(zip(call.node.input_tensors, call.inputs, strict=True))
            added = [ids.axes.get(len(ids.shape) - 1) for tensor, ids in tensors if tensor is block.branch]
            others = [ids.axes.get(len(ids.shape) - 1) for tensor, ids in tensors if tensor is not block.branch]
            trunk = [graph.classes[ids] for ids in others if ids is not None]
            bound = pinned.copy()
            bound[np.concatenate([np.zeros(0, int), *trunk])] = True
            if any(ids is None or bound[graph.classes[ids]].any() for ids in added):
                found.pop(block.name, None)
    return found


def _branch(node: Any, wired: Wiring) -> Block | None:
    """Returns the block that ends in a sum or a concatenation of two tensors, if one."""
    if not isinstance(node.operation, SUMS + _JOINS) or len(node.input_tensors) != 2:
        return None
    dense = isinstance(node.operation, _JOINS)
    if dense and node.operation.axis not in (-1, len(node.outputs[0].shape) - 1):
        return None
    for source, branch in (node.input_tensors, node.input_tensors[::-1]):
        if not dense and (source.shape != branch.shape or source.shape != node.outputs[0].shape):
            continue
        names = _between(source, branch, node, wired)
        if names:
            kind = "dense" if dense else "residual"
            return Block(node.operation.name, kind, names, source, branch, node.outputs[0])
    return None


def _between(source: Any, branch: Any, end: Any, wired: Wiring) -> tuple[str, ...]:
    """Returns the names of the layers from `source` to `branch`, or nothing where the part is not closed."""
    found: dict[int, Any] = {}
    waiting, reached = [branch], False
    while waiting:
        tensor = waiting.pop()
        if tensor is source:
            reached = True
            continue
        node = wired.maker(tensor)
        if node is None:
            return ()  # reads an input of the model
        if id(node) not in found:
            found[id(node)] = node
            waiting += node.input_tensors
    inner = {*found, id(end)}
    outputs = (output for node in found.values() for output in node.outputs)
    closed = all(id(reader) in inner for output in outputs for reader in wired.readers_of(output))
    return tuple(n.operation.name for n in reversed(found.values())) if reached and closed else ()


def _plain(node: Any, wired: Wiring) -> Block | None:
    """Returns the block that begins with a convolution that keeps the shape, if it does."""
    if not isinstance(node.operation, _CONVOLUTIONS) or number_of_calls(node.operation) != 1:
        return None
    source = node.input_tensors[0]
    if source.shape != node.outputs[0].shape or wired.maker(source) is None:
        return None
    names, target = [node.operation.name], node.outputs[0]
    while len(after := wired.readers_of(target)) == 1 and after[0] is not None:
        if not isinstance(after[0].operation, _FOLLOWERS):
            break
        names.append(after[0].operation.name)
        target = after[0].outputs[0]
    if any(reader is not None and len(reader.input_tensors) > 1 for reader in after):
        return None  # part of a branch
    return Block(node.operation.name, "plain", tuple(names), source, node.outputs[0], target)
