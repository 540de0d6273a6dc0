"""Scales of BatchNorm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from kerasprune.criteria.base import Criterion, Scores, numbers, summed
from kerasprune.errors import PruneError
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True)
class BatchNormScale(Criterion):
    """`score(c) = Σ |γ|` over the BatchNorm layers that scale channel c.

    Reference:
        Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017, section 3.
    """

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the summed scales.

        Raises:
            PruneError: A prunable group has no BatchNorm scale; all such groups are named.
        """
        scores, without = {}, []
        for name, group in graph.prunable.items():
            entries = graph.scaled_by(name)
            if not entries:
                without.append(name)
            scales = [summed(np.abs(numbers(entry)), axis, channel, group.size) for entry, axis, channel in entries]
            scores[name] = np.asarray(ops.convert_to_numpy(sum(scales, np.zeros(group.size))), "float64")
        if without:
            raise PruneError(
                "Expected a BatchNorm scale in every prunable group. Received: none in "
                f"{', '.join(without[:5])}{'…' if len(without) > 5 else ''}. "
                "Use criterion='l1', or freeze those layers with kp.trace(model, freeze=...)."
            )
        return scores
