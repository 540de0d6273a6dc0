"""Optimal Brain Surgeon: the cost of removing weights after the best change of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import keras
import numpy as np

from kerasprune.criteria.base import Checked, Criterion, Removal, Scores, argument
from kerasprune.criteria.inverse_hessian import LossSurface, inverses
from kerasprune.errors import PruneError, nearest, raise_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph, weight_paths
from kerasprune.graph.trace import trace


@dataclass(frozen=True)
class OBS(Checked, Criterion):
    """Second-order increase of the loss when a channel is removed and all other weights adapt.

    `score(c) = ½ w_Qᵀ ([H⁻¹]_QQ)⁻¹ w_Q`, with Q the weights of the kernel slices that make channel c.

    The increase is exact to second order at a minimum of the loss; `obs_update` adapts the other weights. A single
    weight scores `½ w_q²/[H⁻¹]_qq`.

    Args:
        inverse: Source of H⁻¹: `"woodbury"` (one kernel at a time, low rank) or `"exact"` (all kernels, small
            networks); as a name, a dict with a name and arguments, a class or an instance. Defaults to `"woodbury"`.

    Example:
        >>> OBS({"name": "woodbury", "examples": 32}).inverse
        WoodburyInverse(examples=32, damping=0.1)

    Reference:
        Hassibi and Stork, Second Order Derivatives for Network Pruning: Optimal Brain Surgeon, NIPS 1992, equations 5
        and, for several weights at once, its Lagrangian with one constraint for each.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"data", "gradients"})
    inverse: Any = argument("woodbury", make=inverses.get)

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the cost of removing each channel of each prunable group.

        Args:
            graph: The graph of the model.
            data: Batches of `(inputs, labels)` or `(inputs, labels, sample_weights)`.
            loss: The loss as `compile` takes it. Defaults to the compiled one.
            seed: Not used.

        Raises:
            PruneError: Data or loss are missing or do not fit the model, or a gradient is not finite.
        """
        self.check(data)
        kernels = {id(kernel.variable): kernel for kernel in graph.kernels}
        wanted = {index for group in graph.prunable.values() for index in group.classes}
        totals = np.zeros(graph.classes.max(initial=-1) + 1)
        variables = [kernel.variable for kernel in kernels.values()]
        for surface in self.inverse.surfaces(graph.model, variables, data, loss):
            for index, removed in _slices(graph, surface, kernels, wanted):
                totals[index] += surface.together(removed)
        return {name: totals[group.classes] for name, group in graph.prunable.items()}

    def removal(self, model: keras.Model, data: Any = None, loss: Any = None) -> Removal:
        """Returns the removal of weights whose others compensate, as `obs_update` does; H⁻¹ is computed once."""
        self.check(data)
        kernels = [kernel.variable for kernel in trace(model, unknown="freeze").weight_kernels]
        return partial(_compensated, list(self.inverse.surfaces(model, kernels, data, loss)), weight_paths(model))

    def _worth(self, graph: ChannelGraph, data: Any, loss: Any, seed: int) -> Callable[[Slice], Any]:
        """Returns `½ w_q²/[H⁻¹]_qq` of every weight of a kernel."""
        found: dict[int, np.ndarray] = {}
        for surface in self.inverse.surfaces(graph.model, [k.variable for k in graph.weight_kernels], data, loss):
            found |= surface.cut(surface.single())
        return lambda kernel: found[id(kernel.variable)]


def obs_update(
    model: keras.Model,
    masks: Mapping[str, np.ndarray],
    data: Any,
    loss: Any = None,
    inverse: Any = "woodbury",
) -> dict[str, np.ndarray]:
    """Returns the kernels after removing weights together and updating the others to compensate.

    `w ← w − H⁻¹ E_Q ([H⁻¹]_QQ)⁻¹ w_Q`, Q the weights removed.

    Args:
        model: The model; it is left untouched.
        masks: `{path of a kernel: array, 0 for removed and 1 for kept weights}`; kernels without a mask are kept whole.
        data: Batches of `(inputs, labels)` or `(inputs, labels, sample_weights)`.
        loss: The loss as `compile` takes it. Defaults to the compiled one.
        inverse: Source of H⁻¹, as for `OBS`. Defaults to `"woodbury"`, which changes only the kernels with a mask;
            `"exact"` changes all kernels.

    Returns:
        `{path: new values}` of the changed kernels.

    Raises:
        PruneError: A path is not that of a kernel, a mask has the wrong shape, or as for `OBS.score`.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> x = np.array([[1.0, 1.0], [2.0, 2.0]], "float32")
        >>> path, data = model.layers[0].kernel.path, [(x, np.ones((2, 1), "float32"))]
        >>> new = obs_update(model, {path: [[0], [1]]}, data, "mse", {"name": "woodbury", "damping": 1e-4})
        >>> new[path].round(2).tolist()  # equal inputs: the other weight takes over
        [[0.0], [2.0]]

    Reference:
        Hassibi and Stork, Optimal Brain Surgeon, NIPS 1992, equation 5.
    """
    kernels = [kernel.variable for kernel in trace(model, unknown="freeze").weight_kernels]
    paths = weight_paths(model)
    known = {paths[id(variable)]: variable for variable in kernels}
    arrays = {path: np.asarray(mask) for path, mask in masks.items()}
    _check_masks(arrays, known)
    chosen = inverses.get(inverse)
    changing = [known[path] for path in arrays] if chosen.by_kernel else kernels
    return _compensated(chosen.surfaces(model, changing, data, loss), paths, arrays)


def _compensated(
    surfaces: Iterable[LossSurface], paths: Mapping[int, str], masks: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns the kernels of quadratic models after removing weights and changing the others."""
    found: dict[str, np.ndarray] = {}
    for surface in surfaces:
        stay = [np.ravel(masks.get(paths[id(v)], np.ones(v.shape))) for v in surface.variables]
        made = surface.cut(surface.compensated(np.concatenate(stay) == 0))
        found |= {paths[key]: array for key, array in made.items()}
    return found


def _slices(
    graph: ChannelGraph, surface: LossSurface, kernels: Mapping[int, Slice], wanted: set[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the classes of channels that a surface has weights of, each with the indices of these weights."""
    places: dict[int, list[np.ndarray]] = {}
    for variable in surface.variables:
        kernel = kernels[id(variable)]
        every = np.arange(int(np.prod(variable.shape))).reshape(variable.shape) + surface.starts[id(variable)]
        for axis in kernel.makes:
            classes = np.empty(0, int) if kernel.ids[axis] is None else graph.classes[kernel.ids[axis]]
            for one in wanted.intersection(classes.tolist()):
                places.setdefault(one, []).append(np.compress(classes == one, every, axis=axis).ravel())
    for one, found in places.items():
        yield one, np.unique(np.concatenate(found))


def _check_masks(masks: Mapping[str, np.ndarray], kernels: Mapping[str, keras.Variable]) -> None:
    faults = []
    for path, mask in masks.items():
        if path not in kernels:
            faults.append(f"the path of a kernel. Received: {path!r}.{nearest(path, kernels)}")
        elif mask.shape != tuple(kernels[path].shape):
            shape = tuple(kernels[path].shape)
            faults.append(f"a mask of shape {shape} for {path!r}. Received: shape {mask.shape}.")
    raise_faults("Invalid arguments for obs_update. Expected:", faults)
    if not masks:
        raise PruneError("Expected masks of the weights to remove. Received: none. Give {path of a kernel: 0/1 array}.")
