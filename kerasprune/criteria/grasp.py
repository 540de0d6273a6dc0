"""GraSP: what a weight does for the norm of the gradient; with its sign, or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kerasprune.criteria.gradients import GradientCriterion
from kerasprune.criteria.mean_loss import Gradients, MeanLoss
from kerasprune.errors import positive_faults, raise_faults


@dataclass(frozen=True)
class GraSP(GradientCriterion):
    """`s = θ ⊙ (H g)`, g the gradient and H the Hessian of the mean loss by the kernels. Higher = keep.

    Without the weight, `gᵀg` changes by `−2 θ (H g)`, to first order. The paper's own score is `S(−θ) = −θ ⊙ (H g)`:
    where it is positive, removal *raises* the gradient, so the highest S go (seeds/004 prints "bottom p fraction",
    which its Eq. 7 and 8 contradict; the official code removes the highest). Ours is −S, so that the highest stay.

    A channel is worth the sum over the kernel slices that make it: what its removal changes, to first order.

    Beside the official code (alecwangcq/GraSP): the gradient is the mean over *all* of `data` before the Hessian is
    multiplied; there each half of a batch that is sorted by classes meets the gradient of both, with BatchNorm in
    training mode. All layers keep their weights, where that draws dense ones anew for scoring. Exactly the asked number
    is kept, where that keeps one more.

    Args:
        temperature: What logits are divided by; the official code has 200. Defaults to 1.
        training: Whether BatchNorm takes the statistics of each batch, and dropout is on. Defaults to `False`.

    Raises:
        PruneError: The temperature is not positive; in use, with one other than 1: the model puts out shares.

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

    temperature: float = 1.0
    training: bool = False

    def __post_init__(self) -> None:
        raise_faults(f"{type(self).__name__} cannot be made:", positive_faults(temperature=self.temperature))

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `θ · (H g)`; what is given as the gradient is H g."""
        return weight * gradient

    def gradients(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, seed: int
    ) -> Gradients:
        """Returns `H g` for each variable."""
        mean_loss = MeanLoss(model, variables, data, loss, training=self.training, temperature=self.temperature)
        products = mean_loss.hessian_times(mean_loss.gradient())
        return dict(zip(map(id, variables), products, strict=True))


@dataclass(frozen=True)
class AbsGraSP(GraSP):
    """`s = |θ ⊙ (H g)|`: what the norm of the gradient feels least goes first. Arguments as for `GraSP`.

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
