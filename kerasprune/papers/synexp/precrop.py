"""`precrop`: the widths of a network before training, from the densities of SynExp."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import sqrt

import keras
import numpy as np

from kerasprune.checks import fraction_faults, given_values
from kerasprune.errors import nearest, raise_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import kept_number, legal
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size
from kerasprune.papers.synexp.build_to_target import built_as_asked, share_faults
from kerasprune.papers.synexp.coupled_layers import CoupledLayers, kernel_costs
from kerasprune.planning.budgets.plan_request import Choice
from kerasprune.surgery.costs.counts import counter
from kerasprune.surgery.graphs import prunable_graph


def precrop(
    model: keras.Model | ChannelGraph,
    *,
    params: float | None = None,
    macs: float | None = None,
    size: Size | None = None,
) -> Plan:
    """Chooses the width of each layer of an untrained network.

    Layer l of density p_l keeps `√p_l` of its output channels, which makes the density of its consumers
    `√(p_{l−1}·p_l)`. The densities are those of `kp.papers.synexp.densities`, whose budgets are adjusted until the
    built network meets the target. Residual branches may end narrower than their trunk; they are then added to its
    first channels.

    Before training it does not matter which channels are kept, so the first of each group are. To crop a trained
    network, sort its channels first: `kp.surgery.reorder(model, scores)`.

    Args:
        model: The model, or its graph from `kp.trace` with other options; the coupling of a graph is kept.
        params: Fraction of the parameters kept, as closely as whole channels allow, from above or below. Defaults to
            `None`: no target.
        macs: Fraction of the multiply–adds kept, in the same way. Defaults to `None`: no target.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to the model's own.

    Returns:
        The plan, with `coupling="padded"`, for `kp.rebuild(model, plan)`. A warning is given if one budget makes the
        other unreachable.

    Raises:
        PruneError: No budget is given, one is out of range, or the smallest network costs more.

    Example:
        >>> import keras, kerasprune as kp
        >>> conv = keras.layers.Conv2D
        >>> model = keras.Sequential(
        ...     [keras.Input((8, 8, 3)), conv(16, 3, name="one"), conv(32, 3, name="two"), keras.layers.Flatten()]
        ... )
        >>> model.add(keras.layers.Dense(2))
        >>> plan = kp.papers.precrop(model, params=0.5)
        >>> round(kp.cost(model, plan).params / kp.cost(model).params, 1)
        0.5

    Reference:
        Cai et al., Structured Pruning is All You Need for Pruning CNNs at Initialization, arXiv 2203.02549,
        section 4.1.
    """
    raise_faults("Invalid arguments for precrop:", share_faults(params, macs, 1))
    graph = prunable_graph(model, size, coupling="padded")
    make = partial(first_channels, graph)
    choice = built_as_asked(
        graph, given_values(params=params, macs=macs), make, lambda choice: counter(graph.alive(choice))
    )
    return Plan.of(graph, choice)


def plan_of_densities(model: keras.Model | ChannelGraph, densities: Mapping[str, float]) -> Plan:
    """Returns the widths of PreCrop for given layer densities, such as those of SNIP's masks.

    Every layer keeps `√p` of its outputs, whatever the resulting cost. Layers that make the same channels share one
    density, that of all their weights together.

    Args:
        model: The model, or its graph from `kp.trace` with other options.
        densities: `{variable path: density}`, as `kp.sparsity.densities_of(masks)` returns them; kernels that are not
            named have density 1.

    Returns:
        The plan, with `coupling="padded"` unless the graph has another.

    Raises:
        PruneError: A path is not that of a kernel, or a density is not in (0, 1].

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="a"), keras.layers.Dense(2)])
        >>> plan_of_densities(model, {model.layers[0].kernel.path: 0.25}).keep["a"]
        (0, 1, 2, 3)

    Reference:
        Cai et al., Structured Pruning is All You Need for Pruning CNNs at Initialization, arXiv 2203.02549,
        section 3.2, appendix C.
    """
    graph = prunable_graph(model, coupling="padded")
    layers = CoupledLayers.of(graph, macs=False)
    faults = fraction_faults(**{f"densities[{path!r}]": density for path, density in densities.items()})
    faults += [
        f"no kernel is called {path!r}.{nearest(path, layers.of_kernel)}"
        for path in densities
        if path not in layers.of_kernel
    ]
    raise_faults("Invalid arguments for plan_of_densities:", faults)
    weights = kernel_costs(graph, graph.kernels, macs=False)["params"]
    paths = [graph.paths[id(kernel.variable)] for kernel in graph.kernels]
    unit = [layers.of_kernel[path] for path in paths]
    kept = np.bincount(unit, weights * [densities.get(path, 1.0) for path in paths])
    density = kept / np.bincount(unit, weights)
    found = {name: density[unit] for name, unit in layers.of_group.items()}
    return Plan.of(graph, first_channels(graph, found))


def first_channels(graph: ChannelGraph, densities: Mapping[str, float]) -> Choice:
    """Returns the first `√p` of the channels of every group, made legal."""
    densities = {**densities, **_of_zeros(graph, densities)}
    fractions = {name: sqrt(densities.get(name, 1.0)) for name in graph.prunable}
    return legal(graph, {name: np.arange(kept_number(graph.groups[name].size, fractions[name])) for name in fractions})


def _of_zeros(graph: ChannelGraph, densities: Mapping[str, float]) -> dict[str, float]:
    """Returns the density of groups of zeros that widen a trunk: that of the densest branch added to it."""
    owner = {channel: name for name, group in graph.groups.items() for channel in group.classes.tolist()}
    found: dict[str, float] = {}
    for sum_ in graph.padded:
        trunk, branch = ({owner[c] for c in graph.classes[ids].tolist()} for ids in (sum_.trunk, sum_.branch))
        widest = max(densities.get(name, 1.0) for name in branch)
        for name in trunk - densities.keys():
            found[name] = max(found.get(name, 0.0), widest)
    return found
