"""How much a model can lose: the error of its outputs at several shares of its cost, after least squares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import exp, log
from typing import Any

import numpy as np

from kerasprune.errors import PruneError
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.planning.budgets.trials import Trials
from kerasprune.surgery.costs.cost import cost

SHARES = (0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.12, 0.06)
POSITIONS = 2000
_SAMPLES, _MOST, _WORK = 128, 1000, 2e10  # examples: at least, at most, and multiply–adds of all


def errors_at_shares(
    graph: ChannelGraph,
    plan_at: Callable[[float], tuple[Plan, float]],
    data: Any,
    seed: int = 0,
    shares: Sequence[float] = SHARES,
) -> Iterator[tuple[float, float]]:
    """Yields shares of the cost and the errors of the outputs there, right after least squares and without training.

    The error is `Σ ‖slim − dense‖² / Σ ‖dense − mean(dense)‖²` on examples that were not solved on. Shares that no plan
    reaches are left out.

    Args:
        graph: The graph of the dense model.
        plan_at: `plan_at(share)` returns a plan and its share.
        data: Examples, 4 or more.
        seed: Seed of the positions. Defaults to 0.
        shares: The shares, in their order. Defaults to eight.
    """
    trials, found = Trials(graph, data, samples=enough_samples(graph), positions=POSITIONS, seed=seed), set()
    for asked in shares:
        try:
            plan, share = plan_at(asked)
        except PruneError:
            continue
        if share < 1 and share not in found:
            found.add(share)
            yield share, trials.error(plan)


def enough_samples(graph: ChannelGraph) -> int:
    """Returns how many examples a look takes: the fewer, the more each costs."""
    return int(np.clip(_WORK / max(cost(graph).macs, 1), _SAMPLES, _MOST))


def share_at(found: Sequence[tuple[float, float]], error: float) -> float:
    """Returns the share at which an error is reached, from those that were measured; the smallest if none reaches it.

    Between two shares the logarithm of the error is linear in that of the share.

    Args:
        found: Shares and errors, the largest share first.
        error: The error.

    Example:
        >>> round(share_at([(0.8, 0.01), (0.4, 0.1), (0.2, 0.4)], 0.2), 3)
        0.283
    """
    for (high, below), (low, above) in zip([(1.0, 1e-6), *found], found, strict=False):
        if above >= error:
            if below >= above:
                return high
            way = (log(error) - log(max(below, 1e-6))) / (log(max(above, 1e-6)) - log(max(below, 1e-6)))
            return float(exp((1 - way) * log(high) + way * log(low)))
    return float(np.min([share for share, _ in found], initial=1.0))
