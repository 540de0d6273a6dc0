"""How much of every group stays: a budget's choices of one model at all its levels, and the one that meets a target."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache, cached_property

import numpy as np

from kerasprune.budgets.base import Budget, Floor
from kerasprune.costs.cost import ShareCounter, counter
from kerasprune.criteria.base import Scores
from kerasprune.errors import PruneError
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import legal
from kerasprune.graph.trace import without
from kerasprune.plans import Plan
from kerasprune.surgery.applied_plan import cut

Choice = dict[str, np.ndarray]
"""`{group name: indices kept}`: a plan that nobody has checked yet."""
_LOWEST, _BISECTIONS = 1e-9, 30
_MISSED, _RELATIVE = 0.01, 0.1  # by how much a target may be missed without a word: of the dense model, and of itself
_NEAR = 0.01  # relative; choices on both sides of a target that are as near to each other are not parted further


@dataclass(frozen=True, eq=False)
class PlanRequest:
    """A model, a budget and a target, from which the choice follows.

    Args:
        whole: The graph of the dense model, to which shares refer.
        scores: What matters inside each group.
        budget: How much stays where, at a level.
        floor: The bounds on every group.
        counted: What shares are counted in: `"keep"` for channels, `"macs"` or `"params"`.
        target: The share asked for, or `None` where the budget says it.
        macs_of: Multiply–adds of layers without a rule, by name. Defaults to none.
        removed: Blocks that are dropped. Defaults to none.
    """

    whole: ChannelGraph
    scores: Scores
    budget: Budget
    floor: Floor
    counted: str
    target: float | None
    macs_of: Mapping[str, int] = field(default_factory=dict)
    removed: tuple[str, ...] = ()

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
        """Returns which part of the dense model a choice has."""
        if self.counted == "keep":
            return sum(map(len, choice.values())) / sum(group.size for group in self.whole.prunable.values())
        return self._shares(self.graph, counter(self.graph.alive(choice)))[self.counted]

    def misses(self, choice: Choice) -> bool:
        """Says whether a choice does not come near a target of costs."""
        if self.counted == "keep":
            return False
        return abs(self.share(choice) - self.target) > min(_MISSED, _RELATIVE * self.target)

    def plan(self, choice: Choice) -> Plan:
        """Returns the plan of a choice."""
        return Plan.of(self.whole, choice, self.removed)

    def met(self, limit: float = float("inf")) -> Choice:
        """Returns the choice whose share is nearest the target, as nearly as single channels allow.

        The level is bisected, then the groups. The one whose step is too large is held, as it is below the target if
        the others can make up for it, else as it is above, and the same budget goes on with the others. Whatever was
        compared with the target may be what is returned, so that a larger target never keeps less.

        Args:
            limit: The largest share it may have, if any is so small. Defaults to any.

        Raises:
            PruneError: As few as are asked for cannot stay.
        """
        if self.counted == "keep":
            return self.at(self.budget.level if self.target is None else self.target)
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
            self.plan(end).check(self.whole)  # those between are not: a budget may be a user's
        if share(least) > self.target:
            raise PruneError(
                f"Expected a target that can be reached: at the least {share(least):.3f} of the {self.counted} "
                f"stay. Received: {self.counted}={self.target}. Ask for more, lower min_keep or round_to, or use "
                "coupling='tied'."
            )
        while stepping := self._stepping(at, share, held):
            held |= stepping
            below = max(each for each in compared if each <= self.target)
            if min(each for each in compared if each >= self.target) <= (1 + _NEAR) * below:
                break
        return compared[min(compared, key=lambda share: (share > limit, abs(share - self.target)))]

    def _stepping(self, at: Callable[[float], Choice], share: Callable[[Choice], float], held: Choice) -> Choice:
        """Returns the group in whose step the target lies, as it is below, or above; none if no step leads to it.

        Args:
            at: Says what a level keeps.
            share: Counts a choice.
            held: Groups of which every level keeps the same.
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
        """Returns the same with a block dropped; `None` where something of it is to stay, or other groups are left."""
        inside = self.whole.blocks[block].layers
        if any(fnmatchcase(name, pattern) for name in inside for pattern in self.whole.freeze):
            return None
        other = replace(self, removed=(*self.removed, block))
        here, there = self.whole.prunable, other.graph.prunable
        alike = all(name in here and here[name].size == group.size for name, group in there.items())
        return other if there and alike else None

    def fits(self, choice: Choice) -> bool:
        """Says whether a choice can be carried out: what a dropped block kept apart may have to stay together."""
        try:
            cut(self.whole, self.plan(choice))
        except PruneError:
            return False
        return True


def _same(one: Choice, other: Choice) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(kept, other[name]) for name, kept in one.items())
