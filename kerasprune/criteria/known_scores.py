"""Scores that are known already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasprune.criteria.base import Criterion, Scores
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True, eq=False)
class KnownScores(Criterion):
    """Scores that were computed before, or by another means.

    Args:
        known: `{group name: one score per channel}`; channels of other groups are worth 1 each.
    """

    known: Scores

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the scores."""
        return {name: self.known.get(name, np.ones(group.size)) for name, group in graph.prunable.items()}
