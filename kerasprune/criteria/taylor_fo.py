"""Taylor expansion of the loss to first order, weight by weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerasprune.criteria.gradients import GradientCriterion


@dataclass(frozen=True)
class TaylorFO(GradientCriterion):
    """`score(c) = Σ (w·∂L/∂w)²` over the kernel slices that make channel c: the weight form.

    The square of how the loss changes when a weight is removed, to first order. The gradient is that of the mean loss
    over all data given; the official code averages the squares of single batches instead.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> data = [(np.ones((3, 4)), np.ones((3, 2)))]
        >>> kp.criteria.TaylorFO().score(kp.trace(model), data, loss="mse")["hidden"].shape
        (8,)

    Reference:
        Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, arXiv 1906.10771, section 3.
    """

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `(w·∂L/∂w)²`."""
        return (weight * gradient) ** 2
