"""Budgets that measure widths on examples, one after the other, at constant cost."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np

from kerasprune.errors import warn
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.planning.budgets.base import Budget, LastStep, highest
from kerasprune.planning.budgets.plan_request import Choice, PlanRequest
from kerasprune.planning.budgets.trials import Trials

Widths = dict[str, int]
"""`{group name: channels kept}`."""
PlanError = Callable[[Plan], float]
"""The error of the model of a plan."""


@dataclass(frozen=True)
class WidthSpace:
    """The widths that may be chosen, their costs and errors.

    Costs and errors are functions, independent of models and data: a measured latency can replace multiply–adds.

    Args:
        rungs: The legal widths of each group, ascending.
        cost: `cost(widths)`; more channels never cost less.
        limit: Largest cost.
        error: `error(widths)`; lower is better.
    """

    rungs: Mapping[str, np.ndarray]
    cost: Callable[[Widths], float]
    limit: float
    error: Callable[[Widths], float]

    def nearest(self, name: str, width: float) -> int:
        """Returns the legal width of a group nearest to a number."""
        rungs = self.rungs[name]
        return int(rungs[np.argmin(abs(rungs - width))])

    def narrower(self, name: str, width: int, by: float) -> int:
        """Returns a width narrower by a fraction, and at least by one rung; the same at the lowest rung."""
        below = self.rungs[name][self.rungs[name] < width]
        return int(below[np.argmin(abs(below - width * (1 - by)))]) if below.size else width

    def wider(self, name: str, width: int) -> int:
        """Returns the next wider width of a group; the same at the highest rung."""
        above = self.rungs[name][self.rungs[name] > width]
        return int(above[0]) if above.size else width


def improved(request: PlanRequest, start: Choice, trials: Trials) -> Plan:
    """Returns the plan that a budget finds by measuring, at the cost of the choice it starts from.

    A block is dropped if the model without it, widened to the same cost, has a lower error; one by one, the best first.
    Then the budget moves channels between the remaining groups. If all their channels are kept without those blocks,
    narrower groups with all blocks are measured too, and the better plan is returned.

    Args:
        request: The model, the budget and the target.
        start: The choice that meets the target.
        trials: Measures plans.
    """
    limit = max(request.share(start), request.target or 0.0)
    error = cache(trials.error)
    begun = [(request, start)]
    if request.budget.blocks and request.whole.blocks and request.counted != "keep":
        left, first = _without_blocks(request, start, error, limit)
        if left is not request:
            begun = [(left, first)] if _has_room(left, first) else [*begun, (left, first)]
    ended = [(each, _moved(each, choice, error, limit)) for each, choice in begun]
    left, best = min(ended, key=lambda pair: error(pair[0].plan(pair[1])))
    if left is request and _widths(best) == _widths(start):
        warn(
            f"No widths measured better than those that {type(request.budget).__name__} starts from: "
            "the plan has these. Give more data, and the budget more samples; or take the budget 'uniform', which is "
            "the same at no cost."
        )
    if left.removed and left.misses(best) and left.share(best) < left.target:
        warn(
            f"{left.share(best):.3f} of the {left.counted} are kept instead of {left.counted}={left.target}: "
            f"without {', '.join(map(repr, left.removed))} all channels are kept, and this measures better than "
            "narrower groups with all blocks. For narrower groups, set blocks=False."
        )
    return left.plan(best)


def _without_blocks(request: PlanRequest, start: Choice, error: PlanError, limit: float) -> tuple[PlanRequest, Choice]:
    """Returns the request without the blocks whose removal lowers the error, and its choice.

    Blocks that do not help alone are not tried again with others.
    """
    least, names = error(request.plan(start)), list(request.whole.blocks)
    while names:
        tried = {}
        for name in names:
            other = request.without(name)
            choice = None if other is None else other.met(limit)
            if choice is not None and other.share(choice) <= limit and other.fits(choice):
                tried[name] = error(other.plan(choice)), other, choice
        names = [name for name, (measured, *_) in tried.items() if measured < least]
        if names:
            best = min(names, key=lambda name: tried[name][0])
            least, request, start = tried[best]
            names.remove(best)
    return request, start


def _has_room(request: PlanRequest, choice: Choice) -> bool:
    """Returns whether a choice removes channels, so that widths are still to be decided."""
    return any(len(choice[name]) < group.size for name, group in request.graph.prunable.items())


def _moved(request: PlanRequest, start: Choice, error: PlanError, limit: float) -> Choice:
    """Returns the choice that the budget finds by moving channels between groups."""
    choice = partial(highest, request.graph, request.scores)
    space = WidthSpace(
        {name: request.floor.widths(group.size, name) for name, group in request.graph.prunable.items()},
        lambda widths: request.share(choice(widths)),
        limit,
        lambda widths: error(request.plan(choice(widths))),
    )
    return choice(request.budget.improved(_widths(start), space))


def _widths(choice: Choice) -> Widths:
    return {name: len(kept) for name, kept in choice.items()}


class MeasuredBudget(Budget):
    """Base class of budgets that measure, for which `kp.plan` needs `data=`.

    `kp.plan` first meets the target with `fractions` (or `choose`), and passes the resulting widths to `improved`.

    Args:
        samples: Number of examples. Defaults to 600.
        positions: Number of output positions used to solve each layer. Defaults to 4000.
        blocks: Whether whole blocks may be dropped if that lowers the error at the same cost. Defaults to `True`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"data"})

    samples: int = 600
    positions: int = 4000
    blocks: bool = True

    @abstractmethod
    def improved(self, start: Widths, space: WidthSpace) -> Widths:
        """Returns widths within the limit that measure no worse than the start.

        Args:
            start: Channels kept of each group.
            space: The widths that may be chosen.
        """

    def last_step(self, graph: ChannelGraph, data: Any, seed: int) -> LastStep:
        """Returns the step that measures; raises a `PruneError` if `data` does not fit or has under four examples."""
        trials = Trials(graph, data, samples=self.samples, positions=self.positions, seed=seed)
        return partial(improved, trials=trials)
