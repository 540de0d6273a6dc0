"""Random scores: the control for every criterion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasprune.criteria.base import Criterion, Scores
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True)
class Random(Criterion):
    """Random scores in [0, 1), determined by the seed and the order of the groups or kernels.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> one, other = (kp.criteria.Random().score(kp.trace(model), seed=seed)["hidden"] for seed in (0, 1))
        >>> bool((one == other).any())
        False
    """

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns independent numbers in [0, 1)."""
        generator = np.random.default_rng(seed)
        return {name: generator.random(group.size) for name, group in graph.prunable.items()}

    def _worth(self, graph: ChannelGraph, data: Any, loss: Any, seed: int) -> Callable[[Slice], Any]:
        """Returns independent numbers in [0, 1) for the weights of one kernel after the other."""
        generator = np.random.default_rng(seed)
        return lambda kernel: generator.random(tuple(kernel.variable.shape))
