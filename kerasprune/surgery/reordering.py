"""`reorder`: the same function, with the channels of every group sorted by score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kerasprune.checks import kind_faults
from kerasprune.errors import raise_faults
from kerasprune.graph.channels import Take
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.surgery.clone import clone, taken_arguments


def reorder(model: keras.Model, scores: Mapping[str, Any]) -> keras.Model:
    """Sorts the channels of each group by score, highest first.

    All arrays along the channels of a group are permuted in the same way, so the model computes the same function.
    Afterwards the best channels of a group come first, which are those that `coupling="padded"` keeps.

    Args:
        model: The model; it is left untouched.
        scores: `{group name: one score per channel}` for the groups of `coupling="tied"`. Groups that are not listed,
            and groups of which some tensor carries only a part (a slice), keep their order.

    Returns:
        A functional model of the same shapes and the same outputs.

    Raises:
        PruneError: A group is unknown or pinned, or the number of its scores is wrong.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(3, name="inner")(inputs)))
        >>> kp.surgery.reorder(model, {"inner": [0.1, 0.3, 0.2]}).count_params() == model.count_params()
        True
    """
    graph = trace(model, unknown="freeze")
    take = from_others(graph, _replacements(graph, scores))
    slices = {id(entry.variable): entry for entry in graph.slices}

    def value(variable: keras.Variable) -> np.ndarray:
        array, entry = keras.ops.convert_to_numpy(variable), slices.get(id(variable))
        return array if entry is None else entry.taken(array, take)

    return clone(model, argument=taken_arguments(graph, take), value=value)[0]


def from_others(graph: ChannelGraph, replacement: np.ndarray) -> Take:
    """Returns the source of each position: the k-th of a channel class is filled from the k-th of its replacement.

    Args:
        graph: The graph.
        replacement: For every class the class that replaces it, of a group that `is_whole_everywhere`.
    """

    def take(ids: np.ndarray) -> np.ndarray:
        classes = graph.classes[ids]
        order = np.argsort(classes, kind="stable")
        starts = np.searchsorted(classes[order], np.arange(replacement.size))
        occurrence = np.empty(ids.size, int)
        occurrence[order] = np.arange(ids.size) - starts[classes[order]]
        return order[starts[replacement[classes]] + occurrence]

    return take


def _replacements(graph: ChannelGraph, scores: Mapping[str, Any]) -> np.ndarray:
    """Returns for every channel class the class that replaces it."""
    raise_faults("Invalid arguments for reorder:", kind_faults(Mapping, "Write {group name: scores}.", scores=scores))
    replacement = np.arange(graph.classes.max(initial=-1) + 1)
    faults = []
    for name, given in scores.items():
        group, values = graph.group(name), np.asarray(given)
        if values.dtype.kind not in "fiub":
            faults.append(f"group {name!r} needs {group.size} numbers. Received: {given!r}.")
        elif values.shape != (group.size,) or not np.isfinite(values).all():
            faults.append(f"group {name!r} needs {group.size} finite scores. Received: shape {values.shape}.")
        elif not group.prunable:
            faults.append(f"group {name!r} must keep its order: {group.reason}.")
        elif is_whole_everywhere(graph, group.classes):
            replacement[group.classes] = group.classes[np.argsort(-values, kind="stable")]
    raise_faults("The scores do not fit the model:", faults)
    return replacement


def is_whole_everywhere(graph: ChannelGraph, classes: np.ndarray) -> bool:
    """Returns whether every array of channels has all classes of a group equally often, or none."""
    tensors = (tensor for call in graph.calls for tensor in (*call.inputs, *call.outputs))
    most = graph.classes.max(initial=-1) + 1
    present = (np.bincount(graph.classes[ids], minlength=most)[classes] for x in tensors for ids in x.axes.values())
    return all((each == each[0]).all() for each in present)
