"""`mcb`: how many multiply–adds a slim model spends on a parameter, beside the dense one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import keras
import numpy as np

from kerasprune.graph.graph import ChannelGraph
from kerasprune.search.allocations import Recipes, graph_of
from kerasprune.search.counting import costs


def mcb(
    model: keras.Model | ChannelGraph,
    recipes: Recipes | np.ndarray,
    *,
    resolution: int | None = None,
    macs_of: Mapping[str, int] = MappingProxyType({}),
) -> np.ndarray:
    """Returns the mean computation budget of recipes.

    `mCB = (MACs / params)_slim / (MACs / params)_dense`

    Args:
        model: The model, or its graph.
        recipes: The recipes, or an array of fractions kept, recipes × prunable groups.
        resolution: Input side, in pixels, of a model whose side is free. Defaults to the model's own.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none.

    Returns:
        A number for each recipe; 1 is that of the dense model.

    Raises:
        PruneError: The recipes are of another model, or the input side is free and no resolution is given.

    Example:
        >>> import keras, kerasprune as kp
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((4,)), dense(8), dense(2)])
        >>> kp.spaces.mcb(model, [[1.0], [0.5]]).round(3).tolist()  # 24 / 30 beside 48 / 58
        [1.0, 0.967]

    Reference:
        He et al., Network Pruning Spaces, 2023, Eq. 2.
    """
    options = {"resolution": resolution, "macs_of": macs_of}
    graph = graph_of(model)
    (slim_macs, slim_params) = costs(graph, recipes, **options)
    (macs,), (params,) = costs(graph, np.ones((1, len(graph.prunable))), **options)
    return (slim_macs / slim_params) / (macs / params)
