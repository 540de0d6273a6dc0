"""Groups widened as far as that costs no time on a device whose time over width is a staircase."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kerasprune.criteria.base import Scores, top
from kerasprune.errors import PruneError
from kerasprune.export.latency.table import LatencyTable
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import legal
from kerasprune.planning.budgets.plan_request import Choice, PlanRequest
from kerasprune.planning.targets.meters import TimeMeter
from kerasprune.surgery.costs.counts import counter

_FREE = 0.002  # relative growth of the whole time that counts as none
_FURTHEST = 64  # channels: the largest block of a kernel
_LEVELS = 20  # of the budget, at which wider choices of the same time are looked for
_TRIALS = 6  # of meeting a target with widened groups
_NEAR = 0.005  # relative distance from the target at which they end


def widen_choice(request: PlanRequest, table: LatencyTable, limit: float = float("inf")) -> Choice:
    """Returns a choice that meets a target, with groups as wide as costs no time.

    Args:
        request: The model, the budget and the target.
        table: The latency table of the device.
        limit: Largest share, if a choice so small is found. Defaults to none.
    """
    meter = TimeMeter(table, request.whole)

    def time(choice: Choice) -> float:
        return meter(request.graph, counter(request.graph.alive(choice)))

    tried = [widened(request.graph, request.met(limit), request.scores, time)]
    if request.counted == "keep":
        return tried[0]
    first, asked = request, request.target
    for _ in range(_TRIALS):
        over = request.share(tried[-1]) / asked
        if abs(over - 1) <= _NEAR:
            break
        request = replace(request, target=request.target / over)
        with contextlib.suppress(PruneError):  # below the least
            tried.append(widened(request.graph, request.met(), request.scores, time))
    small = [choice for choice in tried if request.share(choice) <= limit]
    nearest = min(small or tried, key=lambda choice: abs(request.share(choice) - asked))
    return _widest(first, nearest) if request.counted == "time" else nearest


def _widest(request: PlanRequest, choice: Choice) -> Choice:
    """Returns the choice with most multiply–adds in the time of one: that itself, or one of a higher level.

    Groups fill their blocks at other levels, and a whole block is often faster than a part of it: levels far apart cost
    the same.
    """
    time, by_macs = request.share, replace(request, counted="macs", meter=None)
    limit = time(choice) * (1 + _FREE)
    levels = (request.at(float(level)) for level in np.linspace(1.0, 0.0, _LEVELS, endpoint=False))
    highest = next((each for each in levels if time(each) <= limit), choice)
    return max((choice, widened(request.graph, highest, request.scores, time)), key=by_macs.share)


def widened(graph: ChannelGraph, choice: Choice, scores: Scores, time: Callable[[Choice], float]) -> Choice:
    """Returns a choice with more channels of each group, one group after the other, at the same time.

    Args:
        graph: The graph.
        choice: `{group name: indices kept}`.
        scores: `{group name: one score per channel}`; the highest are kept.
        time: Returns the time of a choice.
    """
    best, limit = dict(choice), time(choice) * (1 + _FREE)
    for name, group in graph.prunable.items():
        kept = len(best[name])
        for number in range(min(group.size, kept + _FURTHEST), kept, -1):
            wider = legal(graph, {**best, name: top(scores[name], number)}, scores)
            if time(wider) <= limit:
                best = wider
                break
    return best
