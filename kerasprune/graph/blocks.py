"""Blocks: the parts of a model that can be removed whole."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune._keras import number_of_calls
from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.built_model import body_of
from kerasprune.graph.channels import Block
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.walk import Wiring, bodies, nodes, wiring

SUMS = (layers.Add, knp.Add)
_JOINS = (layers.Concatenate, knp.Concatenate)
_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_FOLLOWERS = (layers.BatchNormalization, layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)


def find_blocks(model: keras.Model) -> dict[str, Block]:
    """Returns the droppable blocks of a model and of the models nested in it, by name.

    A *residual* block is the branch of a sum: `x + f(x)` becomes `x`. A *dense* block is the branch of a concatenation:
    `[x; f(x)]` becomes `x`. A *plain* block is a convolution outside of branches, with the normalisation and activation
    after it, that keeps the shape: `f(x)` becomes `x`. It ends a group, so in plain networks blocks are removed before
    channels are chosen.

    Args:
        model: A functional or Sequential model.

    Returns:
        The blocks, in the order of the graph. No layer outside a block reads a tensor inside it.
    """
    blocks: dict[str, Block] = {}
    for body in dict.fromkeys(bodies(body_of(model))):
        wired, calls = wiring(body), nodes(body)
        branches = [block for node in calls if (block := _branch(node, wired))]
        inside = {name for block in branches for name in block.layers}
        plain = [block for node in calls if (block := _plain(node, wired)) and not inside & set(block.layers)]
        for block in (*branches, *plain):
            blocks.setdefault(block.name, block)
    return blocks


def droppable(graph: ChannelGraph) -> dict[str, Block]:
    """Returns the blocks of a traced model, without dense ones whose channels cannot be removed.

    Some of their channels are pinned, or are channels of the trunk too (a copy of it, activated), or have the channels
    of a narrower branch added to them.
    """
    found = find_blocks(graph.model)
    ends = {id(block.target): block for block in found.values() if block.kind == "dense"}
    if not ends:
        return found
    pinned = graph.classes_with(np.concatenate([np.zeros(0, int), *(sum_.trunk for sum_ in graph.padded)]))
    for group in graph.groups.values():
        pinned[group.classes] |= not group.prunable
    for call in graph.calls:
        block = ends.get(id(call.node.outputs[0]))
        if block is not None:
            lines = [ids.axes.get(len(ids.shape) - 1) for ids in call.inputs]
            is_added = [tensor is block.branch for tensor in call.node.input_tensors]
            trunk = [ids for ids, added in zip(lines, is_added, strict=True) if not added and ids is not None]
            bound = pinned | graph.classes_with(np.concatenate([np.zeros(0, int), *trunk]))
            branch = [ids for ids, added in zip(lines, is_added, strict=True) if added]
            if any(ids is None or bound[graph.classes[ids]].any() for ids in branch):
                found.pop(block.name, None)
    return found


def _branch(node: Any, wired: Wiring) -> Block | None:
    """Returns the block that ends in this sum or concatenation of two tensors, or `None`."""
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
    """Returns the names of the layers from `source` to `branch`, or none if other layers read a tensor between."""
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
    """Returns the plain block that begins with this convolution, or `None`."""
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
