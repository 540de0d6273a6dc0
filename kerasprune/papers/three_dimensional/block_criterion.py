"""The contract of every criterion of blocks: from a graph to one score per droppable block. Higher = keep.

A separate family from the criteria of channels: blocks are dropped whole, so nothing is summed over slices of kernels,
and no budget of channels applies.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.channels import Block
from kerasprune.graph.graph import ChannelGraph
from kerasprune.papers.three_dimensional.registry import block_criteria


class BlockCriterion:
    """Base class of all criteria of blocks."""

    @abstractmethod
    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> dict[str, float]:
        """Returns the score of every droppable block."""

    def judged_on(self, data: Any) -> BlockCriterion:
        """Returns the criterion with these batches for its accuracy, if it takes one; else itself."""
        return self


def score_blocks(
    criterion: str | dict | type | BlockCriterion,
    graph: ChannelGraph,
    data: Any = None,
    loss: Any = None,
    seed: int = 0,
) -> dict[str, float]:
    """Returns the score of every droppable block, and checks the scores.

    Args:
        criterion: A name (`"discrimination"`, `"random"`), a dict with a name and arguments, a class or an instance.
        graph: The graph of the model.
        data: Batches of `(inputs, labels)`. Defaults to `None`.
        loss: The loss function. Defaults to `None`.
        seed: Seed of all random draws. Defaults to 0.

    Raises:
        PruneError: A block has no score, or a score is not finite.
    """
    criterion = block_criteria.get(criterion)
    if not blocks_of(graph):
        return {}
    scores: Any = criterion.score(graph, data=data, loss=loss, seed=seed)
    raise_faults(
        f"Expected one finite score per block from {type(criterion).__name__}.",
        [
            f"block {name!r}. Received: {scores.get(name)!r}."
            for name in blocks_of(graph)
            if scores.get(name) is None or not np.isfinite(scores[name])
        ],
    )
    return {name: float(scores[name]) for name in blocks_of(graph)}


def blocks_of(graph: ChannelGraph) -> dict[str, Block]:
    """Returns the droppable blocks that count as depth.

    If the graph has residual or dense blocks, single convolutions outside them, such as the transitions of a DenseNet,
    do not count.
    """
    branches = {name: block for name, block in graph.blocks.items() if block.kind != "plain"}
    return branches or dict(graph.blocks)


def least_blocks(scores: dict[str, float], number: int) -> tuple[str, ...]:
    """Returns the names of the blocks with the lowest scores, in the order of the network; of equal scores, the first.

    Raises:
        PruneError: The graph has fewer blocks.

    Example:
        >>> least_blocks({"a": 0.3, "b": 0.1, "c": 0.2}, 2)
        ('b', 'c')
    """
    if not 0 <= number <= len(scores):
        raise PruneError(f"Expected 0 to {len(scores)} blocks to drop. Received: {number}.")
    order = np.argsort(list(scores.values()), kind="stable")[:number]
    names = list(scores)
    return tuple(names[i] for i in sorted(order))


@dataclass(frozen=True)
class RandomBlocks(BlockCriterion):
    """Uniform random scores, determined by the seed and the order of the blocks; a control.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> total = keras.layers.Add(name="sum")([inputs, keras.layers.Dense(4)(inputs)])
        >>> graph = kp.trace(keras.Model(inputs, keras.layers.Dense(2)(total)))
        >>> list(kp.papers.three_dimensional.score_blocks("random", graph))
        ['sum']
    """

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> dict[str, float]:
        """Returns independent numbers in [0, 1)."""
        names = list(blocks_of(graph))
        return dict(zip(names, np.random.default_rng(seed).random(len(names)), strict=True))
