"""GraSP: the effect of a weight on the norm of the gradient; with its sign, or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kerasprune.checks import positive_faults
from kerasprune.criteria.base import Checked, argument
from kerasprune.criteria.gradients import GradientCriterion
from kerasprune.criteria.mean_loss import Gradients, MeanLoss


@dataclass(frozen=True)
class GraSP(Checked, GradientCriterion):
    """First-order decrease of the gradient norm when a weight is removed, with its sign.

    `s = θ ⊙ (H g)`, with g the gradient and H the Hessian of the mean loss with respect to the kernels.

    To first order, removing the weight changes `gᵀg` by `−2 θ (H g)`. The paper's own score is `S(−θ) = −θ ⊙ (H g)`: if
    it is positive, removal *increases* the gradient norm, so the weights of highest S are removed (the paper prints
    "bottom p fraction", which its Eq. 7 and 8 contradict; the official code removes the highest). The score here is −S.

    The score of a channel is the sum over the kernel slices that make it: the first-order effect of its removal.

    Differences from the official code (alecwangcq/GraSP): it sorts a batch by class and multiplies the Hessian of each
    half by the gradient of both, with BatchNorm in training mode, whereas this uses the mean gradient over *all* of
    `data`. It reinitialises dense layers before scoring, this keeps all weights. It keeps one weight more than
    requested, this keeps exactly the requested number.

    Args:
        temperature: Divisor of the logits; the official code uses 200. Defaults to 1.
        training: Whether BatchNorm uses the statistics of each batch, and dropout is on. Defaults to `False`.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[3.0]])])
        >>> data = [(np.ones((4, 1), "float32"), np.zeros((4, 1), "float32"))]
        >>> [worth.ravel().tolist() for worth in GraSP().saliency_of(model, data, "mse").values()]  # 3 · 2 · 6
        [[36.0]]

    Reference:
        Wang et al., Picking Winning Tickets Before Training by Preserving Gradient Flow, arXiv 2002.07376, Eq. 8.
    """

    temperature: float = argument(1.0, positive_faults)
    training: bool = False

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `θ · (H g)`; `gradient` holds H g."""
        return weight * gradient

    def gradients(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, seed: int
    ) -> Gradients:
        """Returns `H g` for each variable."""
        mean_loss = MeanLoss(model, variables, data, loss, training=self.training, temperature=self.temperature)
        return mean_loss.hessian_times([*mean_loss.gradient().values()])


@dataclass(frozen=True)
class AbsGraSP(GraSP):
    """First-order change of the gradient norm when a weight is removed, in either direction.

    `s = |θ ⊙ (H g)|`: weights with the least effect on the gradient norm are removed first; see `GraSP`.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> data = [(np.ones((3, 4)), np.ones((3, 2)))]
        >>> kp.criteria.AbsGraSP().score(kp.trace(model), data, loss="mse")["hidden"].shape
        (8,)

    Reference:
        Frankle et al., Pruning Neural Networks at Initialization: Why Are We Missing the Mark?, arXiv 2009.08576,
        section 5 and appendix.
    """

    def reduced(self, total: Any) -> Any:
        """Returns the magnitude."""
        return abs(total)
