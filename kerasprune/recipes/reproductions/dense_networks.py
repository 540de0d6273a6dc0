"""The networks that the papers prune, before pruning: parameters and multiply–adds, recounted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import yaml

from kerasprune.models import get
from kerasprune.recipes.reproductions.entry import Row
from kerasprune.surgery.costs.cost import cost

NETWORKS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def dense_networks() -> list[Row]:
    """Returns the rows of every network."""
    return [row for network in NETWORKS for row in _rows(network)]


def _rows(network: Mapping[str, Any]) -> Iterator[Row]:
    model = get(network["model"])
    found = {"params": sum(prod(variable.shape) for variable in model.trainable_variables), "macs": cost(model).macs}
    for key, what in (("params", "parameters"), ("macs", "multiply–adds")):
        if key in network:
            printed, tolerance = network[key]
            yield Row(f"{network['what']}, {what}", printed, found[key] / 1e6, tolerance, " M")
