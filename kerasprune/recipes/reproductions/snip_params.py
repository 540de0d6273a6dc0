"""SNIP: the parameters of the networks of its table 2, dense and pruned, recounted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import keras

from kerasprune.files import read_rows
from kerasprune.models import get
from kerasprune.recipes.reproductions.entry import Row

_CIFAR = {"input_shape": (32, 32, 3)}
NETWORKS = {
    "AlexNet-s": {"name": "alexnet_cifar", "units": 1024, **_CIFAR},
    "AlexNet-b": {"name": "alexnet_cifar", "units": 2048, **_CIFAR},
    "VGG-C": {"name": "vgg_snip", "version": "C", **_CIFAR},
    "VGG-D": {"name": "vgg_snip", "version": "D", **_CIFAR},
    "VGG-like": {"name": "vgg_snip", "version": "like", **_CIFAR},
    "WRN-16-8": {"name": "wide_resnet", "depth": 16, "widen_factor": 8, **_CIFAR},
    "WRN-16-10": {"name": "wide_resnet", "depth": 16, "widen_factor": 10, **_CIFAR},
    "WRN-22-8": {"name": "wide_resnet", "depth": 22, "widen_factor": 8, **_CIFAR},
    "LSTM-s": {"name": "lstm_rows", "units": 128},
    "LSTM-b": {"name": "lstm_rows", "units": 256},
    "GRU-s": {"name": "gru_rows", "units": 128},
    "GRU-b": {"name": "gru_rows", "units": 256},
}
KNOWN = {
    "WRN-16-8": "a misprint: 5 % of 10.96 M are the 548 k that are left.",
    "GRU-b": "404,746 is printed as 404 k, not rounded.",
}


def snip_params() -> list[Row]:
    """Returns the rows of table 2.

    Reference:
        Lee et al., SNIP: Single-Shot Network Pruning Based on Connection Sensitivity, ICLR 2019, table 2.
    """
    return [row for printed in read_rows(Path(__file__).with_suffix(".csv")) for row in _rows(printed)]


def _rows(printed: Mapping[str, str]) -> Iterator[Row]:
    name, sparsity = printed["network"], float(printed["sparsity"])
    dense = parameters(get(NETWORKS[name]), batch_norm=name.startswith("WRN"))
    unit, size = ("M", 1e6) if printed["dense"].endswith("m") else ("k", 1e3)
    for what, figure, ours in (
        ("dense", printed["dense"], dense / size),
        (f"left at {sparsity:g} % sparsity", printed["left"], dense * (1 - sparsity / 100) / 1e3),
    ):
        digits = figure.rstrip("mk")
        half = 0.5 / 10 ** len(digits.partition(".")[2])
        known = KNOWN.get(name, "") if what == "dense" else ""
        yield Row(f"Table 2, {name}, {what}", float(digits), ours, half, f" {unit if what == 'dense' else 'k'}", known)


def parameters(model: keras.Model, *, batch_norm: bool) -> int:
    """Returns the number of trainable parameters of a model, with or without those of BatchNorm."""
    layers = [each for each in model.layers if batch_norm or not isinstance(each, keras.layers.BatchNormalization)]
    return sum(prod(variable.shape) for layer in layers for variable in layer.trainable_variables)
