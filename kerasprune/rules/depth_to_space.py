"""Space to channels and back: the channels of one pixel block shrink together."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasprune._keras import nn
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.rule import CARRIED, UNKNOWN, rule


@rule(nn.DepthToSpace, constant=UNKNOWN, reads=("block_size",))
def depth_to_space(graph: GraphBuilder, operation: Any, x: np.ndarray) -> np.ndarray:
    """Channel `k·C + c` of a position becomes channel c of the k-th pixel of its block."""
    return graph.tie(*x.reshape(operation.block_size**2, -1))


@rule(nn.SpaceToDepth, constant=CARRIED, reads=("block_size",))
def space_to_depth(graph: GraphBuilder, operation: Any, x: np.ndarray) -> np.ndarray:
    """The pixels of a block become channels, pixel by pixel."""
    return np.tile(x, operation.block_size**2)
