"""The networks of table 3 (EfficientNets and TinyNets), recounted, and the cost of collecting accuracies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from kerasprune.models import get
from kerasprune.papers.three_dimensional.extents import DIMENSIONS
from kerasprune.recipes.loader import load
from kerasprune.recipes.reproductions.entry import Note, Row
from kerasprune.surgery.costs.cost import cost


@dataclass(frozen=True)
class Network:
    """A network of table 3.

    Args:
        macs: Published multiply–adds, in millions.
        params: Published parameters, in millions.
        width: Multiplier of the channels of an EfficientNet-B0.
        depth: Multiplier of its blocks.
        side: Side of the images.
        known: Reason why our count of parameters differs. Defaults to `""`: it agrees.
    """

    macs: float
    params: float
    width: float
    depth: float
    side: int
    known: str = ""


# Multipliers of TinyNets: Han et al., Model Rubik's Cube, NeurIPS 2020, and the public models of its authors.
NETWORKS = {
    "EfficientNet-B0": Network(387, 5.3, 1, 1, 224),
    "TinyNet-A": Network(
        339,
        5.1,
        1,
        1.2,
        192,
        "its public model has 6.19 M: more blocks than B0, none narrower, and B0 has 5.3 M.",
    ),
    "TinyNet-B": Network(202, 3.7, 0.75, 1.1, 188),
    "TinyNet-C": Network(100, 2.5, 0.54, 0.85, 184),
}
# Scaled by the powers −1 and −2 of (1.1, 1.2, 1.15), the side to a multiple of 32; the paper has no multipliers.
INVERTED = {
    "EfficientNet-B⁻¹": Network(201, 3.6, 1.1**-1, 1.2**-1, 192),
    "EfficientNet-B⁻²": Network(98, 3.0, 1.1**-2, 1.2**-2, 160),
}
TRAININGS = {"three-dimensions-resnet56-cifar10": 3.0, "three-dimensions-resnet50-imagenet": 3.6}
GPU_DAYS = 26 * 8 / 24  # of one EfficientNet: 26 hours on 8 GPUs
SMALLER = "epochs are counted; the measured networks are smaller: what an epoch of them takes the paper does not say."
OURS = {314: (26, ""), 198: (24, SMALLER), 98: (21, SMALLER)}  # Table 3: by millions of multiply–adds, GPU days
MACS, PARAMS = 0.01, 0.05  # relative; half of the last digit


def map_table3() -> list[Row]:
    """Returns the rows of every network, and of the cost of collecting accuracies.

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, arXiv 2010.04879, Table 3 and section 4.1.
    """
    return [*(row for name in NETWORKS for row in _judged(name)), *_noted(), *_search_cost()]


def counted(network: Network) -> tuple[float, float]:
    """Returns the multiply–adds and the trainable parameters of a network, in millions."""
    shape = (network.side, network.side, 3)
    model = get({"name": "efficientnet_b0", "width": network.width, "depth": network.depth, "input_shape": shape})
    trainable = sum(prod(variable.shape) for variable in model.trainable_variables)
    return cost(model).macs / 1e6, trainable / 1e6


def _judged(name: str) -> Iterator[Row]:
    network = NETWORKS[name]
    macs, params = counted(network)
    yield Row(f"Table 3, {name}, multiply–adds", network.macs, macs, MACS * network.macs, " M")
    yield Row(f"Table 3, {name}, parameters", network.params, params, PARAMS, " M", network.known)


def _noted() -> Iterator[Row]:
    for name, network in INVERTED.items():
        macs, params = counted(network)
        ours = f"{macs:.0f} M, {params:.1f} M at {network.side} pixels"
        yield Note(f"Table 3, {name}", f"{network.macs} M, {network.params} M", ours, judgement="cannot tell")


def _search_cost() -> Iterator[Row]:
    """Yields the cost of the points of a recipe in whole trainings, and in GPU days where the paper has them."""
    for name, printed in TRAININGS.items():
        yield Row(f"Section 4.1, {name}: the points, in trainings", printed, trainings(name), 0.0)
    yield Row("Table 3, one EfficientNet: 26 hours on 8 GPUs, in days", 8.7, GPU_DAYS, 0.05)
    yield Row("Table 3, TinyNet: 60 EfficientNets, in GPU days", 520, 60 * GPU_DAYS, 0.5)
    for macs, (printed, known) in OURS.items():
        days = GPU_DAYS * trainings(f"three-dimensions-efficientnet-b0-imagenet-{macs}m")
        yield Row(f"Table 3, ours at {macs} M, in GPU days", printed, days, 0.5, known=known)


def trainings(name: str) -> float:
    """Returns the epochs of all points of a recipe, in trainings of its dense network."""
    recipe = load(name)
    points = recipe.prune.three_dimensions
    return len(DIMENSIONS) * points.rounds * points.training.epochs / recipe.train.epochs
