"""Cosine distance of blocks: how far a block turns its input, without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasprune.checks import whole_number_faults
from kerasprune.data.batches import example_batches
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.papers.three_dimensional.block_criterion import BlockCriterion
from kerasprune.papers.three_dimensional.block_ends import ends_of_blocks
from kerasprune.repair.reconstruction.as_linear import numbers_of
from kerasprune.repair.reconstruction.program import ProgramRun
from kerasprune.surgery.comparison import cosines


@dataclass(frozen=True)
class CosineDistance(BlockCriterion):
    """How far blocks turn their inputs: a block that changes nothing but the length can be dropped.

    `score(block) = 1 − mean over positions of cos(x, y)`, with the channels x that go in and y that come out. The
    output of a residual block is taken after the activation that follows the sum. A block that adds channels, as in a
    DenseNet, is compared with its input and zeros for them; one that changes the side is compared by the means over
    all positions.

    Args:
        samples: Number of samples used, from the start of the data; labels are ignored. Defaults to 512.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> total = keras.layers.Add(name="sum")([inputs, keras.layers.Dense(4, kernel_initializer="zeros")(inputs)])
        >>> graph = kp.trace(keras.Model(inputs, keras.layers.Dense(2)(total)))
        >>> scores = kp.papers.three_dimensional.score_blocks("cosine_distance", graph, np.ones((8, 4)))
        >>> abs(scores["sum"]) < 1e-6
        True

    Reference:
        Men et al., ShortGPT: Layers in Large Language Models are More Redundant Than You Expect, arXiv 2403.03853,
        Eq. 1 (Block Influence).
    """

    samples: int = 512

    def __post_init__(self) -> None:
        raise_faults("Invalid arguments for CosineDistance:", whole_number_faults(1, samples=self.samples))

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> dict[str, float]:
        """Returns the distance of every block.

        Raises:
            PruneError: No data are given.
        """
        if data is None:
            raise PruneError("Expected examples to run the blocks on. Received: data=None. Pass data=.")
        program, ends, axes = ends_of_blocks(graph)
        totals, numbers = dict.fromkeys(ends, 0.0), dict.fromkeys(ends, 0)
        run = ProgramRun(program, example_batches(graph.model, data, self.samples))
        for tensors in run.batches(*axes):
            last = [np.moveaxis(numbers_of(x), axis, -1) for x, axis in zip(tensors, axes.values(), strict=True)]
            seen = dict(zip(axes, last, strict=True))
            for name, (before, after) in ends.items():
                found = cosines(seen[before], seen[after])
                totals[name] += float(found.sum())
                numbers[name] += found.size
        return {name: 1 - totals[name] / numbers[name] for name in ends}
