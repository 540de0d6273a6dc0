"""A budget's choice with every group rounded to one of the next two widths of its floor, so that a target is met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np

from kerasprune.budgets.base import highest
from kerasprune.budgets.plan_request import Choice, PlanRequest

Up = dict[str, bool]
"""Which groups are rounded up."""
_PAIRS = 40  # of roundings turned together, tried by exact costs
_NEAR = 0.001  # relative distance from the target at which the search ends


def rounded(request: PlanRequest, limit: float = float("inf")) -> Choice:
    """Returns the choice of a budget in single channels, rounded up or down group by group to meet its target.

    Begins with the nearest widths, then turns the group, or the pair of groups, that brings the share nearest to the
    target, as long as one does. So no group is further than one step from what the budget gives it.

    Args:
        request: The model, the budget and the target; its floor has the widths.
        limit: Largest share, if a choice so small is found. Defaults to none.

    Raises:
        PruneError: The target is below the smallest possible share of all widths.
    """
    own = replace(request, floor=request.floor.without_cost).met(limit)
    both = {name: _neighbours(request, name, len(kept)) for name, kept in own.items()}
    free = [name for name, (lower, upper) in both.items() if lower < upper]
    up = {name: 2 * len(own[name]) >= sum(both[name]) for name in free}
    seen: dict[float, Choice] = {}

    def share(up: Up) -> float:
        widths = {name: both[name][up.get(name, 0)] for name in own}
        choice = highest(request.graph, request.scores, widths)
        kept = {name: own[name] if len(own[name]) == width else choice[name] for name, width in widths.items()}
        found = request.share(kept)
        seen.setdefault(found, kept)
        return found

    now = share(up)
    while abs(now - request.target) > _NEAR * request.target and (nearer := _nearer(request.target, now, up, share)):
        up, now = nearer
    return seen[min(seen, key=lambda found: (found > limit, abs(found - request.target)))]


def _nearer(target: float, now: float, up: Up, share: Callable[[Up], float]) -> tuple[Up, float] | None:
    """Returns the roundings of which one or two are turned, nearest to the target, and their share; `None` if worse."""
    effects = {name: share(_turned(up, name)) - now for name in up}

    def distance(names: tuple[str, ...]) -> float:
        return abs(target - now - sum(effects[name] for name in names))

    tried = [(name,) for name in up]
    if min(map(distance, tried), default=np.inf) >= abs(target - now):
        tried = sorted(combinations(up, 2), key=distance)[:_PAIRS]
    found = [(share(turned), turned) for turned in (_turned(up, *names) for names in tried)]
    best, turned = min(found, key=lambda each: abs(target - each[0]), default=(now, up))
    return (turned, best) if abs(target - best) < abs(target - now) else None


def _turned(up: Up, *names: str) -> Up:
    return up | {name: not up[name] for name in names}


def _neighbours(request: PlanRequest, name: str, kept: int) -> tuple[int, int]:
    """Returns the widths of the floor on both sides of a number of channels; both the number itself if it is one."""
    widths = request.floor.widths(request.graph.groups[name].size, name)
    above = int(np.searchsorted(widths, kept))
    lower = above if widths[above] == kept else max(above - 1, 0)
    return int(widths[lower]), int(widths[above])
