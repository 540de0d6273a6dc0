"""Plans whose measured cost is at most a target, and nearly as much: widths are changed one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from kerasprune.criteria.base import top
from kerasprune.graph.kept_channels import legal
from kerasprune.graph.plans import Plan
from kerasprune.planning.budgets.plan_request import Choice, PlanRequest

_SLACK = 1e-3  # of the target, by which the count may be wrong for a single width


def fit_plan(request: PlanRequest, plan: Plan) -> Plan:
    """Returns the plan with narrower groups if its measured cost is above the target, with wider ones if much fits.

    Args:
        request: The model, the widths that it may have, and the meter with the target.
        plan: A plan near the target.

    Raises:
        PruneError: The narrowest groups are above the target.
    """
    request = replace(request, removed=plan.removed)
    asked, choice = request.asked, {name: np.asarray(kept) for name, kept in plan.keep.items()}
    while (cost := request.exact(choice)) > asked:
        count, narrow = _counted_from(request, choice, cost), choice
        while count(narrow) > asked and (narrower := [*_next(request, narrow, -1)]):
            fitting = [each for each in narrower if count(each) <= asked]
            narrow = max(fitting, key=count) if fitting else min(narrower, key=count)
        if narrow is choice:
            raise request.refusal(cost, f"{', or '.join(['Ask for more', *request.looser])}.")
        choice = narrow
    refused: set[float] = set()
    while request.meter.missed(request.plan(choice)):
        count = _counted_from(request, choice, request.exact(choice))
        wider = [each for each in _next(request, choice, 1) if count(each) <= (1 + _SLACK) * asked]
        wider = [each for each in wider if request.share(each) not in refused]
        if not wider:
            break
        best = max(wider, key=count)
        if request.exact(best) <= asked:
            choice = best
        else:
            refused.add(request.share(best))
    return request.plan(choice)


def _counted_from(request: PlanRequest, choice: Choice, cost: float) -> Callable[[Choice], float]:
    """Returns the function that counts the cost of choices near one whose cost was measured."""
    error = cost - request.share(choice)
    return lambda other: request.share(other) + error


def _next(request: PlanRequest, choice: Choice, step: int) -> Iterator[Choice]:
    """Yields the choices in which one group has its next width, narrower (−1) or wider (1)."""
    share = request.share(choice)
    for name, kept in choice.items():
        group, scores = request.graph.prunable[name], request.scores[name]
        widths = request.floor.widths(group.size, name)
        if not len(widths := widths[(widths - len(kept)) * step > 0]):
            continue
        first = np.isin(np.arange(group.size), kept) * (np.ptp(scores) + 1)  # what is kept comes before what is not
        number = int(widths[np.argmin(abs(widths - len(kept)))])
        other = legal(request.graph, {**choice, name: top(scores + first, number)}, request.scores)
        if (request.share(other) - share) * step > 0:
            yield other
