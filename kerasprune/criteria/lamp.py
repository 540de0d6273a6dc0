"""LAMP: a weight's share of its layer's energy after removing all smaller weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from kerasprune.criteria.base import Criterion, Scores
from kerasprune.criteria.magnitude import L2
from kerasprune.criteria.normalisation import ByLarger
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True)
class LAMP(Criterion):
    """A squared weight divided by the sum of all squares at least as large in its kernel.

    `score(w) = w² / Σ_{|v| ≥ |w|} v²` over the weights v of the same kernel.

    A channel scores `‖W_c‖² / Σ_{‖W_d‖ ≥ ‖W_c‖} ‖W_d‖²` over the channels d of its group, where ‖W_c‖² sums over
    all kernel slices that make c. The largest weight of a kernel, and the largest channel of a group, scores 1, so a
    common threshold never empties a layer. Within a group the order is that of `l2`, so LAMP differs from it only with
    the budgets `global` and `threshold`; use the latter. Equal weights have equal scores (the paper breaks ties by
    index). A callback that masks whole filters sums the scores of their weights instead.

    Example:
        >>> import numpy as np
        >>> np.round(LAMP().saliency(np.array([1.0, -2.0, 2.0])), 2).tolist()
        [0.11, 0.5, 0.5]

    Reference:
        Lee et al., Layer-adaptive Sparsity for the Magnitude-based Pruning, ICLR 2021, Eq. 1.
    """

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns the shares of single weights."""
        if isinstance(weight, np.ndarray):
            return ByLarger()(np.asarray(weight, "float64").ravel() ** 2).reshape(weight.shape)
        squares = ops.reshape(weight, (-1,)) ** 2
        rising = ops.sort(squares)
        left = ops.flip(ops.cumsum(ops.flip(rising)))
        left = ops.take(left, ops.searchsorted(rising, squares))
        return ops.reshape(squares / ops.where(left == 0, ops.ones_like(left), left), weight.shape)

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the shares of whole channels."""
        return {name: ByLarger()(norms**2) for name, norms in L2().score(graph).items()}
