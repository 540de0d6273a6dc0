"""HRank: the sizes of the networks of its tables 3 to 5, dense and pruned, recomputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import yaml

from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import trace
from kerasprune.models import get
from kerasprune.recipes.reproductions.entry import Note, Row
from kerasprune.surgery.costs.cost import cost
from kerasprune.surgery.costs.counts import Cost

FIGURES = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
RATES = {each["what"]: [rate for rate, times in each["rates"] for _ in range(times)] for each in FIGURES["networks"]}


def hrank_tables() -> list[Row]:
    """Returns the rows of tables 3 to 5, and the errata.

    Reference:
        Lin et al., HRank: Filter Pruning using High-Rank Feature Map, CVPR 2020; rates and counter from lmbxmu/HRank.
    """
    errata = [Note(*erratum) for erratum in FIGURES["errata"]]
    return [row for network in FIGURES["networks"] for row in _rows(network)] + errata


def _rows(network: Mapping[str, Any]) -> Iterator[Row]:
    model, what, rates = get(network["model"]), network["what"], RATES[network["what"]]
    found = {"dense": (cost(model).macs, _without_batch_norm(model)), "pruned": nominal(model, rates)}
    for state, label, share in (("dense", what, 0.005), ("pruned", f"{what} pruned", 0.001)):
        published, (macs, params) = network[state], found[state]
        yield Row(f"{label}, multiply–adds", published["macs"], macs / 1e6, share * published["macs"], " M")
        yield Row(f"{label}, parameters", published["params"], params / 1e6, 0.005, " M")
    left, paper = really(model, rates), "{macs:g} M, {params:g} M".format(**network["pruned"])
    ours = f"{left.macs / 1e6:.4g} M, {left.params / 1e6:.3g} M"
    yield Note(f"{what}, channels really cut, with BatchNorm", paper, ours)


def nominal(model: keras.Model, rates: Sequence[float]) -> tuple[float, float]:
    """Returns multiply–adds and parameters as the authors' counter counts them.

    A convolution of n filters loses `⌊rate · n⌋`, but none of its inputs, except in transitions of a DenseNet.
    BatchNorm is not counted.

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
    """Returns the cost of the network without these channels, except those that are tied to others.

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
