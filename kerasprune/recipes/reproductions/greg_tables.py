"""Growing regularisation: the costs of its tables 1 and 6, recomputed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import keras

from kerasprune.files import read_rows
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import trace
from kerasprune.models import get
from kerasprune.planning.make_plan import plan
from kerasprune.recipes.reproductions.entry import Row
from kerasprune.surgery.costs.cost import cost
from kerasprune.surgery.costs.counts import counter, kept_size

_CIFAR, _IMAGENET = {"input_shape": (32, 32, 3)}, {"input_shape": (224, 224, 3)}
NETWORKS = {
    "ResNet-56": {"name": "resnet_cifar", "depth": 56, **_CIFAR},
    "VGG-19": {"name": "vgg_cifar", "depth": 19, "classes": 100, **_CIFAR},
    "ResNet-34": {"name": "resnet_imagenet", "depth": 34, **_IMAGENET},
    "ResNet-50": {"name": "resnet_imagenet", "depth": 50, **_IMAGENET},
}
# First convolutions of blocks that are not pruned: numbers 2, 8, 14, 16, 26, 28, 30, 32 of its 3×3 convolutions.
_WHOLE = ((1, 1), (2, 1), (2, 4), (3, 1), (3, 6), (4, 1), (4, 2), (4, 3))  # (stage, block)
RESNET34_SKIPPED = tuple(f"stage{stage}_block{block}_conv1" for stage, block in _WHOLE)


def greg_tables() -> list[Row]:
    """Returns the rows of tables 1 and 6.

    Reference:
        Wang et al., Neural Pruning via Growing Regularization, arXiv 2012.09243.
    """
    models = {name: get(network) for name, network in NETWORKS.items()}
    rows = read_rows(Path(__file__).with_suffix(".csv"))
    return [
        _row(models[row["network"]], RESNET34_SKIPPED if row["network"] == "ResNet-34" else (), row) for row in rows
    ]


def _row(model: keras.Model, freeze: Sequence[str], published: Mapping[str, str]) -> Row:
    removed = [float(each) for each in published["removed"].split()]
    if published["figure"] == "sparsity":
        ours, unit = 100 * sparsity(model, removed), " %"
    else:
        ours, unit = speedup(model, removed, freeze), "×"
    return Row(published["what"], float(published["paper"]), ours, float(published["tolerance"]), unit)


def speedup(model: keras.Model, removed: Sequence[float], freeze: Sequence[str] = ()) -> float:
    """Returns the speed-up, dense over pruned multiply–adds, of a model whose stages lose inner channels.

    Args:
        model: The model.
        removed: Fraction removed from each stage, the stem first.
        freeze: Layers that are not pruned. Defaults to none.
    """
    graph, plan = _planned(model, removed, freeze)
    return cost(graph).macs / cost(graph, plan).macs


def sparsity(model: keras.Model, removed: Sequence[float]) -> float:
    """Returns the share of the trainable parameters that is removed; arguments as `speedup`.

    The paper's counts (0.85 M for ResNet-56) are torch's, without the moving statistics of BatchNorm.
    """
    graph, plan = _planned(model, removed)
    count = counter(graph.alive(plan.keep))
    trainable = [entry for entry in graph.slices if entry.variable.trainable]
    dense = sum(prod(entry.variable.shape) for entry in trainable)
    return 1 - sum(kept_size(entry, count) for entry in trainable) / dense


def _planned(model: keras.Model, removed: Sequence[float], freeze: Sequence[str] = ()) -> tuple[ChannelGraph, Plan]:
    graph = trace(model, coupling="free", freeze=freeze)
    return graph, plan(graph, budget={"name": "per_stage", "keep": [1 - r for r in removed]})
