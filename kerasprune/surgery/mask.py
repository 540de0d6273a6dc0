"""`mask`, the reference for `rebuild`: the same shapes, with removed channels silent. `border_error`."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import Any

import keras
import numpy as np

from kerasprune._keras import inner_layers
from kerasprune._keras import numpy_operations as knp
from kerasprune.errors import PruneError
from kerasprune.graph.channels import Padded
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import tensors_left_out
from kerasprune.surgery.clone import clone, taken_arguments
from kerasprune.surgery.comparison import difference, outputs_of
from kerasprune.surgery.constants import along_axis
from kerasprune.surgery.copy_layer import leave_out, make_layer
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.rebuild import config_changes, cut_array, map_operands, rebuild_cut, unused_name


def mask(model: keras.Model | ChannelGraph, plan: Plan, *, silence: str = "output") -> keras.Model:
    """Returns a model of the same shapes in which a plan's removed channels are silent.

    Args:
        model: The dense model, which is left untouched, or a graph of it.
        plan: The plan.
        silence: `"output"`: removed channels do not exist for their consumers, as computed by
            `rebuild(model, plan, absorb=False)`. `"weights"`: only the kernels that make them are zero, as computed by
            `absorb=True`: biases still act, and a BatchNorm emits its β, as with γ = 0, whatever its old statistics
            are. Either way, layers that compute statistics over channels use the kept ones only. Defaults to
            `"output"`.

    Returns:
        A functional model of the same shapes.

    Raises:
        PruneError: The plan does not fit the model, or `silence` is unknown.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> masked = kp.mask(model, kp.plan(model, keep=0.5))
        >>> masked.count_params() == model.count_params()  # as many weights; four channels are silent
        True
    """
    if silence not in _SILENCED:
        raise PruneError(f"Expected silence to be 'output' or 'weights'. Received: silence={silence!r}.")
    return mask_cut(Cut.of(model, plan), silence=silence)


def mask_cut(cut: Cut, *, silence: str = "output") -> keras.Model:
    """Returns the masked model of a cut; see `mask`."""
    graph, alive, model = cut.graph, cut.alive, cut.model
    whole = replace(cut, alive=graph.there)  # without the channels that are removed with their block
    slices = {id(entry.variable): entry for entry in graph.slices}
    axes_of = _SILENCED[silence]
    norms = {id(n): (n, axis, alive[ids], whole.alive[ids]) for n, axis, ids in graph.norms if not alive[ids].all()}
    kept = {id(variable): kept for norm, _, kept, _ in norms.values() for variable in norm.weights}
    changes = config_changes(graph, whole.count) if graph.dead.size else {}
    taken = taken_arguments(graph, whole.take)

    def make(layer: Any) -> Any:
        if isinstance(layer, keras.layers.TimeDistributed) and any(id(each) in norms for each in inner_layers(layer)):
            return keras.layers.TimeDistributed(make(layer.layer), name=layer.name, dtype=layer.dtype_policy)
        if id(layer) in norms:
            return NormOverKept(*norms[id(layer)])
        return make_layer(layer, changes.get(id(layer), {}), cut_array(graph, layer, whole.take))

    def value(variable: Any) -> np.ndarray:
        array = keras.ops.convert_to_numpy(variable)
        if id(variable) in kept:
            return array[kept[id(variable)]]
        entry = slices.get(id(variable))
        if entry is None:
            return array
        for axis in axes_of(entry):
            if entry.ids[axis] is not None:
                seen = along_axis(alive[entry.ids[axis]], axis, array.ndim)
                array = np.where(seen, array, np.asarray(entry.silent, array.dtype))
        return entry.taken(array, whole.take) if graph.dead.size else array

    def narrowed(sum_: Padded, branch: Any) -> Any:
        seen = along_axis(alive[sum_.branch], sum_.axis, len(branch.shape))
        name = unused_name(model, f"{sum_.node.operation.name}_mask_{sum_.index}")
        return knp.Multiply(name=name)(branch, seen.astype(branch.dtype))

    def argument(node: Any, index: int, given: Any) -> Any:
        return map_operands(graph, node, index, taken(node, index, given), narrowed)

    return clone(model, make, argument, tensors_left_out(model, cut.plan.removed), value)[0]


_SILENCED = {"output": attrgetter("reads"), "weights": attrgetter("makes")}  # axes of a slice


class NormOverKept(keras.layers.Layer):
    """A normalisation over the kept channels; the others are zero in its output.

    Args:
        norm: The dense normalisation layer.
        axis: Its channel axis.
        kept: Boolean mask of the kept channels.
        there: Boolean mask of the channels of its input.
    """

    def __init__(self, norm: keras.layers.Layer, axis: int, kept: np.ndarray, there: np.ndarray) -> None:
        super().__init__(name=norm.name, dtype=norm.dtype_policy)
        self.supports_masking = norm.supports_masking
        self._axis = axis
        self._indices = np.flatnonzero(kept[there])
        self._spread = np.eye(int(there.sum()), dtype="float32")[self._indices]
        changes = {}
        if getattr(norm, "groups", None) == kept.size:
            changes["groups",] = self._indices.size
        self._slim = make_layer(norm, changes, leave_out)

    def build(self, shape: tuple) -> None:
        """Builds the normalisation of the kept channels, whose weights are the layer's."""
        slim = list(shape)
        slim[self._axis] = self._indices.size
        self._slim.build(tuple(slim))

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Returns the shape of the input."""
        return shape

    def call(self, x: Any) -> Any:
        """Takes the kept channels, normalises them and returns them to their places."""
        slim = self._slim(keras.ops.take(x, self._indices, axis=self._axis))
        last = keras.ops.moveaxis(slim, self._axis, -1)
        spread = keras.ops.matmul(last, keras.ops.cast(self._spread, last.dtype))
        return keras.ops.moveaxis(spread, -1, self._axis)


def border_error(model: keras.Model, plan: Plan, inputs: Any) -> float:
    """Measures the error of folding the constants of removed channels at the borders of padded layers.

    `max |slim(x) − weights-silenced(x)| / max |weights-silenced(x)|` over the first output.

    Args:
        model: The dense model.
        plan: The plan.
        inputs: A batch of real inputs.

    Returns:
        The largest relative difference; about 1e-6 if no folded layer is padded.

    Raises:
        PruneError: The plan does not fit the model.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> conv = keras.layers.Conv2D
        >>> layers = [conv(8, 3, bias_initializer="ones", name="first"), conv(4, 3, padding="same")]
        >>> model = keras.Sequential([keras.Input((9, 9, 3)), *layers])
        >>> error = kp.surgery.border_error(model, kp.plan(model, keep=0.5), np.ones((2, 9, 9, 3)))
        >>> 1e-4 < error < 1
        True
    """
    cut = Cut.of(model, plan)
    silenced, slim = mask_cut(cut, silence="weights"), rebuild_cut(cut)
    return difference(outputs_of(silenced, inputs)[0], outputs_of(slim, inputs)[0]).error
