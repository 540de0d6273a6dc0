"""`fold`: merges the channels that are alike, and says which of them to keep."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kerasprune.checks import choice_faults, fraction_faults, kind_faults
from kerasprune.errors import PruneError, raise_faults, warn
from kerasprune.graph.built_model import LOAD
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.plans import Plan
from kerasprune.planning.make_plan import plan as planned
from kerasprune.repair.reconstruction.recalibrate import recalibrate
from kerasprune.steps.folding.clusters import obstacle, representatives, vectors
from kerasprune.steps.folding.variance import Changed, lost_spread, normed_kernels
from kerasprune.surgery.clone import clone, taken_arguments
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.graphs import graph_for, prunable_graph
from kerasprune.surgery.reordering import from_others
from kerasprune.surgery.weight_constraints import warn_of_constraints

_REPAIRS = ("approximate", "examples")


def fold(
    model: keras.Model | ChannelGraph,
    plan: Plan | float,
    *,
    repair: str | None = "approximate",
    data: Any = None,
) -> tuple[keras.Model, Plan]:
    """Merges similar channels, so that all but one of each cluster can be removed without any further loss.

    The channels of every group are clustered by their weights in the kernels that make them (Ward's method), into as
    many clusters as the plan keeps channels. In each cluster C with first member r:

        kernels that make, biases, BatchNorm:  w_c ← mean_C w,    kernels that read:  w_r ← Σ_C w, the others ← 0

    Before that, kernels are divided by the standard deviation stored in the BatchNorm that follows them. Averaging
    changes the outputs; `kp.rebuild(folded, plan)` with the returned plan then computes the same as `folded`.

    A group is not merged, and a warning is given, if a LayerNorm computes statistics over it, a kernel makes and reads
    its channels along the same axis (the keys of attention), or some tensor holds only part of it: there the plan's own
    choice of channels is kept. A warning names layers whose merged weights break their constraint.

    Args:
        model: The trained model, which is left untouched, or a graph of it.
        plan: How many channels each group keeps: a plan, whose choice of channels is replaced, or the fraction of the
            multiply–adds to keep, which is passed to `kp.plan(model, "l1", macs=plan)`; if the model's input side is
            free, pass `kp.trace(model, size=…)` as the model.
        repair: How to restore the variance that averaging removes from the input of a BatchNorm: `"approximate"`
            multiplies the kernel before it by `√(n / (1 + (n − 1)·ρ))` for a cluster of n channels with mean cosine ρ
            between their weights; `"examples"` recomputes the statistics of all BatchNorms from `data`; `None` does
            neither. Defaults to `"approximate"`.
        data: Examples for `repair="examples"`, as for `kp.recalibrate`; without data use those of
            `kp.synthesise(model)`. Defaults to `None`.

    Returns:
        `(folded, plan)`: a model of the same shapes, not compiled, and the plan that keeps one channel of each cluster.

    Raises:
        PruneError: The plan does not fit the model or removes blocks, or `repair` and `data` do not fit each other.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> x = keras.layers.Dense(6, activation="relu", name="hidden")(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
        >>> folded, plan = kp.fold(model, kp.plan(model, keep=0.5))
        >>> kp.rebuild(folded, plan).get_layer("hidden").units
        3

    Reference:
        Wang et al., Forget the Data and Fine-Tuning! Just Fold the Network to Compress, ICLR 2025.
    """
    raise_faults("The model cannot be folded:", _faults(model, plan, repair, data))
    graph, plan = _with_plan(model, plan)
    weights, normed = Changed(), normed_kernels(graph)
    for each in normed:
        each.normalise(weights)
    replacement, plan = _merged_classes(graph, plan, weights)
    take, slices = from_others(graph, replacement), {id(entry.variable): entry for entry in graph.slices}
    if repair == "approximate":
        for each in normed:
            source = take(slices[id(each.norm.moving_mean)].ids[0])
            each.scale(weights, lost_spread(each.rows(weights), source))

    def value(variable: keras.Variable) -> np.ndarray:
        array, entry = weights[variable], slices.get(id(variable))
        for axis, ids in enumerate(entry.ids if entry else ()):
            source = np.arange(0) if ids is None else take(ids)
            if not np.array_equal(source, np.arange(source.size)):
                array = _merged(array, axis, source, summed=axis in _summed(entry))
        return array.astype(values(variable).dtype)

    folded, _ = clone(graph.model, argument=taken_arguments(graph, take), value=value)
    warn_of_constraints(folded, graph.model)
    return (recalibrate(folded, data) if repair == "examples" else folded), plan


def _faults(model: Any, plan: Any, repair: Any, data: Any) -> list[str | PruneError]:
    faults = kind_faults(keras.Model, LOAD, model=model.model if isinstance(model, ChannelGraph) else model)
    faults += choice_faults(_REPAIRS, repair=repair) if repair is not None else []
    if not isinstance(plan, Plan):
        faults += fraction_faults(plan=plan)
    elif plan.removed:
        faults.append(
            f"Expected a plan without removed blocks. Received: removed={list(plan.removed)}. Remove them with "
            "kp.rebuild first, and fold what is left."
        )
    if repair == "examples" and data is None:
        faults.append('Expected data for repair="examples". Received: data=None. Give data=kp.synthesise(model).')
    if repair != "examples" and data is not None:
        faults.append(f'Expected data with repair="examples" only. Received: repair={repair!r}. Leave data out.')
    return faults


def _with_plan(model: keras.Model | ChannelGraph, plan: Plan | float) -> tuple[ChannelGraph, Plan]:
    """Returns the graph, and a plan that fits it."""
    graph = model
    if not isinstance(model, ChannelGraph):
        graph = graph_for(model, plan) if isinstance(plan, Plan) else prunable_graph(model)
    plan = plan if isinstance(plan, Plan) else planned(graph, "l1", macs=plan)
    Cut.of(graph, plan)  # raises if it does not fit
    return graph, plan


def _merged_classes(graph: ChannelGraph, plan: Plan, weights: Changed) -> tuple[np.ndarray, Plan]:
    """Returns for every channel class the first of its cluster, and the plan that keeps these."""
    replacement, keep, whole = np.arange(graph.classes.max(initial=-1) + 1), dict(plan.keep), []
    for name, kept in plan.keep.items():
        group = graph.groups[name]
        if len(kept) == group.size:
            continue
        if reason := obstacle(graph, name):
            whole.append(f"{name!r}: {reason}")
            continue
        rows = vectors(graph, name, lambda entry: weights[entry.variable])
        first = representatives(rows, len(kept))
        replacement[group.classes], keep[name] = group.classes[first], np.unique(first)
    if whole:
        warn(
            f"Not merged are the channels of {len(whole)} group{'s' * (len(whole) > 1)}, of which those that the plan "
            "keeps are unchanged. "
            f"{'; '.join(whole[:5])}{'…' if len(whole) > 5 else '.'}"
        )
    return replacement, replace(plan, keep=keep, pushed="")


def _summed(entry: Slice) -> tuple[int, ...]:
    """Returns the axes of a variable along which the positions of a cluster are added up, not averaged."""
    halved = entry.variable.name == "depthwise_kernel"  # what it makes is read by the other half of the convolution
    return entry.reads if entry.role == "kernel" and not halved else ()


def _merged(array: np.ndarray, axis: int, source: np.ndarray, summed: bool) -> np.ndarray:
    """Returns an array whose positions along an axis are merged: the sum at the first of a cluster, or the mean at all.

    Args:
        array: The values of a variable.
        axis: The axis.
        source: For each position the first of its cluster.
        summed: Whether the first takes the sum, and the others are zero.
    """
    rows = np.moveaxis(array, axis, 0).astype("float64")
    total = np.zeros_like(rows)
    np.add.at(total, source, rows)
    if not summed:
        number = np.bincount(source, minlength=len(rows))[source]
        total = total[source] / number.reshape(-1, *[1] * (rows.ndim - 1))
    return np.moveaxis(total, 0, axis)
