"""Removes weights in rounds and rewinds only the learning-rate schedule."""

from __future__ import annotations

from kerasprune.callbacks._iterative import IterativeRemoval
from kerasprune.training.rewinding import rewind_optimizer


class LearningRateRewinding(IterativeRemoval):
    """Repeatedly trains, removes the smallest weights, and retrains the others with the learning rates from step k on.

    Like `IterativeMagnitude`, but the kept weights are not rewound: only the step, and so the learning-rate schedule,
    is rewound, and the optimizer slots are reset.

    Args:
        rounds: Number of removals. Defaults to 1.
        keep_per_round: Fraction kept of the remaining weights at each removal. Defaults to 0.8.
        rewind_to: Step of the schedule to rewind to, e.g. `"2ep"`. Defaults to `"0it"`.
        criterion: As for `GradualMagnitude`. Defaults to `"l1"`.
        granularity: As for `GradualMagnitude`. Defaults to `"weight"`.
        scope: As for `GradualMagnitude`. Defaults to `"global"`.
        freeze: Names of layers, or wildcards, that are kept whole. Defaults to none.
        strict: Whether to raise a `PruneError`, rather than warn, after a fit in which the callback had no effect.
            Defaults to `True`.

    Raises:
        PruneError: As for `IterativeMagnitude`.

    Example:
        >>> callback = LearningRateRewinding(rounds=1, keep_per_round=0.2)

    Reference:
        Renda et al., Comparing Rewinding and Fine-tuning in Neural Network Pruning, ICLR 2020, section 3.
    """

    def remember(self) -> None:
        """Does nothing: the weights of the rewind point are not needed."""

    def rewind(self) -> None:
        """Rewinds the schedule only."""
        rewind_optimizer(self.model, self.rewound())
