"""Lottery tickets: removes weights in rounds and rewinds the others."""

from __future__ import annotations

import numpy as np

from kerasprune.callbacks._iterative import IterativeRemoval
from kerasprune.training.rewinding import rewind_optimizer


class IterativeMagnitude(IterativeRemoval):
    """Repeatedly trains, removes the smallest weights and rewinds the others to step k; finally trains the ticket.

    Train `W_0 → W_k`, and remember W_k. For n = 1 … rounds: train `m⊙W_k → m⊙W_T`, remove the smallest of the remaining
    weights, rewind the others. Rewinding restores the weights, the BatchNorm statistics and the step, and so the
    learning-rate schedule; it resets the optimizer slots, but not the order of the data. `k = 0` is the original
    lottery ticket.

    The fit must take `k + (rounds + 1)·L` steps for some integer L; otherwise an error suggests suitable epochs.

    Args:
        rounds: Number of removals. Defaults to 1.
        keep_per_round: Fraction kept of the remaining weights at each removal. Defaults to 0.8.
        rewind_to: k, e.g. `"500it"` or `"2ep"`. Defaults to `"0it"`.
        criterion: As for `GradualMagnitude`. Defaults to `"l1"`.
        granularity: As for `GradualMagnitude`. Defaults to `"weight"`.
        scope: As for `GradualMagnitude`. Defaults to `"global"`.
        freeze: Names of layers, or wildcards, that are kept whole. Defaults to none.
        strict: Whether to raise a `PruneError`, rather than warn, after a fit in which the callback had no effect.
            Defaults to `True`.

    Raises:
        PruneError: An argument is out of range; in `fit`: the steps do not divide into equal phases, the rewind point
            is after the end, or the rounds would remove everything.

    Example:
        >>> callback = IterativeMagnitude(rounds=7, keep_per_round=0.8, rewind_to="500it")

    Reference:
        Frankle et al., Linear Mode Connectivity and the Lottery Ticket Hypothesis, ICML 2020, Algorithm 2; Frankle &
        Carbin, The Lottery Ticket Hypothesis, ICLR 2019, for k = 0.
    """

    def remember(self) -> None:
        """Stores the weights of the rewind point."""
        self.session.notes |= {f"remembered/{index}": each for index, each in enumerate(self.model.get_weights())}

    def rewind(self) -> None:
        """Restores the rewind point."""
        self.model.set_weights(self.ticket)
        rewind_optimizer(self.model, self.rewound())

    @property
    def ticket(self) -> list[np.ndarray]:
        """The weights of the rewind point, in the order of `model.get_weights()`: with `masks`, the ticket."""
        return [array for name, array in self.used().notes.items() if name.startswith("remembered/")]
