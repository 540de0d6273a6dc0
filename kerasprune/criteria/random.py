"""Random scores: the control that every criterion has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerasprune.criteria.base import Criterion, Evidence, Scores
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True)
class Random(Criterion):
    """Uniform scores, a function of the seed and the order of the groups."""

    def score(self, graph: ChannelGraph, evidence: Evidence) -> Scores:
        """Returns independent numbers in [0, 1)."""
        generator = np.random.default_rng(evidence.seed)
        return {name: generator.random(group.size) for name, group in graph.prunable.items()}
