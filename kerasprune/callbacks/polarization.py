"""Polarization: BatchNorm scales are driven to zero or away from it, and those at zero are removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from kerasprune.callbacks._bn_penalty import BatchNormPenalty, above, to_target
from kerasprune.checks import fraction_faults, given_values, positive_faults
from kerasprune.defaults import AUTO
from kerasprune.errors import make_or_note, short
from kerasprune.graph.sizes import Size
from kerasprune.planning.budgets.base import Floor
from kerasprune.training import regularizers, thresholds
from kerasprune.training.bn_scales import NetworkScales


class Polarization(BatchNormPenalty):
    """Drives BatchNorm scales either to zero or away from it, and removes the channels with zero scales.

    The loss is `L + λ (t ‖γ‖₁ − ‖γ − γ̄·1‖₁)`, where γ are the BatchNorm scales of all prunable channels and γ̄ is their
    mean, which is differentiated too. After every step `γ ← min(max(γ, 0), ceiling)`. A channel is removed if all its
    scales are at or below the threshold of their layer; channels tied by residual connections are removed or kept
    together.

    Args:
        strength: λ. Defaults to 1e-4.
        t: Larger values push more scales to zero. Defaults to 1.2.
        ceiling: a, the largest value of a scale. Defaults to 1.0.
        threshold: The largest scale that counts as zero: a name from `kp.callbacks.thresholds` (`"valley"`, `"fixed"`,
            `"otsu"`), a dict with a name and arguments, an instance, or a fraction of the ceiling. Defaults to
            `"valley"`.
        macs: Instead of the threshold: the fraction kept of the dense model's multiply–adds, met by one threshold for
            all layers. Defaults to `None`.
        initial: The value of every scale when `fit` begins; `None`: unchanged but clamped. Defaults to 0.5.
        until: `{"macs": fraction}` or `{"params": fraction}`: the penalty ends, and the scales are held, after the
            first epoch whose plan would keep no more than that. Defaults to `None`: never.
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
        >>> callback = Polarization(strength=1e-3, threshold=0.05)
        >>> callback.threshold
        Fixed(scope='layer', value=0.05)

    Reference:
        Zhuang et al., Neuron-level Structured Pruning using Polarization Regularizer, NeurIPS 2020.
    """

    label = "polarization"

    def __init__(
        self,
        strength: float = 1e-4,
        t: float = 1.2,
        ceiling: float = 1.0,
        threshold: Any = "valley",
        *,
        macs: float | None = None,
        initial: float | None = 0.5,
        until: Mapping[str, float] | None = None,
        coupling: str = "tied",
        freeze: Sequence[str] = (),
        size: Size | None = None,
        min_keep: float = 1,
        round_to: int | Literal["auto"] = AUTO,
        decoupled: bool = False,
        strict: bool = True,
    ) -> None:
        wrong = positive_faults(ceiling=ceiling)
        faults = [*fraction_faults(**given_values(macs=macs)), *_until_faults(until), *wrong]
        if macs is not None and until is not None:
            faults.append("Expected either macs= or until=. Received: both, and macs= is always met.")
        penalty = make_or_note(faults, regularizers.Polarization, strength, t)
        self.bounds, self.until = (0.0, np.inf if wrong else ceiling), until
        self.threshold = make_or_note(faults, thresholds.get, threshold)
        self.floor = make_or_note(faults, Floor, min_keep, round_to)
        super().__init__(penalty, initial, coupling, freeze, size, faults, decoupled, strict)
        self.macs = macs

    def chosen(self, scales: NetworkScales) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Returns the channels kept, by threshold or to meet `macs`, and the thresholds."""
        if self.macs is not None:
            return to_target(scales, self.floor, macs=self.macs)
        found = self.threshold.each(scales.values(), self.bounds[1])
        return above(scales, self.floor, found), found


def _until_faults(until: object) -> list[str]:
    """Returns the faults of the target at which the penalty ends."""
    if until is None:
        return []
    if not isinstance(until, Mapping) or len(until) != 1 or not set(until) <= {"macs", "params"}:
        return [f'Expected until to be {{"macs": fraction}} or {{"params": fraction}}. Received: until={short(until)}.']
    return fraction_faults(**until)
