"""Random masks of given densities: of single weights, filters or channels."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from kerasprune.errors import choice_faults, formerly, fraction_faults, nearest, raise_faults, seed_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace

GRANULARITIES = ("weight", "filter", "channel")


@formerly("granularity", "seed")
def random_masks(
    model: keras.Model | ChannelGraph,
    densities: Mapping[str, float],
    *,
    granularity: str = "weight",
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Returns random masks that keep a given fraction of every kernel.

    Of a kernel with n weights, filters or channels, `round(p·n)` are kept, at least one. Weights that the masks of
    other layers detach from inputs or outputs count: `kp.sparsity.attached(model, masks)` removes them.

    Args:
        model: The model, or its graph.
        densities: `{variable path: fraction of the weights kept}`, as of `kp.budgets.layer_densities`. Other kernels
            get no mask.
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
    graph = model if isinstance(model, ChannelGraph) else trace(model, unknown="freeze")
    kernels = {kernel.variable.path: kernel for kernel in graph.kernels}
    faults = choice_faults(GRANULARITIES, granularity=granularity) + seed_faults(seed=seed)
    faults += [f"no kernel is called {path!r}.{nearest(path, kernels)}" for path in densities if path not in kernels]
    faults += fraction_faults(**{f"densities[{path!r}]": density for path, density in densities.items()})
    raise_faults("Invalid arguments for random_masks:", faults)
    generator = np.random.default_rng(seed)
    return {path: _drawn(kernels[path], density, granularity, generator) for path, density in densities.items()}


def densities_of(masks: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Returns the density of every mask, as `random_masks` takes it.

    Args:
        masks: `{variable path: boolean array, true for kept weights}`.

    Example:
        >>> import numpy as np
        >>> densities_of({"kernel": np.array([[True, False], [False, False]])})
        {'kernel': 0.25}
    """
    return {path: float(np.mean(np.asarray(mask, bool))) for path, mask in masks.items()}


def _drawn(kernel: Slice, density: float, granularity: str, generator: np.random.Generator) -> np.ndarray:
    """Returns the mask of one kernel."""
    shape = tuple(kernel.variable.shape)
    along = {
        "weight": range(len(shape)),
        "filter": kernel.makes or kernel.reads,
        "channel": kernel.reads or kernel.makes,
    }
    axes = along[granularity]
    units = np.ones([size if axis in axes else 1 for axis, size in enumerate(shape)], bool)
    kept = np.arange(units.size) < max(round(density * units.size), 1)
    return np.broadcast_to(generator.permutation(kept).reshape(units.shape), shape).copy()
