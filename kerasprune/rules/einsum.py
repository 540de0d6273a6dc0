"""EinsumDense: a dense layer over whatever axes its equation names."""

from __future__ import annotations

from math import prod

import numpy as np
from keras import layers

from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import SILENT, tensor_rule
from kerasprune.rules.activations import apply_function, is_nonzero_at_zero
from kerasprune.rules.matmul import letters_of_equation
from kerasprune.rules.reshape import shape_by_counts


@tensor_rule(layers.EinsumDense, constant=SILENT, reads=("equation", "output_shape", "activation", "bias_axes"))
def einsum_dense(graph: GraphBuilder, layer: layers.EinsumDense, x: Ids) -> Ids:
    """`out = einsum(equation, x, kernel) + bias`.

    A letter of the kernel in the input only is contracted; in the output only, it makes channels; in both, its channels
    stay separate.
    """
    shape = graph.call.outputs[0]
    source, kernel, target = letters_of(layer, len(x.shape))
    axes: dict[str, np.ndarray] = {}
    for axis, letter in enumerate(kernel):
        if letter in source:
            axes[letter] = graph.on(x, source.index(letter))
        else:
            axes[letter] = graph.new(layer, layer.kernel.shape[axis], "" if kernel[-1] == letter else letter)
    graph.pin_all(
        x, f"{layer.name!r} carries that axis along", but=tuple(source.index(c) for c in kernel if c in source)
    )
    reads = tuple(a for a, c in enumerate(kernel) if c not in target)
    makes = tuple(a for a, c in enumerate(kernel) if c in target)
    others = [x.shape[a] for a, c in enumerate(source) if c not in kernel and a]
    positions = None if None in others else prod(others)
    graph.kernel(layer, layer.kernel, *(axes[c] for c in kernel), reads=reads, makes=makes, positions=positions)
    if layer.bias is not None:  # its axes are the last of the output, of size one unless in bias_axes
        last = target[len(target) - len(layer.bias.shape) :]
        own = [axes.get(c) if c in layer.bias_axes else None for c in last]
        graph.slices(layer, layer.bias, *own, role="bias", makes=tuple(a for a, i in enumerate(own) if i is not None))
    out = {axis: axes[letter] for axis, letter in enumerate(target) if letter in axes}
    nonzero = is_nonzero_at_zero(layer.activation)
    graph.emits([a for a in out if nonzero or layer.bias is not None and target[a] not in layer.bias_axes])
    for axis, ids in out.items():
        apply_function(graph, layer, layer.activation, ids, shape, axis)
    made, written = Ids(shape, out), layer.partial_output_shape
    graph.sets(layer, "output_shape", shape_by_counts(written, made, skip=len(shape) - len(written)))
    return made


def letters_of(layer: layers.EinsumDense, rank: int) -> tuple[list[str], list[str], list[str]]:
    """Returns one letter per axis of the input, of `rank` axes, the kernel and the output; ellipses are numbered."""
    (source, kernel), target = letters_of_equation(layer.equation, (rank, len(layer.kernel.shape)))
    return source, kernel, target
