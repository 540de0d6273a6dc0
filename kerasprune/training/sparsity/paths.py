"""Detached weights: those that lie on no path from an input to an output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune._keras import numpy_operations as knp
from kerasprune.criteria.linear_layers import Either
from kerasprune.criteria.synflow import Flow
from kerasprune.graph.sizes import Size
from kerasprune.graph.trace import trace
from kerasprune.training.sparsity.mask_checks import boolean_masks

_MEANS = {
    layers.MaxPooling1D: layers.AveragePooling1D,
    layers.MaxPooling2D: layers.AveragePooling2D,
    layers.MaxPooling3D: layers.AveragePooling3D,
    layers.GlobalMaxPooling1D: layers.GlobalAveragePooling1D,
    layers.GlobalMaxPooling2D: layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling3D: layers.GlobalAveragePooling3D,
    layers.Maximum: layers.Average,
}


def attached_masks(
    model: keras.Model, masks: Mapping[str, np.ndarray], *, side: Size | None = None
) -> dict[str, np.ndarray]:
    """Returns masks without detached weights: those that no path of kept weights connects with both input and output.

    A detached weight does not affect the function of the inputs, so it can be removed; a unit with a bias and without
    inputs is a constant. Positions are taken into account: in a 3×3 kernel on maps of 1×1, all weights but the middle
    one read only padding. Sums and products are paths even if values cancel.

    Args:
        model: The model.
        masks: `{variable path: boolean array}`, as `kp.prune_at_init` returns them. Kernels without a mask are whole.
        side: Size of free input axes, see `size` of `kp.trace`. Defaults to 32, or the first of some numbers that the
            model takes.

    Returns:
        `{variable path: boolean array}` with the same paths.

    Raises:
        PruneError: The masks do not fit the model, or paths cannot be followed, such as those through attention.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dense(1)])
        >>> first, last = (layer.kernel.path for layer in model.layers)
        >>> masks = {first: np.array([[1, 1], [1, 1]], bool), last: np.array([[0], [1]], bool)}
        >>> kp.sparsity.attached(model, masks)[first].tolist()
        [[False, True], [False, True]]

    Reference:
        Effective sparsity: Vysogorets & Kempe, Connectivity Matters, arXiv 2107.02306, section 3.
    """
    graph = trace(model, unknown="freeze")
    given = boolean_masks(graph, masks)
    flow = Flow(graph, side, _passing)
    kernels = [kernel.variable for kernel in graph.weight_kernels]
    flow.check([np.ones(tuple(variable.shape), "float32") for variable in kernels])
    weights = [given.get(graph.paths[id(v)], np.ones(tuple(v.shape))).astype("float32") for v in kernels]
    for number, layer in flow.pipes.recurrences.items():  # P: paths over any number of steps
        units = len(weights[number])
        layer.paths.assign(_reached(weights[number].reshape(units, -1, units).sum(1) > 0))
    shares = flow.shares(weights)
    on_path = {graph.paths[id(variable)]: share > 0 for variable, share in zip(kernels, shares, strict=True)}
    return {path: mask & on_path[path] for path, mask in given.items()}


def _passing(layer: Any) -> Any:
    """Returns an average in place of a maximum, and a sum in place of a product, so that every input passes."""
    of_tensors = isinstance(layer, knp.Multiply) and len(keras.tree.flatten(layer.input)) > 1  # rather than by a number
    if of_tensors or isinstance(layer, layers.Multiply):
        return Either(layer.name)
    kind = _MEANS.get(type(layer))
    return kind and kind(**{**layer.get_config(), "dtype": "float32"})


def _reached(step: np.ndarray) -> np.ndarray:
    """Returns the reflexive transitive closure of a boolean matrix."""
    reach = np.eye(len(step), dtype=bool) | step
    while True:
        further = (reach.astype("float32") @ reach.astype("float32")) > 0
        if (further == reach).all():
            return reach
        reach = further
