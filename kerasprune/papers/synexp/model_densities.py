"""The densities of SynExp for the kernels of a model: what masks of single weights are drawn by."""

from __future__ import annotations

import keras

from kerasprune.costs.cost import graph_at
from kerasprune.errors import raise_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.papers.synexp.asked_and_built import given_shares, share_faults
from kerasprune.papers.synexp.coupled_layers import kernel_costs
from kerasprune.papers.synexp.synexp import densities


def layer_densities(
    model: keras.Model | ChannelGraph,
    *,
    params: float | None = None,
    macs: float | None = None,
    resolution: int | None = None,
) -> dict[str, float]:
    """Returns how dense each kernel of a model should be, each a layer of its own, for masks at initialisation.

    Args:
        model: The model, or its graph.
        params: Fraction of the weights of all kernels that stays. Defaults to `None`: no bound.
        macs: Fraction of their multiply–adds that stays. Defaults to `None`: no bound.
        resolution: Input side, in pixels, to count at where the model's is free. Defaults to the model's own.

    Returns:
        `{variable path: density}`, for `kp.sparsity.random_masks`.

    Raises:
        PruneError: No budget is given, or one is out of range.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dense(8)])
        >>> list(layer_densities(model, params=0.5).values())
        [1.0, 0.375]

    Reference:
        Cai et al., Structured Pruning is All You Need for Pruning CNNs at Initialization, arXiv 2203.02549,
        section 3.3.
    """
    raise_faults("The densities cannot be found:", share_faults(params, macs, 1))
    graph = graph_at(model if isinstance(model, ChannelGraph) else trace(model, unknown="freeze"), None, resolution)
    costs = kernel_costs(graph, macs=macs is not None)
    budgets = {key: share * costs[key].sum() for key, share in given_shares(params, macs).items()}
    found = densities(costs["params"], costs.get("macs"), **budgets)
    return dict(zip((kernel.variable.path for kernel in graph.kernels), found.tolist(), strict=True))
