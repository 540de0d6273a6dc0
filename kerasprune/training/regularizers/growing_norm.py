"""The penalties whose strength grows: L2, and L1."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from keras import ops


@dataclass(eq=False)
class GrowingNorm(keras.regularizers.Regularizer):
    """Base class of penalties `Σ_j λ_j R(w_j)` whose λ can change at every step.

    Args:
        strength: A function, called inside the compiled step, that returns λ as a tensor broadcastable to the weight.
    """

    name: ClassVar[str]
    fades: ClassVar[bool]
    """Whether its gradient falls with the weight, so that an optimizer can damp it critically."""

    strength: Callable[[], Any]

    @staticmethod
    @abstractmethod
    def of(weight: Any) -> Any:
        """Returns R of every weight, in the weight's shape."""

    @staticmethod
    @abstractmethod
    def shrunk(weight: Any, amount: Any) -> Any:
        """Returns a weight after a step along the penalty alone, of `amount` = η·λ."""

    def __call__(self, weight: Any) -> Any:
        weight = ops.convert_to_tensor(weight)
        return ops.sum(ops.cast(self.strength(), weight.dtype) * self.of(weight))


@dataclass(eq=False)
class GrowingL2(GrowingNorm):
    """`½ Σ_j λ_j w_j²`, an L2 penalty whose λ can change at every step.

    Its gradient is `λ_j w_j`: a separate weight decay for every weight.

    Args:
        strength: A function, called inside the compiled step, that returns λ as a tensor broadcastable to the weight.

    Example:
        >>> import keras
        >>> float(GrowingL2(lambda: 3.0)(keras.ops.ones((2,))))
        3.0

    Reference:
        Wang et al., Neural Pruning via Growing Regularization, ICLR 2021, Eq. 3.
    """

    name: ClassVar[str] = "l2"
    fades: ClassVar[bool] = True

    @staticmethod
    def of(weight: Any) -> Any:
        """Returns `½ w²`."""
        return 0.5 * ops.square(weight)

    @staticmethod
    def shrunk(weight: Any, amount: Any) -> Any:
        """Returns `max(1 − ηλ, 0)·w`."""
        return ops.cast(ops.maximum(1.0 - amount, 0.0), weight.dtype) * weight


@dataclass(eq=False)
class GrowingL1(GrowingNorm):
    """`Σ_j λ_j |w_j|`, an L1 penalty whose λ can change at every step.

    Its gradient is `λ_j sign(w_j)`, as large for a small weight as for a large one.

    Args:
        strength: As for `GrowingL2`.

    Example:
        >>> import keras
        >>> float(GrowingL1(lambda: 3.0)(keras.ops.array([1.0, -2.0])))
        9.0

    Reference:
        Wang et al., Neural Pruning via Growing Regularization, ICLR 2021, "Discussion: other regularization forms".
    """

    name: ClassVar[str] = "l1"
    fades: ClassVar[bool] = False

    @staticmethod
    def of(weight: Any) -> Any:
        """Returns `|w|`."""
        return ops.abs(weight)

    @staticmethod
    def shrunk(weight: Any, amount: Any) -> Any:
        """Returns `sign(w)·max(|w| − ηλ, 0)`, which is zero once the step is larger than the weight."""
        return ops.sign(weight) * ops.maximum(ops.abs(weight) - ops.cast(amount, weight.dtype), 0.0)


NORMS = {norm.name: norm for norm in (GrowingL1, GrowingL2)}
