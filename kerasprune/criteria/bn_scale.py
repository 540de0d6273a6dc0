"""Scales of BatchNorm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasprune.criteria.base import Criterion, Scores, channel_sums, numbers, refuse
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True)
class BatchNormScale(Criterion):
    """Absolute BatchNorm scale of a channel.

    `score(c) = Σ |γ|` over the BatchNorm layers that scale channel c.

    Example:
        >>> import keras, kerasprune as kp
        >>> norm = keras.layers.BatchNormalization()
        >>> layers = [keras.Input((6, 6, 1)), keras.layers.Conv2D(2, 3, name="conv"), norm, keras.layers.Flatten()]
        >>> model = keras.Sequential([*layers, keras.layers.Dense(2)])
        >>> _ = norm.gamma.assign([0.5, -2.0])
        >>> kp.criteria.BatchNormScale().score(kp.trace(model))["conv"].tolist()
        [0.5, 2.0]

    Reference:
        Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017, section 3.
    """

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the summed scales.

        Raises:
            PruneError: A prunable group has no BatchNorm scale.
        """
        scales = [(entry, range(len(entry.ids))) for entry in graph.slices if entry.role == "scale"]
        scores = channel_sums(graph, scales, lambda entry: np.abs(numbers(entry)))
        without = [name for name in graph.prunable if name not in scores]
        refuse(without, "a BatchNorm scale in every prunable group", "none in")
        return scores
