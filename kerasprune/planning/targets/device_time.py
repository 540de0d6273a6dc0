"""The meter of a time on the device at hand: candidates are built and measured beside the dense model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from math import exp, inf, log, sqrt

import keras

from kerasprune.errors import PruneError
from kerasprune.export.latency.timing import time_in_turn
from kerasprune.graph.channels import Count
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import without
from kerasprune.planning.targets.base import CostMeter
from kerasprune.surgery.costs.counts import ShareCounter, counter
from kerasprune.surgery.rebuild import rebuild

Timer = Callable[[], float]
"""Runs a model once and returns the milliseconds."""
_ROUNDS, _WARM = 40, 3
_MOST = 8  # candidates that are measured; after them only what has to be known
_NEAR = 0.04  # relative distance from the target at which no further candidate is measured
_MISSED = 0.08  # at which a plan is warned of
_SLOW = 3  # candidates that all take too long, before the narrowest is tried, and then wider ones
_FLATTEST = 0.5  # growth of log time with log multiply–adds, beyond what was measured: widths may suit no kernel


class DeviceMeter(CostMeter):
    """The share of the dense model's time that slim models take, both measured in the same rounds.

    No table of operators says it: what a compiler fuses depends on the whole model. Until a candidate is measured, its
    multiply–adds are counted; which share of them takes the time asked for is found by `next_share`.

    Args:
        graph: The graph of the dense model.
        timer_of: Returns the timer of a model.

    Attributes:
        measured: Times of the candidates so far, relative to the dense model's, by their widths.
    """

    is_timed = True

    def __init__(self, graph: ChannelGraph, timer_of: Callable[[keras.Model], Timer]) -> None:
        super().__init__(1.0)
        self._graph, self._timer_of, self._macs = graph, timer_of, ShareCounter(graph, ["macs"])
        self._timer = timer_of(graph.model)
        self._shares: dict[float, float] = {1.0: 1.0}
        self._asked = 1.0  # the share that was asked for last
        self.measured: dict[tuple, float] = {}
        self.dense = time_in_turn([self._timer], _ROUNDS, _WARM).latencies[0].median_ms

    def shown(self, share: float) -> str:
        """Returns a share with its milliseconds."""
        return f"{share:.3g} ({share * self.dense:.3g} ms)"

    def __call__(self, graph: ChannelGraph, count: Count) -> float:
        return self._macs(graph, count)["macs"]

    def exact(self, plan: Plan, share: float) -> float:
        return self._time(plan)

    def corrected(self, plan: Plan) -> float | None:
        before = len(self.measured)
        self._time(plan)
        if self.distance(plan, 0.0) == 0 or len(self.measured) >= _MOST:
            return None
        narrowest = self._asked == 0 or len(self.measured) == before
        too_slow = narrowest and len(self._shares) > 1 and self._shares[min(self._shares)] > self.target
        self._asked = share_in_gap(self._shares) if too_slow else next_share(self._shares, self.target)
        return self._asked

    def distance(self, plan: Plan, share: float) -> float:
        """Returns the relative distance of a measured plan from the target; 0 if it is near."""
        distance = abs(self._time(plan) - self.target) / self.target
        return 0.0 if distance <= _NEAR else distance

    def missed(self, plan: Plan) -> str | None:
        time = self._time(plan)
        if abs(time - self.target) <= _MISSED * self.target:
            return None
        if (least := min(self.measured.values())) > self.target:
            raise PruneError(
                f"Expected a time that slim models take: the fastest of {len(self.measured)} that were measured takes "
                f"{self.shown(least)} of the dense model's. Received: {self.shown(self.target)}. Ask for more."
            )
        return (
            f"The plan takes {self.shown(time)} of the dense model's time; {self.shown(self.target)} was asked for. "
            f"Of {len(self.measured)} that were measured none is nearer. Measure on a quiet device or with a larger "
            "batch, or set round_to=1."
        )

    def _time(self, plan: Plan) -> float:
        """Returns the time of a plan, as a share of the dense model's in the same rounds; measured once."""
        widths = (*((name, len(kept)) for name, kept in plan.keep.items()), *plan.removed)
        if widths not in self.measured:
            timers = [self._timer, self._timer_of(rebuild(self._graph, plan))]
            self.measured[widths] = time_in_turn(timers, _ROUNDS, _WARM).ratios[1]
            cut = without(self._graph, plan.removed)
            self._shares[self(cut, counter(cut.alive(plan.keep)))] = self.measured[widths]
        return self.measured[widths]


def next_share(times: Mapping[float, float], target: float) -> float:
    """Returns the share of the multiply–adds at which a time is to be expected.

    `log t = log t₁ + a · log(s ÷ s₁)` through the measured shares next to the target on both sides. While all take
    longer, through the two smallest, with a ≥ ½; after three of these 0, which asks for the narrowest model.

    Args:
        times: Times by shares of the multiply–adds, both relative to the dense model, which is among them: 1 by 1.
        target: The time, below 1.

    Example:
        >>> round(next_share({1.0: 1.0, 0.25: 0.5}, 0.7), 2)  # t = √s
        0.49
    """
    if len(times) == 1:
        return target
    shares = sorted(times)
    slow = min(share for share, time in times.items() if time > target)
    if slow > shares[0]:
        low, high, flattest = shares[shares.index(slow) - 1], slow, -inf
    elif len(times) > _SLOW:
        return 0.0
    else:
        low, high, flattest = *shares[:2], _FLATTEST
    growth = log(times[high] / times[low]) / log(high / low)
    return low * exp(log(target / times[low]) / max(growth, flattest))


def share_in_gap(times: Mapping[float, float]) -> float:
    """Returns the middle, √s₁s₂, of the widest gap beside the share that takes least: few channels may be slow.

    Args:
        times: Two times or more by shares of the multiply–adds, as for `next_share`.

    Example:
        >>> share_in_gap({1.0: 1.0, 0.25: 0.5, 0.01: 0.6})
        0.05
    """
    shares = sorted(times)
    place = shares.index(min(times, key=times.__getitem__))
    low, high = max(pairwise(shares[max(place - 1, 0) : place + 2]), key=lambda gap: gap[1] / gap[0])
    return sqrt(low * high)
