"""Which share of the cost a search for the smallest allowed model tries next, from what it has tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

CLOSE = 1.15
"""Ratio of the smallest allowed and the largest refused share at which a search ends."""
_INNER = 0.25  # of an interval, which a guess stays away from its ends
_STEPS = 1.25, 3.0  # by how much less is tried while nothing was refused, at least and at most
_SHORT = 0.9  # of the way to where the drop seems to be too much


@dataclass(frozen=True)
class Trial:
    """A tried share of the cost.

    Args:
        share: Fraction of the dense model's cost.
        bound: What the drop of the metric is at most, by the confidence that was asked for.
        stopped: Whether its training ended early, so that a whole one would drop by less. Defaults to `False`.
    """

    share: float
    bound: float
    stopped: bool = False


def next_share(trials: Sequence[Trial], allowed: float, *, first: float, least: float, most: int) -> float | None:
    """Returns the share of the cost to try next; `None` if the search is at its end.

    The cost is bracketed between the smallest share whose drop is allowed and the largest below it whose drop is not;
    within the bracket the drop is taken to be linear in the logarithm of the share, or halfway where the refused one
    was stopped early. The dense model counts as tried.

    Args:
        trials: What was tried.
        allowed: The largest bound on the drop.
        first: The share to begin with.
        least: The smallest share that a plan can reach.
        most: Number of trials at most.

    Example:
        >>> tried = [Trial(0.5, 0.2), Trial(0.25, 1.8)]
        >>> round(next_share(tried, 1.0, first=0.5, least=0.01, most=6), 3)
        0.354
        >>> next_share([*tried, Trial(0.27, 0.9)], 1.0, first=0.5, least=0.01, most=6) is None
        True
    """
    if len(trials) >= most:
        return None
    if not trials:
        return max(first, least)
    kept = sorted((each for each in (*trials, Trial(1.0, 0.0)) if each.bound <= allowed), key=lambda each: each.share)
    high = kept[0]
    refused = [each for each in trials if each.bound > allowed and each.share < high.share]
    if not refused:
        return None if high.share <= least else max(high.share / _step(kept, allowed), least)
    low = max(refused, key=lambda each: each.share)
    if high.share <= CLOSE * low.share:
        return None
    way = 0.5 if low.stopped else (allowed - high.bound) / (low.bound - high.bound)
    way = min(max(way, _INNER), 1 - _INNER)
    return exp((1 - way) * log(high.share) + way * log(low.share))


def drop_to_expect(first: float, earlier: Sequence[tuple[float, float]]) -> float:
    """Returns the least drop that a training may end with, by what earlier ones regained after their first epoch.

    A smaller model regains as much as a larger one, or the same part of its drop, whichever is more.

    Args:
        first: The least drop by the end of its first epoch.
        earlier: The drops of trainings that were not stopped: the least by then, and of their best.

    Returns:
        The drop; −∞ if there was no training before.

    Example:
        >>> drop_to_expect(4.0, [(2.0, 0.5)])
        1.0
    """
    least = [min(first - (was - best), first * best / was if was > 0 else first) for was, best in earlier]
    return min(least, default=float("-inf"))


def smallest_allowed(trials: Sequence[Trial], allowed: float) -> Trial | None:
    """Returns the trial of the smallest share whose drop is allowed; `None` if there is none."""
    return min((each for each in trials if each.bound <= allowed), key=lambda each: each.share, default=None)


def _step(kept: Sequence[Trial], allowed: float) -> float:
    """Returns by how much less is tried while nothing was refused: as the slope of the last two allowed shares says."""
    low, before = kept[:2]
    slope = (low.bound - before.bound) / log(before.share / low.share)
    if slope <= 0:
        return _STEPS[1]
    return exp(min(max(_SHORT * (allowed - low.bound) / slope, log(_STEPS[0])), log(_STEPS[1])))
