"""A graph with a plan applied to it: which channels stay, and which positions of a variable that means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import keras
import numpy as np

from kerasprune.errors import raise_faults
from kerasprune.graph.channels import Group, Slice
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.kept_channels import faults_of_slices, faults_of_sums
from kerasprune.graph.trace import trace, without
from kerasprune.plans import Plan, plan_faults

_AT_ONCE = 2**18  # numbers


@dataclass(frozen=True)
class AppliedPlan:
    """What stays of a traced model.

    Args:
        graph: The graph, without the blocks that are dropped.
        plan: The plan.
        alive: For every id whether its channel stays.
    """

    graph: ChannelGraph
    plan: Plan
    alive: np.ndarray = field(repr=False)
    _taken: dict[int, tuple[np.ndarray, np.ndarray]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def count(self, ids: np.ndarray) -> int:
        """Returns how many of these channels stay."""
        return int(self.alive[ids].sum())

    def take(self, ids: np.ndarray) -> np.ndarray:
        """Returns the positions of those that stay, in order."""
        if id(ids) not in self._taken:  # several variables of a layer are cut alike
            self._taken[id(ids)] = ids, np.flatnonzero(self.alive[ids])
        return self._taken[id(ids)][1]

    def value(self, entry: Slice | None, variable: keras.Variable) -> np.ndarray:
        """Returns what is left of a variable, as an array of its own."""
        lines = {axis: ids for axis, ids in enumerate(entry.ids if entry else ()) if ids is not None}
        array = _taken(
            values(variable),
            {axis: self.take(ids) for axis, ids in lines.items() if self.take(ids).size < ids.size},
        )
        if entry is None or entry.factor is None:
            return array
        return array * np.asarray(entry.factor(self.count), array.dtype)


def _taken(array: np.ndarray, positions: Mapping[int, np.ndarray]) -> np.ndarray:
    """Returns a copy of an array with some positions of some axes.

    A part at a time: what lies between one axis and the next is larger than what comes out.
    """
    if len(positions) < 2:
        return array.copy() if not positions else np.take(array, *positions.values(), axis=next(iter(positions)))
    (first, along), *others = positions.items()
    shape = [positions[axis].size if axis in positions else size for axis, size in enumerate(array.shape)]
    taken, at_once = np.empty(shape, array.dtype), max(_AT_ONCE * array.shape[first] // array.size, 1)
    for begin in range(0, along.size, at_once):
        part = np.take(array, along[begin : begin + at_once], axis=first)
        for axis, places in others:
            part = np.take(part, places, axis=axis)
        taken[(*[slice(None)] * first, slice(begin, begin + at_once))] = part
    return taken


def cut(model: keras.Model | ChannelGraph, plan: Plan) -> AppliedPlan:
    """Applies a plan to a model, having checked that they fit.

    Args:
        model: The model, or a graph of it with the plan's coupling.
        plan: What stays. Groups that lie inside dropped blocks have no say.

    Returns:
        The graph with the plan applied.

    Raises:
        PruneError: The plan does not fit the model.
    """
    raise_faults("The plan cannot be applied:", plan_faults(plan=plan))
    graph = model
    if not isinstance(model, ChannelGraph):
        graph = trace(model, coupling=plan.coupling, unknown="freeze")
    plan.check(graph)
    alive, faults = graph.alive(plan.keep), []
    if plan.removed:
        whole, graph = graph, without(graph, plan.removed)
        alive, faults = _carried_over(whole, graph, alive)
    raise_faults(
        f"The plan does not fit the model {graph.model.name!r}:",
        [*faults, *faults_of_sums(graph, alive), *faults_of_slices(graph, alive)],
    )
    return AppliedPlan(graph, plan, alive)


def _carried_over(whole: ChannelGraph, graph: ChannelGraph, alive: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Returns what stays of a graph without its dropped blocks, and what speaks against it.

    Without a block, fewer channels may be coupled, and without a plain block others are: what it read and what it made
    become one.

    Args:
        whole: The graph with all blocks.
        graph: The graph without them.
        alive: For every id of the whole graph whether its channel stays.
    """
    holds_kept, holds_removed = np.zeros((2, graph.classes.max(initial=-1) + 1), bool)
    for key, ids in graph.made.items():
        kept = alive[whole.made[key]]
        holds_kept[graph.classes[ids[kept]]] = True
        holds_removed[graph.classes[ids[~kept]]] = True
    faults = [
        f"without the dropped blocks, group {group.name!r} must stay whole: {group.reason}."
        if not group.prunable
        else f"without the dropped blocks, {', '.join(map(repr, group.layers))} share their channels. "
        f"Keep the same indices in the groups {', '.join(map(repr, _groups_of(whole, group)))}."
        for group in graph.groups.values()
        if holds_removed[group.classes].any()
        and (not group.prunable or holds_kept[group.classes][holds_removed[group.classes]].any())
    ]
    return ~holds_removed[graph.classes] & graph.there, faults


def _groups_of(whole: ChannelGraph, group: Group) -> list[str]:
    """Returns the names of the groups that the layers of a group make channels of while all blocks are there."""
    return [name for name, each in whole.groups.items() if set(each.layers) & set(group.layers)]
