"""Optimal Brain Damage: saliencies from the diagonal of the Hessian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kerasprune.criteria.base import Checked, argument
from kerasprune.criteria.curvature import curvatures
from kerasprune.criteria.gradients import GradientCriterion
from kerasprune.criteria.mean_loss import Gradients


@dataclass(frozen=True)
class OBD(Checked, GradientCriterion):
    """Second-order increase of the loss when a channel is removed, by the diagonal of the Hessian.

    `score(c) = Σ ½ h_kk w_k²` over the kernel slices that make channel c.

    At a minimum this is the second-order increase of the loss when the weights are removed, neglecting interactions.

    Args:
        curvature: Source of h: `"exact"` (small networks), `"gauss_newton"` or `"empirical_fisher"`; as a name, a dict
            with a name and arguments, a class or an instance. Defaults to `"empirical_fisher"`.

    Example:
        >>> OBD({"name": "gauss_newton", "samples": 4}).curvature
        GaussNewton(samples=4, examples=1024, most=2048)

    Reference:
        LeCun, Denker and Solla, Optimal Brain Damage, NIPS 1989, equation 5.
    """

    curvature: Any = argument("empirical_fisher", make=curvatures.get)

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `½ h w²`; `gradient` holds the second derivatives h."""
        return 0.5 * gradient * weight**2

    def gradients(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, seed: int
    ) -> Gradients:
        """Returns the diagonal of the Hessian."""
        return self.curvature.diagonal(model, variables, data, loss, seed)
