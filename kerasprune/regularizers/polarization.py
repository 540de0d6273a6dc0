"""Polarization: scales are pushed to zero or away from it."""

from __future__ import annotations

from typing import Any

from keras import ops

from kerasprune.errors import PruneError
from kerasprune.regularizers.scale_penalty import ScalePenalty


class Polarization(ScalePenalty):
    """`λ (t ‖γ‖₁ − ‖γ − γ̄·1‖₁)`, with γ̄ the mean of all scales γ of the network.

    The gradient with respect to `γ_i` is `λ (t·sign γ_i − sign(γ_i − γ̄) + mean_k sign(γ_k − γ̄))`; the last term comes
    through γ̄. On the box [0, a]ⁿ the function is concave, so that it is smallest at a corner: every scale at 0 or at a.
    Alone, it has a share `(2 − t)/4` of the scales at a (within [0, 1]): the larger t, the fewer.

    Args:
        strength: λ. Defaults to 1e-4.
        t: Weight of the first term; larger values push more scales to zero. Defaults to 1.2.

    Raises:
        PruneError: λ is not a positive number, or t is not a number of 0 or more.

    Example:
        >>> import keras
        >>> float(Polarization(strength=1.0, t=1.0).penalty(keras.ops.array([0.0, 1.0])))
        0.0

    Reference:
        Zhuang et al., Neuron-level Structured Pruning using Polarization Regularizer, NeurIPS 2020, Eq. 2.
    """

    def __init__(self, strength: float = 1e-4, t: float = 1.2) -> None:
        super().__init__(strength)
        if isinstance(t, bool) or not isinstance(t, int | float) or not 0 <= t < float("inf"):
            raise PruneError(f"Expected t ≥ 0. Received: t={t!r}.")
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

    def get_config(self) -> dict[str, float]:
        """Returns the arguments."""
        return {"strength": self.strength, "t": self.t}
