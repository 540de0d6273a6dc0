"""SNIP: the sensitivity of the loss to single connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasprune.criteria.gradients import GradientMagnitude
from kerasprune.criteria.mean_loss import Gradients, MeanLoss
from kerasprune.errors import PruneError
from kerasprune.graph.graph import values


@dataclass(frozen=True)
class SNIP(GradientMagnitude):
    """A weight's share of the sensitivity of the loss.

    `s_j = |w_j ∂L/∂w_j| / Σ_k |w_k ∂L/∂w_k|`.

    It is the derivative of the loss with respect to a factor c_j = 1 that multiplies the weight. The score of a channel
    is the sum over the kernel slices that make it.

    Differences from the official code (namhoonlee/snip-public): it also prunes biases, this only kernels; it averages
    gradients over one batch of 128 images, this over all of `data`; it scores one random initialisation and trains
    another, this scores the model's own weights.

    Args:
        training: Whether BatchNorm uses the statistics of each batch, and dropout is on. Defaults to `False`. At
            initialisation the moving statistics are meaningless, so deep networks need `True`.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> model.set_weights([np.array([[1.0], [3.0]])])
        >>> data = [(np.ones((4, 2), "float32"), np.zeros((4, 1), "float32"))]
        >>> [worth.ravel().tolist() for worth in SNIP().saliency_of(model, data, "mse").values()]
        [[0.25, 0.75]]

    Reference:
        Lee et al., SNIP: Single-shot Network Pruning based on Connection Sensitivity, arXiv 1810.02340, Eq. 5 and 6.
    """

    training: bool = False

    def gradients(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, seed: int
    ) -> Gradients:
        """Returns the gradients of the mean loss, divided by `Σ |w · g|` over all of the variables."""
        found = MeanLoss(model, variables, data, loss, training=self.training).gradient()
        total = sum(float(np.abs(values(v) * found[id(v)]).sum()) for v in variables)
        if not total:
            raise PruneError(
                "Expected a loss that depends on the weights. Received: gradients that are all 0. Check that labels "
                "vary, and that no activation is saturated."
            )
        return {key: each / total for key, each in found.items()}
