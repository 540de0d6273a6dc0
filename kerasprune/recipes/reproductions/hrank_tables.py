"""HRank: the sizes of the dense networks of its tables 3 to 5, recounted on models built here."""

from __future__ import annotations

import keras

from kerasprune.costs.cost import cost
from kerasprune.models import get
from kerasprune.recipes.reproductions.entry import Row

# What is built, side of its images, millions of multiply–adds and of parameters.
NETWORKS = (
    ("Table 3, ResNet-56", {"name": "resnet_cifar", "depth": 56}, 32, 125.49, 0.85),
    ("Table 3, ResNet-110", {"name": "resnet_cifar", "depth": 110}, 32, 252.89, 1.72),
    ("Table 4, DenseNet-40", {"name": "densenet_cifar", "depth": 40, "stem": 24}, 32, 282.00, 1.04),
    ("Table 5, ResNet-50", {"name": "resnet_imagenet", "depth": 50, "classes": 1000}, 224, 4090.0, 25.50),
)


def hrank_tables() -> list[Row]:
    """Multiply–adds and parameters of HRank's dense networks (CVPR 2020, tables 3 to 5), by counting alone.

    The tolerances: 0.5 % of the multiply–adds, and of the parameters half of the last digit that is printed; those of
    BatchNorm are not among them. Its DenseNet-40 has 24 channels in the first layer, as that of network slimming; with
    the 16 of the DenseNet paper it would be 264.8 M multiply–adds.

    Reference:
        Lin et al., HRank: Filter Pruning using High-Rank Feature Map, CVPR 2020.
    """
    rows = []
    for what, identifier, side, macs, params in NETWORKS:
        model = get({**identifier, "input_shape": (side, side, 3)})
        rows.append(Row(f"{what}, multiply–adds", macs, cost(model).macs / 1e6, 0.005 * macs, " M"))
        rows.append(Row(f"{what}, parameters", params, _without_batch_norm(model) / 1e6, 0.005, " M"))
    return rows


def _without_batch_norm(model: keras.Model) -> int:
    return sum(layer.count_params() for layer in model.layers if not isinstance(layer, keras.layers.BatchNormalization))
