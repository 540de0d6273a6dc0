"""Random masks of given densities: of single weights, filters or channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import keras
import numpy as np

from kerasprune.checks import choice_faults, fraction_faults, seed_faults
from kerasprune.errors import nearest, raise_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace

GRANULARITIES = ("weight", "filter", "channel")


def random_masks(
    model: keras.Model | ChannelGraph,
    densities: float | Mapping[str, float],
    *,
    granularity: str = "weight",
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Returns random masks that keep a given fraction of every kernel.

    Of n weights, filters or channels of a kernel, `round(p·n)` are kept, and at least one. Weights that the masks of
    other layers detach from inputs or outputs are counted too; `kp.sparsity.attached(model, masks)` removes them.

    Args:
        model: The model, or its graph.
        densities: `{variable path: fraction of the weights kept}`, such as `kp.papers.synexp.layer_densities` returns;
            other kernels get no mask. Or one fraction for all trainable kernels.
        granularity: `"weight"`: single weights; `"filter"`: slices that make an output channel;
            `"channel"`: slices that read an input channel. A filter of a depthwise kernel is both. Defaults to
            `"weight"`.
        seed: Random seed. Defaults to 0.

    Returns:
        `{variable path: boolean array}`, for `kp.callbacks.HoldMask`.

    Raises:
        PruneError: A path is not that of a kernel, a density is not in (0, 1], or the granularity is unknown.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)])
        >>> path = model.layers[0].kernel.path
        >>> random_masks(model, {path: 0.25}, granularity="filter")[path].sum(0).tolist()
        [0, 2, 0, 0]

    Reference:
        Cai et al., Structured Pruning is All You Need for Pruning CNNs at Initialization, arXiv 2203.02549,
        section 3.2.
    """

    def draw(shape: tuple[int, ...], density: float, generator: np.random.Generator) -> np.ndarray:
        size = prod(shape)
        return generator.permutation(np.arange(size) < max(round(density * size), 1)).reshape(shape)

    return _masks("random_masks", draw, model, densities, granularity, seed)


def independent_masks(
    model: keras.Model | ChannelGraph,
    densities: float | Mapping[str, float],
    *,
    granularity: str = "weight",
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Returns random masks that keep each weight with a given probability, independently of all others.

    Of n weights `p·n ± sqrt(p·(1 − p)·n)` are kept, and of few weights perhaps none. `random_masks`, in contrast, keeps
    the exact number in every kernel.

    Args:
        model: The model, or its graph.
        densities: As for `random_masks`: the probability that a weight is kept.
        granularity: As for `random_masks`: whole filters or channels are kept or removed. Defaults to `"weight"`.
        seed: Random seed. Defaults to 0.

    Returns:
        `{variable path: boolean array}`, for `kp.callbacks.HoldMask`.

    Raises:
        PruneError: As for `random_masks`.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
        >>> masks = independent_masks(model, 0.1)
        >>> [int(mask.sum()) for mask in masks.values()]
        [1033]

    Reference:
        Blalock et al., What is the State of Neural Network Pruning?, MLSys 2020, arXiv 2003.03033, its
        random pruning.
    """

    def draw(shape: tuple[int, ...], density: float, generator: np.random.Generator) -> np.ndarray:
        return generator.random(shape) < density

    return _masks("independent_masks", draw, model, densities, granularity, seed)


def densities_of(masks: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Returns the density of every mask, in the form that `random_masks` takes.

    Args:
        masks: `{variable path: boolean array, true for kept weights}`.

    Example:
        >>> import numpy as np
        >>> densities_of({"kernel": np.array([[True, False], [False, False]])})
        {'kernel': 0.25}
    """
    return {path: float(np.mean(np.asarray(mask, bool))) for path, mask in masks.items()}


def _masks(
    function: str,
    draw: Callable[[tuple[int, ...], float, np.random.Generator], np.ndarray],
    model: keras.Model | ChannelGraph,
    densities: float | Mapping[str, float],
    granularity: str,
    seed: int,
) -> dict[str, np.ndarray]:
    """Returns the masks whose units `draw(shape, density, generator)` keeps."""
    graph = model if isinstance(model, ChannelGraph) else trace(model, unknown="freeze")
    kernels = {graph.paths[id(kernel.variable)]: kernel for kernel in graph.weight_kernels}
    faults = choice_faults(GRANULARITIES, granularity=granularity) + seed_faults(seed=seed)
    if isinstance(densities, Mapping):
        unknown = [path for path in densities if path not in kernels]
        faults += [f"no kernel is called {path!r}.{nearest(path, kernels)}" for path in unknown]
        faults += fraction_faults(**{f"densities[{path!r}]": density for path, density in densities.items()})
    else:
        faults += fraction_faults(densities=densities)
        densities = {path: densities for path, kernel in kernels.items() if kernel.variable.trainable}
    raise_faults(f"Invalid arguments for {function}:", faults)
    generator = np.random.default_rng(seed)
    masks = {}
    for path, density in densities.items():
        shape = tuple(kernels[path].variable.shape)
        units = draw(_units(kernels[path], granularity), density, generator)
        masks[path] = np.broadcast_to(units, shape).copy()
    return masks


def _units(kernel: Slice, granularity: str) -> tuple[int, ...]:
    """Returns the shape of a kernel's units: 1 along axes that lie within one."""
    shape = tuple(kernel.variable.shape)
    along = {
        "weight": range(len(shape)),
        "filter": kernel.makes or kernel.reads,
        "channel": kernel.reads or kernel.makes,
    }
    return tuple(size if axis in along[granularity] else 1 for axis, size in enumerate(shape))
