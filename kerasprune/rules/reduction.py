"""Reductions: an axis goes; channels on it are pinned, since all of them enter the result."""

from __future__ import annotations

from typing import Any

from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import tensor_rule

_REDUCTIONS = (
    knp.All, knp.Amax, knp.Amin, knp.Any, knp.Argmax, knp.Argmin, knp.CountNonzero, knp.Max, knp.Mean, knp.Median,
    knp.Min, knp.Prod, knp.Std, knp.Sum, knp.Var,
)  # fmt: skip


@tensor_rule(*_REDUCTIONS, reads=("axis", "keepdims"))
def reduction(graph: GraphBuilder, operation: Any, x: Ids, initial: Any = None) -> Ids:
    """Channels on the other axes keep their lanes."""
    rank = len(x.shape)
    axis = operation.axis
    removed = (
        set(range(rank)) if axis is None else {a % rank for a in (axis if isinstance(axis, list | tuple) else [axis])}
    )
    graph.pin_all(x, f"{operation.name!r} reduces over the channels", but=tuple(a for a in x.axes if a not in removed))
    if 0 in removed:
        graph.pin_all(x, f"{operation.name!r} reduces over the batch")
    left = {a: ids for a, ids in x.axes.items() if a not in removed}
    if not getattr(operation, "keepdims", False):  # CountNonzero has none
        left = {a - sum(g < a for g in removed): ids for a, ids in left.items()}
    return Ids(graph.call.outputs[0], left)
