"""Schedules of compression: how much is kept after each round of pruning."""

from __future__ import annotations

from collections.abc import Callable

Schedule = Callable[[float, float], float]
"""`schedule(keep, progress)`: the fraction kept after a share `progress` in (0, 1] of the rounds, at last `keep`."""


def exponential(keep: float, progress: float) -> float:
    """Returns what is kept where every round keeps the same fraction of what is left: `keep^(k/n)`.

    Args:
        keep: Fraction kept at the end.
        progress: k/n, rounds done over all rounds.

    Example:
        >>> [exponential(0.01, k / 4) for k in (2, 4)]
        [0.1, 0.01]

    Reference:
        Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow,
        arXiv 2006.05467, Algorithm 1.
    """
    return keep**progress


def linear(keep: float, progress: float) -> float:
    """Returns what is kept where every round removes as many weights: `1 − (1 − keep)·k/n`; arguments as above.

    Example:
        >>> [linear(0.2, k / 4) for k in (2, 4)]
        [0.6, 0.2]
    """
    return 1 - (1 - keep) * progress if progress < 1 else keep
