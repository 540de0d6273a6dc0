"""L2 norm of the filters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerasprune.criteria.base import Criterion, Evidence, Scores
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True)
class L2(Criterion):
    """`score(c) = sqrt(Σ w²)` over the kernel slices that make channel c.

    Reference:
        The one-shot criterion of He et al., Network Pruning Spaces, arXiv 2304.09453, section 3.
    """

    def saliency(self, weight: np.ndarray) -> np.ndarray:
        """Returns `w²`."""
        return weight**2

    def score(self, graph: ChannelGraph, evidence: Evidence) -> Scores:
        """Returns the root of the summed squares."""
        return {name: np.sqrt(values) for name, values in super().score(graph, evidence).items()}
