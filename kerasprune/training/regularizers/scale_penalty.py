"""Penalties on the scales of a whole network: polarization, and network slimming's L1."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from kerasprune.checks import non_negative_faults, positive_faults
from kerasprune.errors import raise_faults


class ScalePenalty(keras.regularizers.Regularizer):
    """Base class of penalties on all BatchNorm scales of a network at once.

    Used as a Keras regularizer of one variable, it penalises that variable alone; `Together` makes it one penalty on
    several variables.

    Args:
        strength: λ.
    """

    def __init__(self, strength: float = 1e-4) -> None:
        raise_faults("Invalid penalty:", positive_faults(strength=strength))
        self.strength = strength

    @abstractmethod
    def penalty(self, gammas: Any) -> Any:
        """Returns the penalty of the concatenated scales of shape `(n,)`, a scalar."""

    @abstractmethod
    def gradient(self, gammas: Any) -> Any:
        """Returns the (sub-)gradient of the penalty with respect to the concatenated scales, shape `(n,)`."""

    def __call__(self, weight: Any) -> Any:
        return self.penalty(ops.reshape(ops.convert_to_tensor(weight), (-1,)))

    def get_config(self) -> dict[str, float]:
        """Returns the arguments."""
        return dict(vars(self))


@dataclass(eq=False)
class Together(keras.regularizers.Regularizer):
    """One penalty on several variables, attached to the first of them.

    Keras adds a regularizer's value to the loss inside the gradient tape. The other variables that it reads are
    therefore differentiated as well, and the gradients are exact for all of them.

    Args:
        penalty: A function from the concatenated scales to a scalar.
        parts: Functions, called inside the compiled step, that return a 1-D tensor of scales. Each is passed the value
            of the variable that this regularizer is attached to.
        weight: A function that returns the factor of the penalty, called at every step.

    Example:
        >>> import keras
        >>> a, b = keras.Variable([1.0, 0.0]), keras.Variable([3.0])
        >>> sum_of_all = Together(keras.ops.sum, [lambda x: x, lambda x: b + 0.0], lambda: 2.0)
        >>> float(sum_of_all(a))
        8.0
    """

    penalty: Callable[[Any], Any]
    parts: Sequence[Callable[[Any], Any]]
    weight: Callable[[], Any]

    def __call__(self, weight: Any) -> Any:
        values = [ops.cast(part(weight), "float32") for part in self.parts]
        return ops.cast(self.weight(), "float32") * self.penalty(ops.concatenate(values))


class Polarization(ScalePenalty):
    """`λ (t ‖γ‖₁ − ‖γ − γ̄·1‖₁)`, with γ̄ the mean of all scales γ of the network.

    The gradient with respect to `γ_i` is `λ (t·sign γ_i − sign(γ_i − γ̄) + mean_k sign(γ_k − γ̄))`, whose last term comes
    from γ̄. On the box [0, a]ⁿ the function is concave, so its minimum is at a corner: every scale is at 0 or at a. The
    share of scales at a in the minimum is `(2 − t)/4`, clipped to [0, 1].

    Args:
        strength: λ. Defaults to 1e-4.
        t: Weight of the first term; larger values push more scales to zero. Defaults to 1.2.

    Example:
        >>> import keras
        >>> float(Polarization(strength=1.0, t=1.0).penalty(keras.ops.array([0.0, 1.0])))
        0.0

    Reference:
        Zhuang et al., Neuron-level Structured Pruning using Polarization Regularizer, NeurIPS 2020, Eq. 2.
    """

    def __init__(self, strength: float = 1e-4, t: float = 1.2) -> None:
        super().__init__(strength)
        raise_faults("Invalid penalty:", non_negative_faults(t=t))
        self.t = t

    def penalty(self, gammas: Any) -> Any:
        """Returns `λ (t ‖γ‖₁ − ‖γ − γ̄·1‖₁)` of the concatenated scales."""
        gammas = ops.convert_to_tensor(gammas)
        spread = ops.sum(ops.abs(gammas - ops.mean(gammas)))
        return self.strength * (self.t * ops.sum(ops.abs(gammas)) - spread)

    def gradient(self, gammas: Any) -> Any:
        """Returns `λ (t·sign γ_i − sign(γ_i − γ̄) + mean_k sign(γ_k − γ̄))`."""
        gammas = ops.convert_to_tensor(gammas)
        sides = ops.sign(gammas - ops.mean(gammas))
        return self.strength * (self.t * ops.sign(gammas) - sides + ops.mean(sides))


class NetworkSlimming(ScalePenalty):
    """`λ ‖γ‖₁`, over all scales γ of the network.

    Args:
        strength: λ. Defaults to 1e-4.

    Example:
        >>> import keras
        >>> float(NetworkSlimming(strength=2.0).penalty(keras.ops.array([0.5, -1.0])))
        3.0

    Reference:
        Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017, Eq. 1.
    """

    def penalty(self, gammas: Any) -> Any:
        """Returns `λ ‖γ‖₁` of the concatenated scales."""
        return self.strength * ops.sum(ops.abs(ops.convert_to_tensor(gammas)))

    def gradient(self, gammas: Any) -> Any:
        """Returns `λ sign γ`."""
        return self.strength * ops.sign(ops.convert_to_tensor(gammas))
