"""`reorder`: the same function, with the channels of every group sorted. A permutation is free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasprune.errors import kind_faults, raise_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.surgery.clone import clone


def reorder(model: keras.Model, scores: Mapping[str, Any]) -> keras.Model:
    """Sorts the channels of groups by score, the highest first.

    Every array of channels that carries a group is permuted alike, so that the model computes the same. Afterwards the
    best channels of a group are its first ones, which is what `coupling="padded"` keeps.

    Args:
        model: The model; it is left untouched.
        scores: `{group name: one score per channel}` of the graph with `coupling="tied"`. Groups that are not listed,
            and groups of which some tensor carries only a part (it was sliced), keep their order.

    Returns:
        A functional model of the same shapes and the same outputs.

    Raises:
        PruneError: A group is unknown or pinned, or its scores do not fit.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(3, name="inner")(inputs)))
        >>> kp.reorder(model, {"inner": [0.1, 0.3, 0.2]}).count_params() == model.count_params()
        True
    """
    graph = trace(model, unknown="freeze")
    order = _Order(graph, _replacements(graph, scores))
    slices = {id(entry.variable): entry for entry in graph.slices}
    return clone(model, argument=order.argument, value=lambda v: order.value(slices.get(id(v)), v))[0]


@dataclass(frozen=True)
class _Order:
    """A permutation of the channel classes: `replacement[c]` takes the place of class c."""

    graph: ChannelGraph
    replacement: np.ndarray

    def take(self, ids: np.ndarray) -> np.ndarray:
        """Returns where each position is filled from: the k-th of a class from the k-th of its replacement."""
        classes = self.graph.classes[ids]
        order = np.argsort(classes, kind="stable")
        starts = np.searchsorted(classes[order], np.arange(self.replacement.size))
        occurrence = np.empty(ids.size, int)
        occurrence[order] = np.arange(ids.size) - starts[classes[order]]
        return order[starts[self.replacement[classes]] + occurrence]

    def value(self, entry: Slice | None, variable: Any) -> np.ndarray:
        """Returns a variable with its channels in the new order."""
        array = keras.ops.convert_to_numpy(variable)
        return array if entry is None else entry.taken(array, self.take)

    def argument(self, node: Any, index: int, value: Any) -> Any:
        """Returns an argument of a call with its channels in the new order."""
        change = self.graph.arguments.get((id(node), index))
        return value if change is None else change(value, self.take)


def _replacements(graph: ChannelGraph, scores: Mapping[str, Any]) -> np.ndarray:
    """Returns for every channel class the class that takes its place."""
    raise_faults("The model cannot be reordered:", kind_faults(Mapping, "Write {group name: scores}.", scores=scores))
    replacement = np.arange(graph.classes.max(initial=-1) + 1)
    faults = []
    for name, given in scores.items():
        group, values = graph.group(name), np.asarray(given)
        if values.dtype.kind not in "fiub":
            faults.append(f"group {name!r} needs {group.size} numbers. Received: {given!r}.")
        elif values.shape != (group.size,) or not np.isfinite(values).all():
            faults.append(f"group {name!r} needs {group.size} finite scores. Received: shape {values.shape}.")
        elif not group.prunable:
            faults.append(f"group {name!r} must stay as it is: {group.reason}.")
        elif _is_whole_everywhere(graph, group.classes):
            replacement[group.classes] = group.classes[np.argsort(-values, kind="stable")]
    raise_faults("The scores do not fit the model:", faults)
    return replacement


def _is_whole_everywhere(graph: ChannelGraph, classes: np.ndarray) -> bool:
    """Returns whether every array of channels holds all classes of a group, or none."""
    tensors = (tensor for call in graph.calls for tensor in (*call.inputs, *call.outputs))
    for ids in (ids for tensor in tensors for ids in tensor.axes.values()):
        present = np.isin(classes, graph.classes[ids])
        if present.any() and not present.all():
            return False
    return True
