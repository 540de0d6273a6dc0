"""Relevance of units: by how much the loss rises without them, to first order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerasprune.criteria.gates import GateCriterion


@dataclass(frozen=True)
class Skeletonization(GateCriterion):
    """`score(c) = −∂L/∂z = −Σ w·∂L/∂w`, z = 1 a gate on what channel c puts out.

    Signed: a channel whose removal lowers the loss scores below zero and goes first. The sum goes over the scale and
    shift of BatchNorm where there is one, else over kernels and biases; a single weight scores `−w·∂L/∂w`. The paper
    takes the gradient of a linear error, since that of a squared one vanishes with the error: give such a loss for it.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> data = [(np.ones((3, 4)), np.ones((3, 2)))]
        >>> kp.criteria.Skeletonization().score(kp.trace(model), data, loss="mse")["hidden"].shape
        (8,)

    Reference:
        Mozer and Smolensky, Skeletonization: A Technique for Trimming the Fat from a Network via Relevance Assessment,
        NIPS 1988, section 2.
    """

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `−w·∂L/∂w`."""
        return -weight * gradient
