"""Removes weights in rounds after which only the schedule is rewound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerasprune.attaching.rewinding import rewind_optimizer
from kerasprune.callbacks._iterative import IterativeRemoval
from kerasprune.schedules import Moment


class LearningRateRewinding(IterativeRemoval):
    """Trains, removes the smallest weights, and trains the others on with the learning rate of step k.

    As `IterativeMagnitude`, but the weights that stay keep their values; only the step, with it the learning-rate
    schedule, and the optimizer slots begin anew.

    Args:
        rounds: Number of removals. Defaults to 1.
        keep_per_round: Fraction of what is left that stays at each removal. Defaults to 0.8.
        rewind_to: Step of the schedule to go back to, e.g. `"2ep"`. Defaults to `"0it"`.
        criterion: As for `GradualMagnitude`. Defaults to `"l1"`.
        granularity: As for `GradualMagnitude`. Defaults to `"weight"`.
        scope: As for `GradualMagnitude`. Defaults to `"global"`.
        freeze: Names of layers, or wildcards, that stay whole. Defaults to none.
        strict: Whether to raise a `PruneError` at the end of a fit in which it did not act, rather than to warn.
            Defaults to `True`.

    Raises:
        PruneError: As for `IterativeMagnitude`.

    Example:
        >>> callback = LearningRateRewinding(rounds=1, keep_per_round=0.2)

    Reference:
        Renda et al., Comparing Rewinding and Fine-tuning in Neural Network Pruning, ICLR 2020, section 3.
    """

    def __init__(
        self,
        rounds: int = 1,
        keep_per_round: float = 0.8,
        rewind_to: str | int | Moment = "0it",
        *,
        criterion: Any = "l1",
        granularity: Any = "weight",
        scope: Any = "global",
        freeze: Sequence[str] = (),
        strict: bool = True,
    ) -> None:
        super().__init__(
            rounds,
            keep_per_round,
            rewind_to,
            criterion=criterion,
            granularity=granularity,
            scope=scope,
            freeze=freeze,
            strict=strict,
        )

    def remember(self) -> None:
        """The weights of the rewind point are not needed."""

    def rewind(self) -> None:
        """Goes back to the rewind point in the schedule only."""
        rewind_optimizer(self.model, self.rewound())
