"""An L2 penalty whose strength is read anew at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


class GrowingL2(keras.regularizers.Regularizer):
    """`½ Σ_j λ_j w_j²`, with a λ that is read anew at every step.

    Its gradient is `λ_j w_j`: a weight decay of its own for every weight.

    Args:
        strength: Returns λ as a tensor that broadcasts to the weight's shape. Called inside the compiled step.

    Example:
        >>> import keras
        >>> float(GrowingL2(lambda: 3.0)(keras.ops.ones((2,))))
        3.0

    Reference:
        Wang et al., Neural Pruning via Growing Regularization, ICLR 2021, Eq. 3.
    """

    def __init__(self, strength: Callable[[], Any]) -> None:
        self.strength = strength

    def __call__(self, weight: Any) -> Any:
        weight = ops.convert_to_tensor(weight)
        return 0.5 * ops.sum(ops.cast(self.strength(), weight.dtype) * ops.square(weight))
