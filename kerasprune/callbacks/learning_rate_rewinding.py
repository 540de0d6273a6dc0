"""Removes weights in rounds and rewinds only the learning-rate schedule."""

from __future__ import annotations

from kerasprune.attaching.rewinding import rewind_optimizer
from kerasprune.callbacks._iterative import IterativeRemoval


class LearningRateRewinding(IterativeRemoval):
    """Trains, removes the smallest weights, and trains the others further from the learning rate of step k.

    As `IterativeMagnitude`, but kept weights are not rewound; only the step, with it the learning-rate schedule, and
    the optimizer slots are.

    Args:
        rounds: Number of removals. Defaults to 1.
        keep_per_round: Fraction kept of the remaining weights at each removal. Defaults to 0.8.
        rewind_to: Step of the schedule to rewind to, e.g. `"2ep"`. Defaults to `"0it"`.
        criterion: As for `GradualMagnitude`. Defaults to `"l1"`.
        granularity: As for `GradualMagnitude`. Defaults to `"weight"`.
        scope: As for `GradualMagnitude`. Defaults to `"global"`.
        freeze: Names of layers, or wildcards, that are kept whole. Defaults to none.
        strict: Whether to raise a `PruneError` at the end of a fit in which it did not act, rather than to warn.
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
