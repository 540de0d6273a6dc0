"""Growing regularisation: the costs of its tables 1 and 6, recounted on models built here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import keras

from kerasprune.costs.cost import cost, counter, kept_size
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.models import get
from kerasprune.planning import plan
from kerasprune.plans import Plan
from kerasprune.recipes.reproductions.entry import Row, about

# Table 1: fraction removed from every layer but the first, sparsity in per cent, speed-up.
RESNET56 = ((0.5, 49.82, 1.99), (0.7, 70.57, 3.59), (0.9, 90.39, 11.41), (0.925, 93.43, 14.76), (0.95, 95.19, 19.31))
VGG19 = ((0.5, 74.87, 3.60), (0.6, 84.00, 5.41), (0.7, 90.98, 8.84), (0.8, 95.95, 17.30), (0.9, 98.96, 44.22))

# Table 6: fraction removed from each stage, speed-up.
RESNET50 = (
    ((0, 0.30, 0.30, 0.30, 0.14), 1.49),
    ((0, 0.60, 0.60, 0.60, 0.21), 2.31),
    ((0, 0.74, 0.74, 0.60, 0.21), 2.56),
    ((0, 0.68, 0.68, 0.68, 0.50), 3.06),
)
# First convolutions of blocks that stay whole: numbers 2, 8, 14, 16, 26, 28, 30, 32 of its 3×3 convolutions.
_WHOLE = ((1, 1), (2, 1), (2, 4), (3, 1), (3, 6), (4, 1), (4, 2), (4, 3))  # (stage, block)
RESNET34_SKIPPED = tuple(f"stage{stage}_block{block}_conv1" for stage, block in _WHOLE)


@about(
    """Speed-ups and sparsities of growing regularisation (ICLR 2021, tables 1 and 6), by counting alone.

    Speed-ups are ratios of multiply–adds, sparsities shares of parameters. The tolerances: 0.01× for the
    residual networks of table 6, 1 % for its VGG; 0.15 points of sparsity and 3.5 % of speed-up in table 1.
    """
)
def greg_tables() -> list[Row]:
    """Returns the rows of tables 1 and 6.

    Reference:
        Wang et al., Neural Pruning via Growing Regularization, arXiv 2012.09243.
    """
    return [*_table6(), *_table1()]


def _table6() -> Iterator[Row]:
    resnet56 = get({"name": "resnet_cifar", "depth": 56, "input_shape": (32, 32, 3)})
    yield Row("Table 6, ResNet-56", 2.55, speedup(resnet56, (0, 0.75, 0.75, 0.32)), 0.01, "×")
    yield Row("Table 6, VGG-19", 8.84, speedup(_vgg19(), (0, *[0.70] * 5)), 0.0884, "×")
    resnet34 = get({"name": "resnet_imagenet", "depth": 34, "input_shape": (224, 224, 3)})
    ours = speedup(resnet34, (0, 0.50, 0.60, 0.40, 0), freeze=RESNET34_SKIPPED)
    yield Row("Table 6, ResNet-34", 1.32, ours, 0.01, "×")
    resnet50 = get({"name": "resnet_imagenet", "depth": 50, "input_shape": (224, 224, 3)})
    for removed, paper in RESNET50:
        yield Row(f"Table 6, ResNet-50 {list(removed)}", paper, speedup(resnet50, removed), 0.01, "×")


def _table1() -> Iterator[Row]:
    resnet56 = get({"name": "resnet_cifar", "depth": 56, "input_shape": (32, 32, 3)})
    for name, model, stages, figures in (
        ("ResNet-56", resnet56, 4, RESNET56),
        ("VGG-19", _vgg19(), 6, VGG19),
    ):
        for removed, paper_sparsity, paper_speedup in figures:
            stage_wise = (0, *[removed] * (stages - 1))
            what = f"Table 1, {name} r={removed}"
            yield Row(f"{what}, sparsity", paper_sparsity, 100 * sparsity(model, stage_wise), 0.15, " %")
            yield Row(f"{what}, speed-up", paper_speedup, speedup(model, stage_wise), 0.035 * paper_speedup, "×")


def speedup(model: keras.Model, removed: Sequence[float], freeze: Sequence[str] = ()) -> float:
    """Returns the multiply–adds of a model over those left when stages lose inner channels.

    Args:
        model: The model.
        removed: Fraction removed from each stage, the stem first.
        freeze: Layers that stay whole. Defaults to none.
    """
    graph, plan = _planned(model, removed, freeze)
    return cost(graph).macs / cost(graph, plan).macs


def sparsity(model: keras.Model, removed: Sequence[float]) -> float:
    """Returns the share of the trainable parameters that is removed; arguments as `speedup`.

    The paper's counts (0.85 M for ResNet-56) are those of torch, to which the moving statistics of
    BatchNorm are no parameters.
    """
    graph, plan = _planned(model, removed)
    count = counter(graph.alive(plan.keep))
    trainable = [entry for entry in graph.slices if entry.variable.trainable]
    dense = sum(prod(entry.variable.shape) for entry in trainable)
    return 1 - sum(kept_size(entry, count) for entry in trainable) / dense


def _planned(model: keras.Model, removed: Sequence[float], freeze: Sequence[str] = ()) -> tuple[ChannelGraph, Plan]:
    graph = trace(model, coupling="free", freeze=freeze)
    return graph, plan(graph, budget={"name": "per_stage", "keep": [1 - r for r in removed]})


def _vgg19() -> keras.Model:
    return get({"name": "vgg_cifar", "depth": 19, "classes": 100, "input_shape": (32, 32, 3)})
