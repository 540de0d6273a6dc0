"""The magnitude of GraSP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerasprune.criteria.grasp import GraSP


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
