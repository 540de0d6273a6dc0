"""The graph of any model: the one that a plan was made for, at the size that is counted, or one that can be pruned."""

from __future__ import annotations

import keras

from kerasprune._keras import is_functional
from kerasprune.errors import raise_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan, plan_faults
from kerasprune.graph.ranged_model import without_ranges
from kerasprune.graph.sizes import Size
from kerasprune.graph.trace import trace
from kerasprune.surgery.adapters import without_adapters
from kerasprune.surgery.inlining.plain import at_unknown, has_composites, plain, unread


def graph_for(model: keras.Model, plan: Plan | None = None, size: Size | None = None) -> ChannelGraph:
    """Returns the graph of a model that a plan was made for; layers without a rule are kept whole.

    Subclassed models are written out; composite layers, too, unless the plan is one of the model with them.

    Args:
        model: The model.
        plan: The plan. Defaults to `None`: any that `kp.plan` makes.
        size: See `kp.trace`. Defaults to the model's own.

    Raises:
        PruneError: A subclassed model cannot be written out.
    """
    how = {"coupling": plan.coupling if plan else "tied", "unknown": "freeze", "size": size}
    model = without_ranges(model)
    subclassed = isinstance(model, keras.Model) and not is_functional(model)
    if subclassed or plan is None and has_composites(model):
        return trace(plain(model), **how)
    model = without_adapters(model)
    graph = trace(model, **how)
    if plan is None or plan.fingerprint in ("", graph.fingerprint) or not unread(graph.model):
        return graph
    return trace(plain(model), **how)


def graph_at(model: keras.Model | ChannelGraph, plan: Plan | None, size: Size | None) -> ChannelGraph:
    """Returns a graph with the output positions at the given size, or the plan's."""
    if plan is not None:
        raise_faults("Invalid arguments for cost:", plan_faults(plan=plan))
    size = plan.resolution if size is None and plan else size
    if not isinstance(model, ChannelGraph):
        return graph_for(model, plan, size)
    if size in (None, model.size):
        return model
    return trace(model.model, coupling=model.coupling, freeze=model.freeze, unknown="freeze", size=size)


def prunable_graph(model: keras.Model | ChannelGraph, size: Size | None = None, coupling: str = "tied") -> ChannelGraph:
    """Returns the graph of a model at a size; raises a `PruneError` if no channel can be removed.

    Subclassed models and composite layers are written out.
    """
    if isinstance(model, ChannelGraph):
        graph = graph_at(model, None, size)
    else:
        model = plain(model)
        graph = trace(model, coupling=coupling, unknown=at_unknown(model, "raise"), size=size)
    graph.check_prunable()
    return graph
