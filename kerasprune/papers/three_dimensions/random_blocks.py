"""Random scores of blocks: the control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasprune.graph.graph import ChannelGraph
from kerasprune.papers.three_dimensions.block_criterion import BlockCriterion, blocks_of


@dataclass(frozen=True)
class RandomBlocks(BlockCriterion):
    """Uniform scores, a function of the seed and the order of the blocks: the control.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> total = keras.layers.Add(name="sum")([inputs, keras.layers.Dense(4)(inputs)])
        >>> graph = kp.trace(keras.Model(inputs, keras.layers.Dense(2)(total)))
        >>> list(kp.criteria.score_blocks("random", graph))
        ['sum']
    """

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> dict[str, float]:
        """Returns independent numbers in [0, 1)."""
        names = list(blocks_of(graph))
        return dict(zip(names, np.random.default_rng(seed).random(len(names)), strict=True))
