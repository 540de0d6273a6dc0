"""`rebuild`: an ordinary, slimmer functional model from a model and a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune._keras import numpy_operations as knp
from kerasprune.backend.devices import warn_of_one_device
from kerasprune.checks import choice_faults
from kerasprune.errors import raise_faults, warn
from kerasprune.graph.channels import Count, Padded, Slice, Take
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.groups import free_name
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import layer_names, tensors_left_out
from kerasprune.graph.walk import pause_collection
from kerasprune.surgery.absorb import Folded, fold
from kerasprune.surgery.clone import clone, taken_arguments
from kerasprune.surgery.compiled import compile_like, with_class_of
from kerasprune.surgery.copy_layer import ArrayChange, make_layer
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.gates import without_gates
from kerasprune.surgery.weight_constraints import warn_of_constraints


def rebuild(
    model: keras.Model | ChannelGraph, plan: Plan, *, absorb: bool = True, compile: str | None = None
) -> keras.Model:
    """Builds the slim model that a plan describes.

    Every variable is sliced to the kept channels, and the layers' configs are changed to match; gates
    (`kp.surgery.gated`) are multiplied into the layers before them. The result has no wrappers and loads without
    kerasprune. If the plan comes from a growing penalty and the removed weights are not small, a warning is given, and
    if the kept part of a weight breaks its constraint, as with `UnitNorm`.

    Args:
        model: The trained model, which is left untouched, or a graph of it, whose frozen layers are kept whole.
        plan: The plan.
        absorb: Fold the constants that removed channels still emit (bias, BatchNorm β through the activation) into
            the biases of their consumers, or the mean of a BatchNorm after them; a bias is added if neither exists.
            Exact if the consumer sees no padding; see `kp.surgery.border_error`. Defaults to `True`.
        compile: `"same"`: with the loss, metrics and options of the dense model, and a new optimizer with the same
            settings and current learning rate; of the dense model's class, if that has steps or losses of its own and
            is made by `Class(inputs, outputs)`. Defaults to `None`: not compiled.

    Returns:
        A functional model with its own weights.

    Raises:
        PruneError: The plan does not fit the model, or `compile="same"` and the model is not compiled.

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
    dense = model.model if isinstance(model, ChannelGraph) else model
    new = rebuild_cut(Cut.of(model, plan), absorb=absorb)
    warn_of_one_device(dense)
    warn_of_constraints(new, dense)
    if compile is not None:
        new = with_class_of(new, dense)
        compile_like(new, dense)
    return new


@pause_collection()
def rebuild_cut(cut: Cut, *, absorb: bool = True) -> keras.Model:
    """Returns the slim model of a cut; see `rebuild`."""
    warn_of_norms(cut)
    graph, model = cut.graph, cut.model
    folded = fold(cut) if absorb else Folded()
    changes = config_changes(graph, cut.count)
    for key in folded.added:
        changes.setdefault(key, {})["use_bias",] = True
    slices = {id(entry.variable): entry for entry in graph.slices}
    changed, taken = folded.changed, taken_arguments(graph, cut.take)

    def value(variable: keras.Variable) -> np.ndarray:
        new = changed.get(id(variable))
        return cut.value(slices.get(id(variable)), variable) if new is None else new

    def padded(sum_: Padded, branch: Any) -> Any:
        missing = cut.count(sum_.trunk) - cut.count(sum_.branch)
        widths = [[0, missing if axis == sum_.axis else 0] for axis in range(len(branch.shape))]
        name = unused_name(model, f"{sum_.node.operation.name}_pad_{sum_.index}")
        return knp.Pad(widths, name=name)(branch) if missing else branch

    def argument(node: Any, index: int, given: Any) -> Any:
        return map_operands(graph, node, index, taken(node, index, given), padded)

    def make(layer: Any) -> Any:
        return make_layer(layer, changes.get(id(layer), {}), cut_array(graph, layer, cut.take))

    new, _ = clone(model, make, argument, tensors_left_out(model, cut.plan.removed), value, folded.added)
    return without_gates(new)


def config_changes(graph: ChannelGraph, count: Count) -> dict[int, dict[tuple[str, ...], Any]]:
    """Returns the config entries of layers that follow from counts of channels: `{id(layer): {path: value}}`."""
    changes: dict[int, dict[tuple[str, ...], Any]] = {}
    for setting in graph.settings:
        changes.setdefault(id(setting.owner), {})[setting.key] = setting.value(count)
    return changes


def cut_array(graph: ChannelGraph, layer: Any, take: Take) -> ArrayChange:
    """Returns the `array` for `make_layer` that cuts arrays in initializers as the variables that start from them."""

    def array(name: str, given: np.ndarray) -> np.ndarray | None:
        entries = [entry for entry in graph.slices if entry.owner is layer]
        if not entries:
            return given
        alike = [entry for entry in entries if tuple(entry.variable.shape) == given.shape]
        alike.sort(key=lambda entry: not entry.variable.name.startswith(name.strip("_").rpartition("_")[0]))
        return alike[0].taken(given, take) if alike else None

    return array


def map_operands(graph: ChannelGraph, node: Any, index: int, value: Any, change: Callable[[Padded, Any], Any]) -> Any:
    """Returns an argument of a call with `change` applied to the narrow branches in it, if it is a padded sum.

    A layer gets its operands as one list, an operation as one argument each.
    """
    by_place = {sum_.index: sum_ for sum_ in graph.padded if sum_.node is node}
    if by_place and isinstance(value, list | tuple):
        return [change(by_place[i], x) if i in by_place else x for i, x in enumerate(value)]
    return change(by_place[index], value) if index in by_place else value


def unused_name(model: keras.Model, name: str) -> str:
    """Returns the name, or `name_2`, `name_3`…, so that no layer of the model has it.

    Keras counts names within a process: the name that it would choose after a model was loaded may be taken.
    """
    return free_name(name, layer_names(model), "_")


SMALL = 0.2
"""The largest relative norm of removed channels that counts as small."""


def relative_norm_cut(cut: Cut, pushed: str) -> float:
    """Returns the relative norm of the channels to be removed: mean |w| removed ÷ mean |w| kept.

    It is a mean over kernels, weighted by the number of channels removed.

    Args:
        cut: The graph with the plan cut.
        pushed: `"filter"`: along the axes where channels are made; `"channel"`: along those where they are read;
            `"scale"`: of the scales γ in place of kernels.

    Returns:
        A number ≥ 0; NaN if no channels are removed.
    """
    ratios, numbers = [], []
    for entry, axes in along(cut.graph, pushed):
        for axis in axes:
            alive = None if entry.ids[axis] is None else cut.alive[entry.ids[axis]]
            if alive is None or alive.all() or not alive.any():
                continue
            values = np.abs(ops.convert_to_numpy(entry.variable).astype("float64"))
            norms = np.moveaxis(values, axis, 0).reshape(alive.size, -1).mean(axis=1)
            kept = norms[alive].mean()
            ratios.append(norms[~alive].mean() / kept if kept else 1.0)
            numbers.append(np.count_nonzero(~alive))
    return float(np.average(ratios, weights=numbers)) if ratios else float("nan")


def along(graph: ChannelGraph, pushed: str) -> list[tuple[Slice, Sequence[int]]]:
    """Returns the variables that a penalty shrinks, each with the axes along which channels lie.

    Args:
        graph: The graph.
        pushed: As for `relative_norm_cut`.
    """
    if pushed == "scale":
        return [(entry, (0,)) for entry in graph.slices if entry.role == "scale"]
    return [(kernel, kernel.makes if pushed == "filter" else kernel.reads) for kernel in graph.kernels]


def warn_of_norms(cut: Cut) -> None:
    """Warns if a plan made by a penalty removes channels whose weights are not small."""
    plan = cut.plan
    if not plan.pushed:
        return
    norm = relative_norm_cut(cut, plan.pushed)
    if norm > SMALL:
        others = " or ".join(f'"{pushed}"' for pushed in ("channel", "scale") if pushed != plan.pushed)
        warn(
            f"The channels that this plan removes should have shrunk to zero and have not: their norm is {norm:.2g} of "
            f"that of the kept ones (small: up to {SMALL}). Removing them will cost accuracy. Train longer, with a "
            "larger ceiling, strength or learning rate, with decoupled=True under Adam, AdamW or Lion, or a growing "
            f"penalty with granularity={others} if a BatchNorm follows; and do not let EarlyStopping restore earlier "
            "weights."
        )
