"""The variance of merged channels: BatchNorm is folded into kernels first, and lost variance is restored afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import layers

from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.repair.reconstruction.as_linear import Linear, as_linear, at_least_float32
from kerasprune.surgery.absorb import following_norms


class Changed:
    """The values of a model's variables, some of them changed; the variables themselves are not changed."""

    def __init__(self) -> None:
        self._arrays: dict[int, np.ndarray] = {}

    def __getitem__(self, variable: Any) -> np.ndarray:
        found = self._arrays.get(id(variable))
        return values(variable) if found is None else found

    def __setitem__(self, variable: Any, array: np.ndarray) -> None:
        self._arrays[id(variable)] = array


@dataclass(frozen=True)
class Normed:
    """A kernel whose output is read by one BatchNorm and nothing else.

    Args:
        view: The kernel as matrices.
        norm: The BatchNorm.
    """

    view: Linear
    norm: layers.BatchNormalization

    def rows(self, weights: Changed) -> np.ndarray:
        """Returns the weights of each channel of the output."""
        matrices = self.view.matrix(weights[self.view.variable]).astype("float64")
        return matrices.transpose(0, 2, 1).reshape(-1, matrices.shape[1])

    def scale(self, weights: Changed, by: np.ndarray) -> None:
        """Multiplies the output, channel by channel, and the mean that the BatchNorm has stored."""
        variable = self.view.variable
        matrices = at_least_float32(self.view.matrix(weights[variable]))
        scaled = matrices * by.reshape(len(matrices), 1, -1)
        weights[variable] = self.view.kernel(scaled, tuple(variable.shape))
        for line in (self.view.bias, self.norm.moving_mean):
            if line is not None:
                weights[line] = at_least_float32(weights[line]) * by.reshape(tuple(line.shape))

    def normalise(self, weights: Changed) -> None:
        """Divides the output by the standard deviation stored, so that this is 1: the model computes the same."""
        epsilon = self.norm.epsilon
        self.scale(weights, 1 / np.sqrt(at_least_float32(weights[self.norm.moving_variance]) + epsilon))
        weights[self.norm.moving_variance] = np.full(tuple(self.norm.moving_variance.shape), 1 - epsilon, "float32")


def normed_kernels(graph: ChannelGraph) -> list[Normed]:
    """Returns the kernels whose output is read by one BatchNorm and nothing else."""
    operations = {id(call.operation): call.operation for call in graph.calls}
    found = []
    for key, norm in following_norms(graph).items():
        views = as_linear(operations[key])
        if views and views[-1].start[:, 0].size == norm.moving_mean.shape[0]:
            found.append(Normed(views[-1], norm))
    return found


def lost_spread(rows: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Returns `√(n / (1 + (n − 1)·ρ))` for each row: averaging n rows divides the standard deviation by it.

    ρ is the mean cosine between two rows of a cluster; less than 0 counts as 0.

    Args:
        rows: One row for each channel.
        source: For each row the index of the first in its cluster.

    Example:
        >>> import numpy as np
        >>> lost_spread(np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.array([0, 0, 2])).round(3).tolist()
        [1.414, 1.414, 1.0]
    """
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    sums = np.zeros_like(unit)
    np.add.at(sums, source, unit)
    number = np.bincount(source, minlength=len(rows))
    own = np.bincount(source, np.square(unit).sum(axis=1), len(rows))
    cosine = (np.square(sums).sum(axis=1) - own) / np.maximum(number * (number - 1), 1)
    return np.sqrt(number / (1 + (number - 1) * np.maximum(cosine, 0.0)))[source]
