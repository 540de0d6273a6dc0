"""Scales of BatchNorm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerasprune.criteria.base import Criterion, Evidence, Scores, gather, numbers
from kerasprune.errors import PruneError
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True)
class BatchNormScale(Criterion):
    """`score(c) = Σ |γ|` over the BatchNorm layers that scale channel c.

    Reference:
        Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017, section 3.
    """

    def score(self, graph: ChannelGraph, evidence: Evidence) -> Scores:
        """Returns the summed scales.

        Raises:
            PruneError: A prunable group has no BatchNorm scale; all such groups are named.
        """
        scores, without = {}, []
        for name, group in graph.prunable.items():
            entries = graph.scaled_by(name)
            if not entries:
                without.append(name)
            saliencies = {id(entry.variable): np.abs(numbers(entry)) for entry, _, _ in entries}
            scores[name] = gather(entries, group.size, saliencies)
        if without:
            raise PruneError(
                "Expected a BatchNorm scale in every prunable group. Received: none in "
                f"{', '.join(without[:5])}{'…' if len(without) > 5 else ''}. "
                "Use criterion='l1', or freeze those layers with kp.trace(model, freeze=...)."
            )
        return scores
