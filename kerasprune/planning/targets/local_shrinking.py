"""Choices for a cost that only some groups decide: these alone become narrower, and as little as can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from kerasprune.criteria.base import top
from kerasprune.graph.kept_channels import legal
from kerasprune.surgery.costs.counts import counter

if TYPE_CHECKING:
    from kerasprune.planning.budgets.plan_request import Choice, PlanRequest

_STEP = 0.97  # ratio of two levels of a group
_STEPS = 400  # at most: the lowest level is 5e-6


def shrink_binding_groups(request: PlanRequest) -> Choice:
    """Returns a choice that meets a target in which groups that do not decide the cost keep all that they may.

    As long as the cost is too large, the groups that decide it go down a level of the budget, and once they cannot all
    others; then each group goes up again, one width at a time and the narrowest first, as far as the cost allows.

    Args:
        request: The model, the budget and the target, whose meter tells the groups that bind.

    Raises:
        PruneError: The target is below the smallest possible cost.
    """
    graph, levels = request.graph, Counter()
    chosen = cache(lambda step: request.budget.choose(graph, request.scores, _STEP**step, request.floor))

    def at(steps: Counter[str]) -> Choice:
        return legal(graph, {name: chosen(steps[name])[name] for name in graph.prunable}, request.scores)

    choice = at(levels)
    for end in (choice, at(Counter(dict.fromkeys(graph.prunable, _STEPS)))):
        request.plan(end).check(request.whole)  # the budget may be a user's
    while (share := request.share(choice)) > request.target:
        count = counter(graph.alive(choice))
        binding = request.meter.binding(graph, count)
        lowered = _lowered(levels, binding, choice, at) or _lowered(levels, set(graph.prunable), choice, at)
        if lowered is None:
            remedies = ["Ask for more", *request.looser, *request.meter.remedies(graph, count)]
            raise request.refusal(share, f"{', or '.join(remedies)}.")
        levels, choice = lowered
    return _widened(request, choice, at(Counter()))


def _lowered(
    levels: Counter[str], binding: set[str], choice: Choice, at: Callable[[Counter[str]], Choice]
) -> tuple[Counter[str], Choice] | None:
    """Returns the levels and the choice in which groups that bind are narrower; `None` if none can be."""
    levels = levels.copy()
    while movable := {name for name in binding if levels[name] < _STEPS}:
        levels.update(movable)
        lower = at(levels)
        if any(len(lower[name]) < len(choice[name]) for name in lower):
            return levels, lower
    return None


def _widened(request: PlanRequest, choice: Choice, most: Choice) -> Choice:
    """Returns a choice in which no group can be wider by one step."""
    graph, full = request.graph, set()
    while True:
        narrow = sorted(
            (name for name, kept in choice.items() if name not in full and len(kept) < len(most[name])),
            key=lambda name: len(choice[name]) / graph.prunable[name].size,
        )
        if not narrow:
            return choice
        name = narrow[0]
        widths = request.floor.widths(graph.prunable[name].size, name)
        number = int(widths[widths > len(choice[name])][0])
        wider = legal(graph, {**choice, name: top(request.scores[name], number)}, request.scores)
        if len(wider[name]) > len(choice[name]) and request.share(wider) <= request.target:
            choice, full = wider, set()
        else:
            full.add(name)
