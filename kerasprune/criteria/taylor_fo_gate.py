"""Taylor expansion of the loss to first order, in a gate on each channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerasprune.criteria.gates import GateCriterion


@dataclass(frozen=True)
class TaylorFOGate(GateCriterion):
    """`score(c) = (∂L/∂z)² = (Σ w·∂L/∂w)²`, z = 1 a gate on what channel c puts out: the gate form.

    The sum goes over the scale and shift of BatchNorm where there is one, else over kernels and biases. Of a single
    weight it says what the weight form says.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> data = [(np.ones((3, 4)), np.ones((3, 2)))]
        >>> kp.criteria.TaylorFOGate().score(kp.trace(model), data, loss="mse")["hidden"].shape
        (8,)

    Reference:
        Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, arXiv 1906.10771, section 3.
    """

    def reduced(self, total: Any) -> Any:
        """Returns the square of the summed first-order changes."""
        return total**2
