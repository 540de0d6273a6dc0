"""A budget's choice with every group rounded to one of the next widths of its floor, so that a target is met."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np

from kerasprune.criteria.base import top
from kerasprune.graph.kept_channels import legal
from kerasprune.planning.budgets.plan_request import Choice, PlanRequest

Places = dict[str, int]
"""Which of its widths each group has."""
Share = Callable[[Places], float]
Together = tuple[tuple[str, int], ...]
"""Groups and the places to which they move at once."""
_PAIRS = 40  # of groups that change together, tried by exact costs
_NEAR = 0.001  # relative distance from the target at which the search ends
_MET = 0.007  # at which no group is moved by a second step
_STEPS = (1, 2)  # that a group may be away from what the budget gives it


def round_choice(request: PlanRequest, limit: float = float("inf")) -> Choice:
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
    allowed = {name: request.floor.widths(request.graph.groups[name].size, name) for name in own}
    seen: dict[float, Choice] = {}
    for steps in _STEPS:
        widths = {name: _next_widths(allowed[name], len(kept), steps) for name, kept in own.items()}

        def share(places: Places, widths: Mapping[str, np.ndarray] = widths) -> float:
            numbers = {name: widths[name][place] for name, place in places.items()}
            kept = {name: top(request.scores[name], number) for name, number in numbers.items()}
            kept |= {name: own[name] for name, number in numbers.items() if len(own[name]) == number}
            choice = legal(request.graph, kept, request.scores)
            found = request.share(choice)
            seen.setdefault(found, choice)
            return found

        places = {name: int(np.argmin(np.abs(widths[name] - len(kept)))) for name, kept in own.items()}
        now = share(places)
        while abs(now - target) > _NEAR * target and (nearer := _nearer(target, now, places, widths, share)):
            places, now = nearer
        if abs(now - target) <= _MET * target:
            break
    return seen[min(seen, key=lambda found: (found > limit, abs(found - target)))]


def _nearer(
    target: float, now: float, places: Places, widths: Mapping[str, np.ndarray], share: Share
) -> tuple[Places, float] | None:
    """Returns places of which one or two are moved, nearest to the target, with their share; `None` if none is."""
    found = {(move,): share(places | dict([move])) for move in _moves(places, widths)}

    def distance(together: Together) -> float:
        return abs(target - found[together])

    if min(map(distance, found), default=np.inf) >= abs(target - now):
        pairs = [one + other for one, other in combinations(found, 2) if one[0][0] != other[0][0]]
        likely = sorted(pairs, key=lambda pair: abs(target + now - sum(found[(move,)] for move in pair)))
        found = {pair: share(places | dict(pair)) for pair in likely[:_PAIRS]}
    best = min(found, key=distance, default=None)
    return (places | dict(best), found[best]) if best and distance(best) < abs(target - now) else None


def _moves(places: Places, widths: Mapping[str, np.ndarray]) -> Iterator[tuple[str, int]]:
    """Yields the places one further, group by group."""
    for name, place in places.items():
        for other in (place - 1, place + 1):
            if 0 <= other < len(widths[name]):
                yield name, other


def _next_widths(allowed: np.ndarray, kept: int, steps: int) -> np.ndarray:
    """Returns the widths that are up to some steps away, on both sides, from a number of channels.

    What a budget keeps whole stays whole, and where every width is allowed, its own stays.

    Args:
        allowed: All widths of the group, in ascending order; the last is its size.
        kept: The number.
        steps: The steps.
    """
    if kept == allowed[-1]:
        return allowed[-1:]
    above = int(np.searchsorted(allowed, kept))
    if len(allowed) == allowed[-1] - allowed[0] + 1:
        steps = 1
    return allowed[max(above - steps + (allowed[above] == kept), 0) : above + steps]
