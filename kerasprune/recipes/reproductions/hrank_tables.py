"""HRank: the sizes of the networks of its tables 3 to 5, dense and pruned, recounted on models built here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kerasprune.costs.cost import Cost, cost
from kerasprune.graph.trace import trace
from kerasprune.models import get
from kerasprune.plans import Plan
from kerasprune.recipes.reproductions.entry import Note, Row, about


@dataclass(frozen=True)
class Network:
    """A network of a table, dense, and pruned by the rates that its authors publish.

    Args:
        what: Where it stands.
        model: What is built.
        side: Side of its images.
        macs: Millions of multiply–adds of the dense network.
        params: Millions of parameters, those of BatchNorm left out.
        rates: The fraction of filters removed from each convolution, in order.
        pruned_macs: Millions of multiply–adds that are left.
        pruned_params: Millions of parameters that are left.
    """

    what: str
    model: Mapping[str, Any]
    side: int
    macs: float
    params: float
    rates: Sequence[float]
    pruned_macs: float
    pruned_params: float


RESNET56 = [0.1] + [0.6] * 35 + [0.0] * 2 + [0.6] * 6 + [0.4] * 3 + [0.1, 0.4] * 4
RESNET110 = [0.1] + [0.4] * 108
DENSENET40 = [0.0, *[0.1] * 6, *[0.7] * 6] * 2 + [0.0, *[0.1] * 6, *[0.7] * 5, 0.0]
RESNET50 = [0.2] + [0.8] * 23 + [0.55] * 19 + [0.45] * 10

_RESNET, _DENSENET = {"name": "resnet_cifar"}, {"name": "densenet_cifar", "depth": 40, "stem": 24}
_IMAGENET = {"name": "resnet_imagenet", "depth": 50, "classes": 1000}
NETWORKS = (
    Network("Table 3, ResNet-56", {**_RESNET, "depth": 56}, 32, 125.49, 0.85, RESNET56, 62.72, 0.49),
    Network("Table 3, ResNet-110", {**_RESNET, "depth": 110}, 32, 252.89, 1.72, RESNET110, 156.90, 1.055),
    Network("Table 4, DenseNet-40", _DENSENET, 32, 282.00, 1.04, DENSENET40, 167.41, 0.66),
    Network("Table 5, ResNet-50", _IMAGENET, 224, 4090.0, 25.50, RESNET50, 1550.0, 13.77),
)
ERRATA = (
    ("Table 3, ResNet-110 pruned, multiply–adds as printed", "148.70 M (41.2 %)", "156.90 M in the repository"),
    ("Table 3, ResNet-110 pruned, parameters as printed", "1.04 M (39.4 %)", "38.7 % in the repository: 1.055 M"),
)


@about(
    """Multiply–adds and parameters of HRank's networks (CVPR 2020, tables 3 to 5), dense and pruned, by counting alone.

    The tolerances of the dense ones: 0.5 % of the multiply–adds, and of the parameters half of the last digit that is
    printed; those of BatchNorm are not among them. Its DenseNet-40 has 24 channels in the first layer, as that of
    network slimming; with the 16 of the DenseNet paper it would be 264.8 M multiply–adds.

    The pruned ones are those whose rates the authors publish, one for every convolution. Their counter shortens each
    convolution's filters and leaves its inputs whole, as if nothing were removed from the layer before; only the
    transitions of DenseNet-40 lose inputs too. Counted so, our figures are theirs, within 0.1 % and the last digit
    printed. Beside them stands what is left when channels are really cut, inputs of the next layers included, without
    those that a residual sum ties to others: masks can zero them one by one, a rebuilt network cannot lose them so.

    Errata: for ResNet-110 the paper prints 148.70 M (41.2 %) and 1.04 M parameters (39.4 %); the authors' repository
    corrects them to 156.90 M (37.9 %) and 38.7 %, which is what the rates give, and what is judged here.
    """
)
def hrank_tables() -> list[Row]:
    """Returns the rows of tables 3 to 5, and the errata.

    Reference:
        Lin et al., HRank: Filter Pruning using High-Rank Feature Map, CVPR 2020; rates and counter from lmbxmu/HRank.
    """
    return [row for network in NETWORKS for row in _rows(network)] + [Note(*erratum) for erratum in ERRATA]


def _rows(network: Network) -> Iterator[Row]:
    model, what = get({**network.model, "input_shape": (network.side, network.side, 3)}), network.what
    yield Row(f"{what}, multiply–adds", network.macs, cost(model).macs / 1e6, 0.005 * network.macs, " M")
    yield Row(f"{what}, parameters", network.params, _without_batch_norm(model) / 1e6, 0.005, " M")
    macs, params = nominal(model, network.rates)
    yield Row(f"{what} pruned, multiply–adds", network.pruned_macs, macs / 1e6, 0.001 * network.pruned_macs, " M")
    yield Row(f"{what} pruned, parameters", network.pruned_params, params / 1e6, 0.005, " M")
    left = really(model, network.rates)
    paper = f"{network.pruned_macs:g} M, {network.pruned_params:g} M"
    yield Note(
        f"{what}, channels really cut, with BatchNorm", paper, f"{left.macs / 1e6:.4g} M, {left.params / 1e6:.3g} M"
    )


def nominal(model: keras.Model, rates: Sequence[float]) -> tuple[float, float]:
    """Returns multiply–adds and parameters as the authors' counter counts them.

    Of a convolution of n filters `⌊rate · n⌋` are gone, and all of its inputs stay, but in transitions of a DenseNet.
    BatchNorm is left out.

    Args:
        model: The dense network.
        rates: One rate for every convolution, in order.
    """
    layers, macs, params, gone = {each.name: each for each in cost(model).layers}, 0.0, 0.0, 0
    for layer, rate in zip(_convolutions(model), rates, strict=True):
        inputs, filters = layer.kernel.shape[-2:]
        left = (filters - int(rate * filters)) / filters
        if layer.name.startswith("transition"):
            left *= (inputs - gone) / inputs
            gone = 0
        gone += int(rate * filters)
        macs += left * layers[layer.name].macs
        params += left * layer.count_params()
    classifier = model.layers[-1]
    return macs + layers[classifier.name].macs, params + classifier.count_params()


def really(model: keras.Model, rates: Sequence[float]) -> Cost:
    """Returns the cost of the network that lacks these channels, where nothing else is tied to them.

    Args:
        model: The dense network.
        rates: One rate for every convolution, in order.
    """
    graph = trace(model, coupling="free")
    rate_of = {layer.name: rate for layer, rate in zip(_convolutions(model), rates, strict=True)}
    alone = {name: group.size for name, group in graph.prunable.items() if len(group.layers) == 1}
    keep = {name: range(size - int(rate_of[name] * size)) for name, size in alone.items()}
    return cost(graph, Plan.of(graph, keep))


def _convolutions(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def _without_batch_norm(model: keras.Model) -> int:
    return sum(layer.count_params() for layer in model.layers if not isinstance(layer, keras.layers.BatchNormalization))
