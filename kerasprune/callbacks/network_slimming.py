"""Network slimming: an L1 penalty on BatchNorm scales, the smallest of which are removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from kerasprune.callbacks._bn_penalty import BatchNormPenalty, to_target
from kerasprune.checks import fraction_faults, given_values
from kerasprune.defaults import AUTO
from kerasprune.errors import make_or_note
from kerasprune.graph.sizes import Size
from kerasprune.planning.budgets.base import Floor
from kerasprune.training import regularizers
from kerasprune.training.bn_scales import NetworkScales


class NetworkSlimming(BatchNormPenalty):
    """Makes the BatchNorm scales of a network sparse, and removes the channels with the smallest scales.

    The loss is `L + λ ‖γ‖₁`, where γ are the BatchNorm scales of all prunable channels. Channels of the whole network
    are ranked by |γ|, and by the largest |γ| if several layers scale them: channels tied by residual connections are
    removed or kept together. At least `min_keep` channels of every group are kept.

    Args:
        strength: λ. Defaults to 1e-4.
        keep: Fraction of the channels kept. Defaults to 0.5.
        macs: Instead of `keep`: fraction kept of the dense model's multiply–adds. Defaults to `None`.
        initial: The value of every scale when `fit` begins; `None`: unchanged. Defaults to 0.5.
        coupling: As for `kp.trace`. Defaults to `"tied"`.
        freeze: Layers whose channels are all kept, as for `kp.trace`. Defaults to none.
        size: Size of the inputs at which multiply–adds are counted, see `kp.trace`. Defaults to the model's own.
        min_keep: Fewest channels kept in a group, as for `kp.plan`. Defaults to 1.
        round_to: The number of channels kept is a multiple of this. Defaults to `"auto"`: as for `kp.plan`, with
            `macs`; otherwise 1.
        decoupled: Whether the penalty bypasses momentum and moments: `γ ← γ − η·∂R/∂γ` after the update, without
            crossing zero. For optimizers that divide gradients by their magnitude (Adam, AdamW, Lion). Defaults to
            `False`.
        strict: Whether to raise a `PruneError`, rather than warn, after a fit in which the callback had no effect.
            Defaults to `True`.

    Raises:
        PruneError: An argument is out of range; when `fit` begins, the model has no scales to train.

    Example:
        >>> NetworkSlimming(strength=1e-5, macs=0.5).penalty.strength
        1e-05

    Reference:
        Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017.
    """

    label = "slimming"

    def __init__(
        self,
        strength: float = 1e-4,
        *,
        keep: float = 0.5,
        macs: float | None = None,
        initial: float | None = 0.5,
        coupling: str = "tied",
        freeze: Sequence[str] = (),
        size: Size | None = None,
        min_keep: float = 1,
        round_to: int | Literal["auto"] = AUTO,
        decoupled: bool = False,
        strict: bool = True,
    ) -> None:
        faults = fraction_faults(keep=keep, **given_values(macs=macs))
        self.floor = make_or_note(faults, Floor, min_keep, round_to)
        penalty = make_or_note(faults, regularizers.NetworkSlimming, strength)
        super().__init__(penalty, initial, coupling, freeze, size, faults, decoupled, strict)
        self.keep = keep
        self.macs = macs

    def chosen(self, scales: NetworkScales) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Returns the channels above the one threshold that meets `macs` or `keep`."""
        target = {"keep": self.keep} if self.macs is None else {"macs": self.macs}
        return to_target(scales, self.floor, **target)
