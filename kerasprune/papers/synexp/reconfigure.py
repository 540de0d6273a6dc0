"""`reconfigure`: new widths of a network at given costs: some layers become wider, others narrower."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import sqrt

import keras

from kerasprune.checks import given_values, seed_faults
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.sizes import Size
from kerasprune.graph.trace import trace
from kerasprune.papers.synexp.build_to_target import built_as_asked, share_faults
from kerasprune.surgery.graphs import graph_at
from kerasprune.surgery.resize import GroupSizes, resize

LARGEST = 16  # times the model's own costs


def reconfigure(
    model: keras.Model | ChannelGraph,
    *,
    params: float | None = 1.0,
    macs: float | None = 1.0,
    size: Size | None = None,
    seed: int = 0,
) -> keras.Model:
    """Returns the same architecture with the widths of PreConfig, untrained.

    Like `kp.papers.precrop`, but densities may exceed 1: a layer of density p gets `√p` times as many output channels,
    so inexpensive layers become wider. Layers whose outputs are added share one density.

    Args:
        model: The model, or its graph from `kp.trace` with other options. It is left untouched, and its weights are
            not used.
        params: The new model's parameters as a fraction of the old one's, as closely as whole channels allow, from
            above or below; `None`: no target. Defaults to 1.0.
        macs: The new model's multiply–adds, in the same way. Defaults to 1.0.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to the model's own.
        seed: Seed of the initial weights. Defaults to 0.

    Returns:
        A functional model, not compiled. A warning is given if one budget makes the other unreachable.

    Raises:
        PruneError: No budget is given, one is out of range, or no channels of the model may change.

    Example:
        >>> import keras, kerasprune as kp
        >>> conv = keras.layers.Conv2D
        >>> model = keras.Sequential(
        ...     [keras.Input((8, 8, 3)), conv(16, 3, name="one"), conv(32, 3, name="two"), keras.layers.Flatten()]
        ... )
        >>> model.add(keras.layers.Dense(2))
        >>> new = kp.papers.reconfigure(model)
        >>> new.get_layer("one").filters > 16, new.get_layer("two").filters < 32
        (True, True)

    Reference:
        Cai et al., Structured Pruning is All You Need for Pruning CNNs at Initialization, arXiv 2203.02549,
        section 4.2.
    """
    raise_faults("Invalid arguments for reconfigure:", share_faults(params, macs, LARGEST) + seed_faults(seed=seed))
    graph = graph_at(model if isinstance(model, ChannelGraph) else trace(model), None, size)
    sizes = GroupSizes(graph)
    free = len(graph.groups) - len(sizes.fixed)
    if not free or graph.coupling == "padded":
        raise PruneError(
            "Expected a model with channels whose number may change, with coupling 'tied' or 'free'. "
            f"Received: {graph.model.name!r}, {free} such groups, coupling={graph.coupling!r}."
        )

    make = partial(new_widths, sizes)
    new = built_as_asked(graph, given_values(params=params, macs=macs), make, sizes.counter, cap=False)
    return resize(graph, new, seed)


def new_widths(sizes: GroupSizes, densities: Mapping[str, float]) -> dict[str, int]:
    """Returns `√p` times the channels of every group that may change, p its density, which may exceed 1."""
    free = {name: group.size for name, group in sizes.graph.groups.items() if name not in sizes.fixed}
    return {name: max(round(sqrt(densities[name]) * size), 1) for name, size in free.items() if name in densities}
