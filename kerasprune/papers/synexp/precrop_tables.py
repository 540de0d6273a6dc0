"""The sizes of the networks of PreCrop's tables 1 and 2, built here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import keras

from kerasprune.graph.trace import trace
from kerasprune.models import get
from kerasprune.papers.synexp.coupled_layers import CoupledLayers
from kerasprune.papers.synexp.precrop import first_channels, precrop
from kerasprune.papers.synexp.reconfigure import new_widths, reconfigure
from kerasprune.recipes.reproductions.entry import Note, Row
from kerasprune.surgery.costs.cost import cost
from kerasprune.surgery.costs.counts import ShareCounter, counter, shares_of
from kerasprune.surgery.rebuild import rebuild
from kerasprune.surgery.resize import GroupSizes

SIDE = 224
TOLERANCE = 0.02  # relative
WORDS = {"params": "parameters", "macs": "multiply–adds"}
KNOWN = "a layer's own density is √(p_{l−1}·p_l), not p_l; which budgets gave the printed sizes the paper does not say."
NETWORKS = {
    "ResNet-34": {"name": "resnet_imagenet", "depth": 34},
    "MobileNetV2": {"name": "mobilenet_v2"},
    "EfficientNet-B0": {"name": "efficientnet_b0"},
}
# The dense networks: multiply–adds in billions, parameters in millions.
DENSE = {"ResNet-34": (3.64, 21.80), "MobileNetV2": (0.33, 3.51), "EfficientNet-B0": (0.40, 5.29)}
# Table 1: fractions of parameters and of multiply–adds that PreCrop keeps.
PRECROP = {
    "ResNet-34": ((0.508, 0.750),),
    "MobileNetV2": ((0.664, 0.788), (0.527, 0.636)),
    "EfficientNet-B0": ((0.694, 0.750),),
}
# Table 2: PreConfig.
PRECONFIG = {"ResNet-34": (0.758, 1.0), "MobileNetV2": (0.806, 0.970), "EfficientNet-B0": (0.811, 1.0)}


def precrop_tables() -> list[Row]:
    """Returns the rows of every network.

    Reference:
        Cai et al., Structured Pruning is All You Need for Pruning CNNs at Initialization, arXiv 2203.02549, tables 1
        and 2.
    """
    return [row for name in NETWORKS for row in rows_of(name)]


def rows_of(name: str) -> Iterator[Row]:
    """Yields the rows of one network."""
    model = get({**NETWORKS[name], "input_shape": (SIDE, SIDE, 3)})
    dense = cost(model)
    billions, millions = DENSE[name]
    sizes = f"{dense.macs / 1e9:.2f} G, {dense.params / 1e6:.2f} M"
    yield Note(f"{name}, dense", f"{billions:.2f} G, {millions:.2f} M", sizes)
    made = [("Table 1, PreCrop", cropped, cropped_once, asked) for asked in PRECROP[name]]
    made += [("Table 2, PreConfig", reconfigure, reconfigured_once, PRECONFIG[name])]
    for table, make, make_once, (params, macs) in made:
        asked = {"params": params, "macs": macs}
        adjusted, once = shares_of(cost(make(model, **asked)), dense), make_once(model, asked)
        for key, kept in asked.items():
            what = f"{table} {name}, {WORDS[key]} kept"
            yield Row(f"{what}, built to them", 100 * kept, 100 * adjusted[key], 100 * TOLERANCE * kept, " %")
            yield Row(f"{what}, densities of them", 100 * kept, 100 * once[key], 100 * TOLERANCE * kept, " %", KNOWN)


def cropped(model: keras.Model, params: float, macs: float) -> keras.Model:
    """Returns the model that PreCrop builds."""
    graph = trace(model, coupling="padded")
    return rebuild(graph, precrop(graph, params=params, macs=macs), absorb=False)


def cropped_once(model: keras.Model, asked: Mapping[str, float]) -> dict[str, float]:
    """Returns the costs of a network of the densities of two budgets, by section 4.1 alone: nothing is adjusted."""
    graph = trace(model, coupling="padded")
    densities, _ = CoupledLayers.of(graph, macs=True).solved(asked)
    return ShareCounter(graph, asked)(graph, counter(graph.alive(first_channels(graph, densities))))


def reconfigured_once(model: keras.Model, asked: Mapping[str, float]) -> dict[str, float]:
    """Returns the same of PreConfig, whose densities may exceed 1."""
    graph = trace(model)
    densities, _ = CoupledLayers.of(graph, macs=True).solved(asked, cap=False)
    sizes = GroupSizes(graph)
    return ShareCounter(graph, asked)(graph, sizes.counter(new_widths(sizes, densities)))
