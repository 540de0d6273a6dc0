"""Accuracies of networks of many depths, widths and resolutions, as published."""

from __future__ import annotations

import csv
from importlib import resources

import numpy as np

from kerasprune.errors import PruneError, nearest

NETWORKS = ("resnet32", "densenet40")
_ROW = np.dtype([("d", float), ("w", float), ("r", float), ("accuracy", float)])


def table5(network: str) -> np.ndarray:
    """Returns the accuracies of one network on CIFAR-10, by depth, width and resolution.

    The file `published.csv` beside this module holds the table's three blocks of 25 cells in their order. The blocks
    that are headed `d = 1.0` hold another plane: their row `w = 1` equals the row d = 0.55 (ResNet) and, within 0.20
    points, d = 0.60 (DenseNet) of the block beside them, so these are the depths given here. Cells that the table
    prints more than once differ by up to 0.66 (ResNet) and 1.28 points (DenseNet); every row is kept.

    Args:
        network: `"resnet32"` or `"densenet40"`.

    Returns:
        A structured array of 75 rows with the fields `d`, `w`, `r` (fractions) and `accuracy` (points).

    Raises:
        PruneError: The table has no such network.

    Example:
        >>> rows = table5("resnet32")
        >>> len(rows), rows[-1]["accuracy"].item()
        (75, 93.64)

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, arXiv 2010.04879, Table 5.
    """
    if network not in NETWORKS:
        raise PruneError(
            f"Expected one of {', '.join(NETWORKS)}. Received: network={network!r}.{nearest(network, NETWORKS)}"
        )
    text = resources.files(__package__).joinpath("published.csv").read_text(encoding="utf-8")
    found = [row for row in csv.DictReader(text.splitlines()) if row["network"] == network]
    return np.array([tuple(float(row[name]) for name in _ROW.names) for row in found], _ROW)
