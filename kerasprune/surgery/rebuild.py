"""`rebuild`: from a model and a plan to an ordinary, slimmer functional model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune._keras import numpy_operations as knp
from kerasprune.errors import choice_faults, formerly, raise_faults, warn
from kerasprune.graph.channels import Count, Padded, Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.grouping import free_name
from kerasprune.graph.trace import dropped, layer_names
from kerasprune.graph.walk import uncollected
from kerasprune.plans import Plan
from kerasprune.surgery.absorb import Folded, fold
from kerasprune.surgery.applied_plan import AppliedPlan, cut
from kerasprune.surgery.clone import clone
from kerasprune.surgery.compiled import compile_like
from kerasprune.surgery.copy_layer import make_layer
from kerasprune.surgery.gates import without_gates


@formerly("absorb")
@uncollected()
def rebuild(
    model: keras.Model | ChannelGraph, plan: Plan, *, absorb: bool = True, compile: str | None = None
) -> keras.Model:
    """Builds the slim model that a plan describes.

    Every variable is cut along its axes to the channels that stay, every config follows; gates (`kp.gated`) are
    multiplied into the layers before them. The result holds no wrapper, no zero and no custom code of kerasprune.

    Args:
        model: The trained model, which is left untouched, or a graph of it, whose frozen layers stay so.
        plan: What stays.
        absorb: Fold the constants that removed channels still emit (bias, BatchNorm β through the activation) into
            the biases of their consumers, or the mean of a BatchNorm behind, adding a bias where there is neither.
            Exact where the consumer sees no padding; see `kp.border_error`. Defaults to `True`.
        compile: `"same"`: with the loss, metrics and options of the dense model, and a new optimizer of the same
            settings and present learning rate. Defaults to `None`: not compiled.

    Returns:
        A functional model with its own weights. A plan of a growing penalty is warned of where what it cuts away has
        not become small.

    Raises:
        PruneError: The plan does not fit the model; it is not compiled, and is to be compiled like it.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((8, 8, 3))
        >>> x = keras.layers.Conv2D(4, 3, name="first")(inputs)
        >>> x = keras.layers.GlobalAveragePooling2D()(x)
        >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
        >>> kp.rebuild(model, kp.Plan({"first": [0, 3]})).get_layer("first").filters
        2
    """
    if compile is not None:
        raise_faults("The model cannot be rebuilt:", choice_faults(("same",), compile=compile))
    applied = cut(model, plan)
    warn_of_norms(applied, plan)
    graph = applied.graph
    model = graph.model
    folded = fold(applied) if absorb else Folded()
    changes = config_changes(graph, applied.count)
    for key in folded.added:
        changes.setdefault(key, {})["use_bias",] = True
    slices = {id(entry.variable): entry for entry in graph.slices}
    changed = folded.changed

    def value(variable: keras.Variable) -> np.ndarray:
        new = changed.get(id(variable))
        return applied.value(slices.get(id(variable)), variable) if new is None else new

    new, _ = clone(
        model,
        lambda layer: make_layer(layer, changes.get(id(layer), {})),
        lambda node, index, value: _argument(applied, node, index, value),
        dropped(model, plan.removed),
        value,
        folded.added,
    )
    new = without_gates(new)
    if compile is not None:
        compile_like(new, model)
    return new


def config_changes(graph: ChannelGraph, count: Count) -> dict[int, dict[tuple[str, ...], Any]]:
    """Returns the config entries of layers that follow from counts of channels: `{id(layer): {path: value}}`."""
    changes: dict[int, dict[tuple[str, ...], Any]] = {}
    for setting in graph.settings:
        changes.setdefault(id(setting.owner), {})[setting.key] = setting.value(count)
    return changes


def map_operands(sums: list[Padded], index: int, value: Any, change: Callable[[Padded, Any], Any]) -> Any:
    """Returns an argument of a sum with `change` applied to the branches in it.

    A layer gets its operands as one list, an operation as one argument each.
    """
    if isinstance(value, list | tuple):
        by_place = {sum_.index: sum_ for sum_ in sums}
        return [change(by_place[i], x) if i in by_place else x for i, x in enumerate(value)]
    return next((change(sum_, value) for sum_ in sums if sum_.index == index), value)


def _argument(applied: AppliedPlan, node: Any, index: int, value: Any) -> Any:
    """Returns an argument of a call: constants are cut, narrow branches padded to the width of their trunk."""
    change = applied.graph.arguments.get((id(node), index))
    if change is not None:
        value = change(value, applied.take)
    sums = [sum_ for sum_ in applied.graph.padded if sum_.node is node]
    return map_operands(sums, index, value, lambda sum_, branch: _padded(applied, sum_, branch)) if sums else value


def _padded(applied: AppliedPlan, sum_: Padded, branch: Any) -> Any:
    missing = applied.count(sum_.trunk) - applied.count(sum_.branch)
    if not missing:
        return branch
    widths = [[0, missing if axis == sum_.axis else 0] for axis in range(len(branch.shape))]
    return knp.Pad(widths, name=unused_name(applied.graph.model, f"{sum_.node.operation.name}_pad_{sum_.index}"))(
        branch
    )


def unused_name(model: keras.Model, name: str) -> str:
    """Returns the name, or `name_2`, `name_3`…, so that no layer of the model has it.

    Keras counts names up within a process: what it would choose after a model was loaded may be there already.
    """
    return free_name(name, layer_names(model), "_")


SMALL = 0.2
"""The relative norm up to which what is cut counts as small."""


def relative_norm_cut(applied: AppliedPlan, pushed: str) -> float:
    """Returns the mean |w| of what is cut ÷ the mean |w| of what stays: the mean over kernels, by how much is cut.

    Args:
        applied: The graph with the plan applied.
        pushed: `"filter"`: along the axes where channels are made; `"channel"`: along those where they are read;
            `"scale"`: of the scales γ in place of kernels.

    Returns:
        A number of 0 or more; `nan` where nothing is cut.
    """
    ratios, numbers = [], []
    for entry, axes in along(applied.graph, pushed):
        for axis in axes:
            stays = None if entry.ids[axis] is None else applied.alive[entry.ids[axis]]
            if stays is None or stays.all() or not stays.any():
                continue
            values = np.abs(ops.convert_to_numpy(entry.variable).astype("float64"))
            norms = np.moveaxis(values, axis, 0).reshape(stays.size, -1).mean(axis=1)
            kept = norms[stays].mean()
            ratios.append(norms[~stays].mean() / kept if kept else 1.0)
            numbers.append(np.count_nonzero(~stays))
    return float(np.average(ratios, weights=numbers)) if ratios else float("nan")


def along(graph: ChannelGraph, pushed: str) -> list[tuple[Slice, Sequence[int]]]:
    """Returns the variables that a penalty pushes, each with the axes along which channels lie.

    Args:
        graph: The graph.
        pushed: As for `relative_norm_cut`.
    """
    if pushed == "scale":
        return [(entry, (0,)) for entry in graph.slices if entry.role == "scale"]
    return [(kernel, kernel.makes if pushed == "filter" else kernel.reads) for kernel in graph.kernels]


def warn_of_norms(applied: AppliedPlan, plan: Plan) -> None:
    """Warns where a plan that a growing penalty has made cuts away what is not small."""
    if not plan.pushed:
        return
    norm = relative_norm_cut(applied, plan.pushed)
    if norm > SMALL:
        warn(
            f"What this plan cuts away was to be pushed to zero, and is not small: its norm is {norm:.2g} of what "
            f"stays (small: up to {SMALL}). The model will lose what it has learnt there. Train longer, with a larger "
            "ceiling or learning rate, with decoupled=True under Adam, AdamW or Lion, or "
            'granularity="channel" or "scale" where a BatchNorm follows; and do not let EarlyStopping restore earlier '
            "weights."
        )
