"""A budget's choices of channels of one model at all levels, and the one that meets a target."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from math import ceil, floor, log10

import numpy as np

from kerasprune.criteria.base import Scores
from kerasprune.errors import PruneError
from kerasprune.graph.channels import Count
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import legal
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import without
from kerasprune.planning.budgets.base import Budget, Floor
from kerasprune.planning.targets.base import CostMeter
from kerasprune.surgery.costs.counts import ShareCounter, counter
from kerasprune.surgery.cut import Cut

Choice = dict[str, np.ndarray]
"""`{group name: indices kept}`: a plan that is not checked yet."""
_LOWEST, _BISECTIONS = 1e-9, 30
_RELATIVE = 10  # the tolerance of a target without a warning, relative to it: ten times that of the dense model
_NAMED = 3  # groups in a message
_NEAR = 0.01  # relative distance of the choices on both sides of a target at which the search ends


@dataclass(frozen=True, eq=False)
class PlanRequest:
    """A model, a budget and a target, from which the choice follows.

    Args:
        whole: The graph of the dense model, to which shares refer.
        scores: `{group name: one score per channel}`.
        budget: The budget.
        floor: The bounds on every group.
        counted: The unit of shares: `"keep"` for channels, `"macs"` or `"params"`; with a meter the name of its cost.
        target: The requested share, or `None` if the budget defines it.
        macs_of: Multiply–adds of layers without a rule, by name. Defaults to none.
        removed: Blocks that are dropped. Defaults to none.
        meter: `meter(graph, count)` returns the share of another cost, such as time. Defaults to `None`.
    """

    whole: ChannelGraph
    scores: Scores
    budget: Budget
    floor: Floor
    counted: str
    target: float | None
    macs_of: Mapping[str, int] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    meter: Callable[[ChannelGraph, Count], float] | None = None

    @cached_property
    def graph(self) -> ChannelGraph:
        """The graph without the blocks that are dropped."""
        return without(self.whole, self.removed)

    def at(self, level: float) -> Choice:
        """Returns the choice of the budget at a level."""
        return legal(self.graph, self.budget.choose(self.graph, self.scores, level, self.floor), self.scores)

    @cached_property
    def _shares(self) -> ShareCounter:
        return ShareCounter(self.whole, [self.counted], self.macs_of)

    def share(self, choice: Choice) -> float:
        """Returns the share of the dense model that a choice keeps."""
        if self.counted == "keep":
            return sum(map(len, choice.values())) / sum(group.size for group in self.whole.prunable.values())
        count = counter(self.graph.alive(choice))
        return self.meter(self.graph, count) if self.meter else self._shares(self.graph, count)[self.counted]

    @property
    def is_timed(self) -> bool:
        """Whether each choice is built and timed, see `CostMeter.is_timed`."""
        return isinstance(self.meter, CostMeter) and self.meter.is_timed

    @property
    def asked(self) -> float | None:
        """The share that was asked for, from which a target may differ by what its meter counts wrong."""
        return self.meter.target if isinstance(self.meter, CostMeter) else self.target

    def exact(self, choice: Choice) -> float:
        """Returns the share of a choice as its meter measures it, if that does more than count."""
        share = self.share(choice)
        return self.meter.exact(self.plan(choice), share) if isinstance(self.meter, CostMeter) else share

    def misses(self, choice: Choice) -> bool:
        """Returns whether a choice misses a target of costs by more than the tolerance."""
        if self.counted == "keep" or self.is_timed:
            return False
        tolerance = (self.meter if isinstance(self.meter, CostMeter) else CostMeter).tolerance
        return abs(self.exact(choice) - self.asked) > tolerance * min(1, _RELATIVE * self.asked)

    def plan(self, choice: Choice) -> Plan:
        """Returns the plan of a choice."""
        return Plan.of(self.whole, choice, self.removed)

    @property
    def looser(self) -> list[str]:
        """Changes with which more choices are possible, as remedies for errors."""
        return [*(f"lower {name}" for name in self.floor.raised), *self.whole.looser]

    def keeps_all(self, choice: Choice) -> bool:
        """Returns whether a choice keeps every channel and block."""
        return not self.removed and all(len(choice[name]) == each.size for name, each in self.whole.prunable.items())

    def refusal(self, least: float, remedy: str) -> PruneError:
        """Returns the error for a target that no choice meets.

        Args:
            least: The smallest share that can be kept.
            remedy: A sentence.
        """
        shown = self.meter.shown if self.meter else _rounded_up
        received = shown(self.asked) if self.meter else f"{self.counted}={self.target}"
        return PruneError(
            f"Expected a target that can be reached: at least {shown(least)} of the "
            f"{'channels' if self.counted == 'keep' else self.counted} are kept. Received: {received}. "
            f"{_kept_whole(self.whole)}{remedy}"
        )

    def met(self, limit: float = float("inf")) -> Choice:
        """Returns the choice whose share is nearest the target, as nearly as single channels allow.

        The level is bisected, then the groups. The group whose step crosses the target is fixed, at its value below the
        target if the others can compensate, else above, and the bisection continues with the others. Every choice that
        was compared with the target is a candidate, so that a larger target never keeps less.

        Args:
            limit: Largest share, if a choice so small exists. Defaults to none.

        Raises:
            PruneError: The target is below the smallest possible share.
        """
        if self.counted == "keep":
            return self.at(self.budget.level if self.target is None else self.target)
        if isinstance(self.meter, CostMeter) and (found := self.meter.met(self)) is not None:
            return found
        chosen = cache(lambda level: self.budget.choose(self.graph, self.scores, level, self.floor))
        held: Choice = {}
        compared: dict[float, Choice] = {}

        def at(level: float) -> Choice:
            return legal(self.graph, {**chosen(level), **held}, self.scores)

        def share(choice: Choice) -> float:
            found = self.share(choice)
            compared.setdefault(found, choice)
            return found

        least, most = at(_LOWEST), at(1.0)
        for end in (least, most):
            self.plan(end).check(self.whole)  # the budget may be a user's
        if share(least) > self.target:
            if not self.is_timed and (cost := self.exact(least)) > self.asked:
                raise self.refusal(cost, f"{', or '.join(['Ask for more', *self.looser])}.")
            return least
        while stepping := self._stepping(at, share, held):
            held |= stepping
            below = max(each for each in compared if each <= self.target)
            if min(each for each in compared if each >= self.target) <= (1 + _NEAR) * below:
                break
        return compared[min(compared, key=lambda share: (share > limit, abs(share - self.target)))]

    def _stepping(self, at: Callable[[float], Choice], share: Callable[[Choice], float], held: Choice) -> Choice:
        """Returns the group whose step crosses the target, as it is below or above; empty if no step does.

        Args:
            at: Returns the choice at a level.
            share: Returns the share of a choice.
            held: The groups fixed so far.
        """
        below, above = at(_LOWEST), at(1.0)
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            level = (low + high) / 2
            tried = at(level)
            if _same(tried, below) or not _same(tried, above) and share(tried) < self.target:
                low, below = level, tried
            else:
                high, above = level, tried
        names = sorted(above.keys() - held)

        def mixed(number: int) -> Choice:
            return legal(self.graph, {**below, **{name: above[name] for name in names[:number]}}, self.scores)

        number = bisect_left(range(len(names) + 1), self.target, key=lambda n: share(mixed(n)))
        if not 0 < number <= len(names):
            return {}
        name = names[number - 1]
        most = legal(self.graph, {**at(1.0), name: below[name]}, self.scores)
        return {name: (below if share(most) >= self.target else above)[name]}

    def without(self, block: str) -> PlanRequest | None:
        """Returns the request with a block dropped; `None` if part of it is frozen, or if that changes other groups."""
        frozen = {call.operation.name for call in self.whole.calls if id(call.operation) in self.whole.named}
        if frozen & set(self.whole.blocks[block].layers):
            return None
        other = replace(self, removed=(*self.removed, block))
        here, there = self.whole.prunable, other.graph.prunable
        alike = all(name in here and here[name].size == group.size for name, group in there.items())
        return other if there and alike else None

    def fits(self, choice: Choice) -> bool:
        """Returns whether a choice is feasible: groups that a dropped block separated may have to be tied."""
        try:
            Cut.of(self.whole, self.plan(choice))
        except PruneError:
            return False
        return True


def _kept_whole(graph: ChannelGraph) -> str:
    """Returns a sentence on the groups that cannot be cut, those with most weights first; empty without any."""
    shares = graph.shares()
    pinned = sorted((each for each in graph.groups.values() if not each.prunable), key=lambda each: -shares[each.name])
    named = [f"{each.name!r} ({each.size} channels: {each.reason})" for each in pinned[:_NAMED]]
    more = [f"and {len(pinned) - _NAMED} more"] * (len(pinned) > _NAMED)
    return f"Kept whole: {', '.join([*named, *more])}. " if named else ""


def _rounded_up(share: float) -> str:
    """Returns a share with three digits, not below it."""
    unit = 10.0 ** (floor(log10(share)) - 2) if share > 0 else 1.0
    return f"{ceil(share / unit) * unit:.3g}"


def _same(one: Choice, other: Choice) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(kept, other[name]) for name, kept in one.items())
