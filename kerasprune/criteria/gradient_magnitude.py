"""Weight times gradient, in absolute value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerasprune.criteria.gradients import GradientCriterion


@dataclass(frozen=True)
class GradientMagnitude(GradientCriterion):
    """`score(c) = Σ |w·∂L/∂w|` over the kernel slices that make channel c.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> data = [(np.ones((3, 4)), np.ones((3, 2)))]
        >>> kp.criteria.GradientMagnitude().score(kp.trace(model), data, loss="mse")["hidden"].shape
        (8,)

    Reference:
        Blalock et al., What is the State of Neural Network Pruning?, MLSys 2020, arXiv 2003.03033, its
        baselines.
    """

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `|w·∂L/∂w|`."""
        return abs(weight * gradient)
