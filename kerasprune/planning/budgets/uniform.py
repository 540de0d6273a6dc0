"""The same fraction of every group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kerasprune.graph.graph import ChannelGraph
from kerasprune.planning.budgets.base import Budget


@dataclass(frozen=True)
class Uniform(Budget):
    """Keeps the same fraction of every group.

    `fraction(g) = level` for every prunable group.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> len(kp.plan(model, budget=Uniform(), keep=0.25).keep["hidden"])
        2
    """

    def fractions(self, graph: ChannelGraph, level: float) -> Mapping[str, float]:
        """Returns the level for every group."""
        return dict.fromkeys(graph.prunable, level)
