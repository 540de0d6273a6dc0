"""The sizes of the networks of PreCrop's tables 1 and 2, built here."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from kerasprune.graph.trace import trace
from kerasprune.models import get
from kerasprune.papers.synexp.precrop import precrop
from kerasprune.papers.synexp.reconfigure import reconfigure
from kerasprune.recipes.reproductions.entry import Note, Row
from kerasprune.surgery.costs.cost import cost
from kerasprune.surgery.costs.counts import shares_of
from kerasprune.surgery.rebuild import rebuild

SIDE = 224
TOLERANCE = 0.02  # relative
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
    built = [("Table 1, PreCrop", cropped, asked) for asked in PRECROP[name]]
    built += [("Table 2, PreConfig", reconfigure, PRECONFIG[name])]
    for table, make, (params, macs) in built:
        ours = shares_of(cost(make(model, params=params, macs=macs)), dense)
        for what, kept, share in (("parameters", params, ours["params"]), ("multiply–adds", macs, ours["macs"])):
            yield Row(f"{table} {name}, {what} kept", 100 * kept, 100 * share, 100 * TOLERANCE * kept, " %")


def cropped(model: keras.Model, params: float, macs: float) -> keras.Model:
    """Returns the model that PreCrop builds."""
    graph = trace(model, coupling="padded")
    return rebuild(graph, precrop(graph, params=params, macs=macs), absorb=False)
