"""A graph with a plan applied to it: which channels stay, and which positions of a variable that means."""

from __future__ import annotations

from dataclasses import dataclass, field

import keras
import numpy as np

from kerasprune.channels import Slice
from kerasprune.errors import raise_faults
from kerasprune.graph import ChannelGraph
from kerasprune.plans import Plan
from kerasprune.tracing import trace


@dataclass(frozen=True)
class Cut:
    """What stays of a traced model.

    Args:
        graph: The graph, without the blocks that are dropped.
        plan: The plan.
        alive: For every id whether its channel stays.
    """

    graph: ChannelGraph
    plan: Plan
    alive: np.ndarray = field(repr=False)

    def count(self, ids: np.ndarray) -> int:
        """Returns how many of these channels stay."""
        return int(self.alive[ids].sum())

    def take(self, ids: np.ndarray) -> np.ndarray:
        """Returns the positions of those that stay, in order."""
        return np.flatnonzero(self.alive[ids])

    def value(self, entry: Slice | None, variable: keras.Variable) -> np.ndarray:
        """Returns what is left of a variable."""
        array = keras.ops.convert_to_numpy(variable)
        for axis, ids in enumerate(entry.ids if entry else ()):
            if ids is not None and not self.alive[ids].all():
                array = np.take(array, self.take(ids), axis=axis)
        if entry is None or entry.factor is None:
            return array
        return array * np.asarray(entry.factor(self.count), array.dtype)


def cut(model: keras.Model | ChannelGraph, plan: Plan) -> Cut:
    """Applies a plan to a model, having checked that they fit.

    Args:
        model: The model, or a graph of it with the plan's coupling.
        plan: What stays. Groups that lie inside dropped blocks have no say.

    Returns:
        The graph with the plan applied.

    Raises:
        PruneError: The plan does not fit the model.
    """
    graph = model
    if not isinstance(model, ChannelGraph):
        graph = trace(model, coupling=plan.coupling, unknown="freeze")
    plan.check(graph)
    keep = plan.keep
    if plan.removed:
        graph = trace(
            graph.model,
            coupling=graph.coupling,
            freeze=graph.freeze,
            unknown="freeze",
            resolution=graph.resolution,
            removed=plan.removed,
        )
        keep = {name: kept for name, kept in keep.items() if name in graph.groups}
    alive = graph.alive(keep)
    raise_faults(
        f"The plan does not fit the model {graph.model.name!r}:",
        [*graph.faults_of_sums(alive), *graph.faults_of_slices(alive)],
    )
    return Cut(graph, plan, alive)
