"""Weight times gradient, in absolute value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerasprune.criteria.gradients import GradientCriterion


@dataclass(frozen=True)
class GradientMagnitude(GradientCriterion):
    """`score(c) = Σ |w·∂L/∂w|` over the kernel slices that make channel c.

    Reference:
        Blalock et al., What is the State of Neural Network Pruning?, MLSys 2020, arXiv 2003.03033, its
        baselines.
    """

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `|w·∂L/∂w|`."""
        return abs(weight * gradient)
