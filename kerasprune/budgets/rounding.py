"""A budget's choice with every group rounded to one of the next widths of its floor, so that a target is met."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np

from kerasprune.budgets.plan_request import Choice, PlanRequest
from kerasprune.criteria.base import top
from kerasprune.graph.kept_channels import legal

Places = dict[str, int]
"""Which of its widths each group has."""
Share = Callable[[Places], float]
_PAIRS = 40  # of groups that change together, tried by exact costs
_NEAR = 0.001  # relative distance from the target at which the search ends
_MET = 0.007  # at which no group is moved by a second step
_STEPS = (1, 2)  # that a group may be away from what the budget gives it


def rounded(request: PlanRequest, limit: float = float("inf")) -> Choice:
    """Returns the choice of a budget in single channels, rounded up or down group by group to meet its target.

    Begins with the nearest widths, then changes the group, or the pair of groups, that brings the share nearest to the
    target, as long as one does. No group is further than one step from what the budget gives it, than two if the
    target cannot be met otherwise.

    Args:
        request: The model, the budget and the target; its floor has the widths.
        limit: Largest share, if a choice so small is found. Defaults to none.

    Raises:
        PruneError: The target is below the smallest possible share of all widths.
    """
    own, target = replace(request, floor=request.floor.without_cost).met(limit), request.target
    seen: dict[float, Choice] = {}
    for steps in _STEPS:
        widths = {name: _next_widths(request, name, len(kept), steps) for name, kept in own.items()}

        def share(places: Places, widths: Mapping[str, list[int]] = widths) -> float:
            numbers = {name: widths[name][place] for name, place in places.items()}
            kept = {name: top(request.scores[name], number) for name, number in numbers.items()}
            kept |= {name: own[name] for name, number in numbers.items() if len(own[name]) == number}
            choice = legal(request.graph, kept, request.scores)
            found = request.share(choice)
            seen.setdefault(found, choice)
            return found

        places = {name: int(np.argmin(np.abs(np.array(widths[name]) - len(kept)))) for name, kept in own.items()}
        now = share(places)
        while abs(now - target) > _NEAR * target and (nearer := _nearer(target, now, places, widths, share)):
            places, now = nearer
        if abs(now - target) <= _MET * target:
            break
    return seen[min(seen, key=lambda found: (found > limit, abs(found - target)))]


def _nearer(
    target: float, now: float, places: Places, widths: Mapping[str, list[int]], share: Share
) -> tuple[Places, float] | None:
    """Returns places of which one or two are moved, nearest to the target, with their share; `None` if none is."""
    moves = {move: share(places | dict([move])) - now for move in _moves(places, widths)}

    def distance(together: tuple[tuple[str, int], ...]) -> float:
        return abs(target - now - sum(moves[move] for move in together))

    tried = [(move,) for move in moves]
    if min(map(distance, tried), default=np.inf) >= abs(target - now):
        pairs = [(one, other) for one, other in combinations(moves, 2) if one[0] != other[0]]
        tried = sorted(pairs, key=distance)[:_PAIRS]
    found = [(share(places | dict(together)), places | dict(together)) for together in tried]
    best, moved = min(found, key=lambda each: abs(target - each[0]), default=(now, places))
    return (moved, best) if abs(target - best) < abs(target - now) else None


def _moves(places: Places, widths: Mapping[str, list[int]]) -> Iterator[tuple[str, int]]:
    """Yields the places one further, group by group."""
    for name, place in places.items():
        for other in (place - 1, place + 1):
            if 0 <= other < len(widths[name]):
                yield name, other


def _next_widths(request: PlanRequest, name: str, kept: int, steps: int) -> list[int]:
    """Returns the widths of the floor up to some steps on both sides of a number of channels, in ascending order.

    What a budget keeps whole stays whole, and where every width is allowed, its own stays.
    """
    size, floor = request.graph.groups[name].size, request.floor
    if kept == size:
        return [kept]
    widths, steps = floor.widths(size, name), steps if floor.multiple(size) > 1 else 1
    above = int(np.searchsorted(widths, kept))
    below = above - steps + (widths[above] == kept)
    return widths[max(below, 0) : above + steps].tolist()
