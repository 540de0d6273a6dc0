"""L1 and L2 norms of the filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from kerasprune.criteria.base import Criterion


@dataclass(frozen=True)
class L1(Criterion):
    """Sum of absolute weights of a channel's kernels.

    `score(c) = Σ |w|` over the kernel slices that make channel c.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> kp.criteria.L1().score(kp.trace(model))["hidden"].shape
        (8,)

    Reference:
        Li et al., Pruning Filters for Efficient ConvNets, arXiv 1608.08710, section 3.1.
    """

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `|w|`."""
        return abs(weight)


@dataclass(frozen=True)
class L2(Criterion):
    """Euclidean norm of the weights of a channel's kernels.

    `score(c) = sqrt(Σ w²)` over the kernel slices that make channel c.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> kp.criteria.L2().score(kp.trace(model))["hidden"].shape
        (8,)

    Reference:
        The one-shot criterion of He et al., Network Pruning Spaces, arXiv 2304.09453, section 3.
    """

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `w²`."""
        return weight**2

    def reduced(self, total: Any) -> Any:
        """Returns the root of the summed squares."""
        return ops.sqrt(total)
