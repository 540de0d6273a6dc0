"""Random scores: the control that every criterion has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasprune.criteria.base import Criterion, Scores
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace


@dataclass(frozen=True)
class Random(Criterion):
    """Uniform scores, a function of the seed and the order of the groups, or of the kernels.

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

    def saliency_of(
        self, model: keras.Model, data: Any = None, loss: Any = None, seed: int = 0
    ) -> dict[str, np.ndarray]:
        """Returns independent numbers in [0, 1) for single weights."""
        generator = np.random.default_rng(seed)
        kernels = trace(model, unknown="freeze").kernels
        return {kernel.variable.path: generator.random(tuple(kernel.variable.shape)) for kernel in kernels}
