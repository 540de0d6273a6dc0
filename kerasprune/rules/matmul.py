"""Products of two tensors of the graph: contracted channels are kept, others stay separate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import layers

from kerasprune._keras import nn
from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import AVERAGED, UNKNOWN, tensor_rule
from kerasprune.rules.merge import shape_of


def letters_of(operation: Any, ranks: Sequence[int]) -> tuple[list[list[str]], list[str]] | None:
    """Returns names of the axes of the operands of a product and of its result; `None` if one repeats a name."""
    if isinstance(operation, knp.Einsum):
        named = letters_of_equation(operation.subscripts, ranks)
        return None if any(len(set(each)) < len(each) for each in named[0]) else named
    if isinstance(operation, knp.Matmul):
        batch = [f"b{axis}" for axis in range(max(ranks) - 2)]
        one, other = ((["j"] if n == 1 else [*batch, *own][-n:]) for n, own in zip(ranks, ("ij", "jk"), strict=True))
        return [one, other], [*batch, *(["i"] if ranks[0] > 1 else []), *(["k"] if ranks[1] > 1 else [])]
    axes = getattr(operation, "axes", ([-1], [max(ranks[1] - 2, 0)]))  # of `dot`
    one, other = ([f"{side}{axis}" for axis in range(rank)] for side, rank in zip("xy", ranks, strict=True))
    for mine, its in zip(*((range(-axes, 0), range(axes)) if isinstance(axes, int) else axes), strict=True):
        other[its] = one[mine]
    return [one, other], [c for c in (*one, *other) if (c in one) != (c in other)]


def letters_of_equation(equation: str, ranks: Sequence[int]) -> tuple[list[list[str]], list[str]]:
    """Returns a name for every axis of the operands and of the result; behind an ellipsis they are numbered."""
    text, arrow, target = equation.replace(" ", "").partition("->")
    operands = text.split(",")
    hidden = [
        rank - len(each.replace("...", "")) if "..." in each else 0 for each, rank in zip(operands, ranks, strict=True)
    ]
    if not arrow:
        letters = text.replace(",", "").replace(".", "")
        target = "..." * ("..." in text) + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))

    def spelled(each: str, number: int) -> list[str]:
        left, _, right = each.partition("...")
        return [*left, *(f"…{place}" for place in range(number, 0, -1)), *right]

    return list(map(spelled, operands, hidden)), spelled(target, max(hidden) if "..." in target else 0)


@tensor_rule(knp.Matmul, knp.Einsum, constant=AVERAGED, reads=("subscripts",))
def product(graph: GraphBuilder, operation: Any, *operands: Any) -> Ids:
    """`out[…, i, k] = Σ_j x1[…, i, j] · x2[…, j, k]`, or `einsum`, all of whose axes a repeated letter pins."""
    named = letters_of(operation, [len(shape_of(x)) for x in operands])
    if named is None:
        for x in operands:
            graph.pin_all(x, f"{operation.name!r} repeats an axis")
        return Ids(graph.call.outputs[0])
    return contracted(graph, operation, list(operands), *named)


@tensor_rule(nn.DotProductAttention, constant=AVERAGED, reads=())
def dot_product_attention(graph: GraphBuilder, operation: Any, query: Ids, key: Ids, value: Ids, *rest: Any) -> Ids:
    """`(batch, time, heads, size)`: heads stay separate, sizes of queries and keys are contracted."""
    for other in rest:
        if isinstance(other, Ids):
            graph.pin_all(other, f"{operation.name!r} adds it to the scores")
    names = [["b", "t", "h", "d"], ["b", "s", "h", "d"], ["b", "s", "h", "v"]]
    if 3 in value.axes:
        graph.pin(value.axes[3], f"{operation.name!r} returns as many of them as the query has")
    compared = _extent(query, 2), query.shape[1], key.shape[1]
    graph.product(*compared, _extent(query, 3))
    graph.product(*compared, _extent(value, 3))
    if value.shape[2] != query.shape[2]:
        names[1][2] = names[2][2] = "g"  # fewer key heads than query heads
        if value.shape[2] > 1 and 2 in query.axes:
            graph.pin(query.axes[2], f"{operation.name!r} shares every key head among equally many of them")
    return contracted(graph, operation, [query, key, value], names, ["b", "t", "h", "v"])


@tensor_rule(layers.Attention, layers.AdditiveAttention, constant=UNKNOWN, reads=("score_mode", "use_scale"))
def attention(
    graph: GraphBuilder, layer: layers.Layer, inputs: list[Ids], return_attention_scores: bool = False
) -> list[Ids]:
    """`softmax(score(query, key)) · value`: the channels of the value stay separate, unless they are keys too."""
    value = inputs[1]
    for x in (inputs[0], inputs[-1]):  # values are keys if no others are given
        graph.pin_all(x, f"{layer.name!r} compares them")
    graph.pin_all(value, f"{layer.name!r} attends along that axis", but=(2,))
    times = inputs[0].shape[1], value.shape[1]
    if layer.score_mode == "dot" and not isinstance(layer, layers.AdditiveAttention):
        graph.product(*times, inputs[0].shape[2])
    graph.product(*times, _extent(value, 2))
    first, *scores = graph.call.outputs
    return [Ids(first, {2: value.axes[2]} if 2 in value.axes else {}), *map(Ids, scores)]


@tensor_rule(layers.Dot, constant=UNKNOWN, reads=("axes", "normalize"))
def dot(graph: GraphBuilder, layer: layers.Dot, inputs: list[Ids]) -> Ids:
    """A product over chosen axes: pins both tensors."""
    for x in inputs:
        graph.pin_all(x, f"{layer.name!r} contracts its inputs")
    axis = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    graph.product(*graph.call.outputs[0][1:], inputs[0].shape[axis])
    return Ids(graph.call.outputs[0])


def contracted(
    graph: GraphBuilder, operation: Any, operands: list[Any], names: list[list[str]], target: list[str]
) -> Ids:
    """Returns the ids of a product of tensors whose axes have names.

    Channels on an axis that is summed over are pinned; those on an axis that several operands share and the result
    keeps are tied; those multiplied by constant operands, which cannot be pruned, are pinned.
    """
    shape = graph.call.outputs[0]
    axes: dict[int, np.ndarray] = {}
    if len(operands) == 2:
        graph.product(*_extents(operands, names, target[:1]))
    for name in dict.fromkeys(letter for letters in names for letter in letters):
        carriers = [(x, n.index(name)) for x, n in zip(operands, names, strict=True) if name in n]
        carried = [x.axes[axis] for x, axis in carriers if isinstance(x, Ids) and axis in x.axes]
        if not carried:
            continue
        wide = [x for x, axis in carriers if shape_of(x)[axis] != 1]
        if name not in target or len(carried) < len(wide):
            why = "contracts them" if name not in target else "multiplies them by channels that are always kept"
            for ids in carried:
                graph.pin(ids, f"{operation.name!r} {why}")
        if name in target:
            axes[target.index(name)] = graph.tie(*carried)
    return Ids(shape, axes)


def _extents(operands: list[Any], names: list[list[str]], first: list[str]) -> list[np.ndarray | int | None]:
    """Returns the channel ids, or else the size, along every axis of a product but the batch.

    The batch is the `first` axis of the result, if it is that of all operands which have it; weights have none.
    """
    having = [(x, n) for x, n in zip(operands, names, strict=True) if set(first) & set(n)]
    batch = first if all(n[:1] == first and not (isinstance(x, Ids) and 0 in x.axes) for x, n in having) else []
    found: dict[str, np.ndarray | int | None] = {}
    for x, letters in zip(operands, names, strict=True):
        for axis, letter in enumerate(letters):
            if letter not in batch and (
                letter not in found or shape_of(x)[axis] != 1
            ):  # an axis of size one is repeated
                found[letter] = _extent(x, axis)
    return list(found.values())


def _extent(x: Any, axis: int) -> np.ndarray | int | None:
    return x.axes[axis] if isinstance(x, Ids) and axis in x.axes else shape_of(x)[axis]
