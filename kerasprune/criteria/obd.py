"""Optimal Brain Damage: what the diagonal of the Hessian says of removing a weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kerasprune.criteria.curvature import curvatures
from kerasprune.criteria.gradients import GradientCriterion
from kerasprune.criteria.mean_loss import Gradients


@dataclass(frozen=True)
class OBD(GradientCriterion):
    """`score(c) = Σ ½ h_kk w_k²` over the kernel slices that make channel c.

    How much the loss rises without the weights, to second order, at a minimum, and as if they did not interact.

    Args:
        curvature: What h is: `"exact"` (small networks), `"gauss_newton"` or `"empirical_fisher"`; as a name, a dict
            with a name and arguments, a class or an instance. Defaults to `"empirical_fisher"`.

    Example:
        >>> OBD({"name": "gauss_newton", "samples": 4}).curvature
        GaussNewton(samples=4, examples=1024, most=2048)

    Reference:
        LeCun, Denker and Solla, Optimal Brain Damage, NIPS 1989, equation 5.
    """

    curvature: Any = "empirical_fisher"

    def __post_init__(self) -> None:
        object.__setattr__(self, "curvature", curvatures.get(self.curvature))

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `½ h w²`; the second derivatives h stand in the place of the gradient."""
        return 0.5 * gradient * weight**2

    def gradients(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, seed: int
    ) -> Gradients:
        """Returns the diagonal of the Hessian."""
        return self.curvature.diagonal(model, variables, data, loss, seed)
