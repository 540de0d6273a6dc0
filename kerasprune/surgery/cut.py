"""A plan carried out on the graph of a model: which channels are kept, which positions of a variable, at what cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import keras
import numpy as np

from kerasprune.errors import raise_faults
from kerasprune.graph.channels import Group, Slice
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.kept_channels import faults_of_shards, faults_of_slices
from kerasprune.graph.plans import Plan, plan_faults
from kerasprune.graph.residual_trunks import faults_of_sums
from kerasprune.graph.trace import without
from kerasprune.surgery.costs.counts import Cost, cost_of_counts, cost_of_what_stays, counter
from kerasprune.surgery.graphs import graph_for

_AT_ONCE = 2**18  # numbers
_NONE: Mapping = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Cut:
    """The part of a traced model that a plan keeps; `Cut.of` makes one, and checks that the plan fits.

    Args:
        whole: The graph of the dense model.
        graph: The graph without the removed blocks.
        plan: The plan. Groups inside removed blocks are ignored.
        alive: For every id whether its channel is kept.
    """

    whole: ChannelGraph
    graph: ChannelGraph
    plan: Plan
    alive: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, model: keras.Model | ChannelGraph, plan: Plan) -> Cut:
        """Returns the cut that a plan makes in a model.

        Args:
            model: The model, or a graph of it with the plan's coupling.
            plan: The plan.

        Raises:
            PruneError: The plan does not fit the model.
        """
        raise_faults("The plan cannot be applied:", plan_faults(plan=plan))
        whole = model if isinstance(model, ChannelGraph) else graph_for(model, plan)
        plan.check(whole)
        graph, alive, faults = whole, whole.alive(plan.keep), []
        if plan.removed:
            graph = without(whole, plan.removed)
            alive, faults = _carried_over(whole, graph, alive)
        raise_faults(
            f"The plan does not fit the model {graph.model.name!r}:",
            [*faults, *faults_of_sums(graph, alive), *faults_of_slices(graph, alive), *faults_of_shards(graph, alive)],
        )
        return cls(whole, graph, plan, alive)

    @property
    def model(self) -> keras.Model:
        """The dense model."""
        return self.whole.model

    @property
    def nothing(self) -> Cut:
        """The cut in the same model that removes nothing."""
        return Cut.of(self.whole, Plan({}, coupling=self.plan.coupling))

    def cost(self, macs_of: Mapping[str, int] = _NONE, added: Mapping[int, np.ndarray] = _NONE) -> Cost:
        """Returns the cost of the slim model.

        Args:
            macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none.
            added: Biases that folding adds, `{id(layer): bias}`. Defaults to none.
        """
        return cost_of_counts(self.graph, counter(self.alive), macs_of, added)

    def dense_cost(self, macs_of: Mapping[str, int] = _NONE) -> Cost:
        """Returns the cost of the dense model."""
        return cost_of_what_stays(self.whole, {}, macs_of)

    def count(self, ids: np.ndarray) -> int:
        """Returns the number of these channels that are kept."""
        return int(self.alive[ids].sum())

    def take(self, ids: np.ndarray) -> np.ndarray:
        """Returns the positions of these channels that are kept, in order."""
        return np.flatnonzero(self.alive[ids])

    def value(self, entry: Slice | None, variable: keras.Variable) -> np.ndarray:
        """Returns a copy of the kept part of a variable."""
        lines = {axis: ids for axis, ids in enumerate(entry.ids if entry else ()) if ids is not None}
        cut_axes = {axis: self.take(ids) for axis, ids in lines.items() if not self.alive[ids].all()}
        array = _taken(values(variable), cut_axes)
        if entry is None or entry.factor is None:
            return array
        return array * np.asarray(entry.factor(self.count), array.dtype)


def _taken(array: np.ndarray, positions: Mapping[int, np.ndarray]) -> np.ndarray:
    """Returns a copy of an array with some positions of some axes.

    It works part by part, since the array between two cuts is larger than the result.
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


def _carried_over(whole: ChannelGraph, graph: ChannelGraph, alive: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Returns the kept channels of a graph without its removed blocks, and the faults.

    Without a block, fewer channels may be coupled; without a plain block, its inputs and outputs become coupled.

    Args:
        whole: The graph with all blocks.
        graph: The graph without them.
        alive: For every id of the whole graph whether its channel is kept.
    """
    holds_kept, holds_removed = np.zeros((2, graph.classes.max(initial=-1) + 1), bool)
    for key, ids in graph.made.items():
        kept = alive[whole.made[key]]
        holds_kept[graph.classes[ids[kept]]] = True
        holds_removed[graph.classes[ids[~kept]]] = True
    faults = [
        f"without the dropped blocks, group {group.name!r} must be kept whole: {group.reason}."
        if not group.prunable
        else f"without the dropped blocks, {', '.join(map(repr, group.layers))} share their channels. "
        f"Keep the same indices in the groups {', '.join(map(repr, _groups_of(whole, group)))}."
        for group in graph.groups.values()
        if holds_removed[group.classes].any()
        and (not group.prunable or holds_kept[group.classes][holds_removed[group.classes]].any())
    ]
    return ~holds_removed[graph.classes] & graph.there, faults


def _groups_of(whole: ChannelGraph, group: Group) -> list[str]:
    """Returns the names of the groups to which the layers of a group belong while no block is removed."""
    return [name for name, each in whole.groups.items() if set(each.layers) & set(group.layers)]
