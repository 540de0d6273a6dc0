"""Network slimming: the L1 norm of the scales."""

from __future__ import annotations

from typing import Any

from keras import ops

from kerasprune.regularizers.scale_penalty import ScalePenalty


class NetworkSlimming(ScalePenalty):
    """`λ ‖γ‖₁`, over all scales γ of the network.

    Args:
        strength: λ. Defaults to 1e-4.

    Raises:
        PruneError: λ is not a positive number.

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

    def get_config(self) -> dict[str, float]:
        """Returns the arguments."""
        return {"strength": self.strength}
