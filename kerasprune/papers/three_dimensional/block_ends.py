"""Where blocks begin and end: the input and the output of each."""

from __future__ import annotations

from keras import layers

from kerasprune.graph.graph import ChannelGraph
from kerasprune.papers.three_dimensional.block_criterion import blocks_of
from kerasprune.repair.reconstruction.program import Program, Value

_ACTIVATIONS = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)


def ends_of_blocks(graph: ChannelGraph) -> tuple[Program, dict[str, tuple[Value, Value]], dict[Value, int]]:
    """Returns the calls, for every block its input and output, after the activation if any, and their channel axes."""
    program = Program(graph.model)
    value_of: dict[int, Value] = {}
    for step in program.steps:
        value_of |= zip(map(id, step.node.input_tensors), step.inputs, strict=True)
        value_of |= zip(map(id, step.node.outputs), step.outputs, strict=True)
    axes = {id(call.node.outputs[0]): list(call.outputs[0].axes) for call in graph.calls}
    ends, places = {}, {}
    for name, block in blocks_of(graph).items():
        ends[name] = value_of[id(block.source)], _activated(value_of[id(block.target)], program)
        found = axes[id(block.target)]  # along which the input of a block has channels, too
        places |= dict.fromkeys(ends[name], found[0] if len(found) == 1 else len(block.target.shape) - 1)
    return program, ends, places


def _activated(target: Value, program: Program) -> Value:
    """Returns the output of the activation that alone reads a tensor, or the tensor."""
    after = program.readers.get(target, [])
    alone = len(after) == 1 and isinstance(after[0].operation, _ACTIVATIONS)
    return after[0].outputs[0] if alone else target
