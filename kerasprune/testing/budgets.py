"""`check_budget`: the properties of every budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerasprune import criteria
from kerasprune.criteria.base import Scores
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import trace
from kerasprune.planning import budgets
from kerasprune.planning.budgets.base import Budget, Floor
from kerasprune.planning.make_plan import plan as make_plan
from kerasprune.surgery.costs.cost import cost
from kerasprune.surgery.random_inputs import random_inputs
from kerasprune.testing.toys import require, toy_model

_TINY = 1e-9
_EXAMPLES = 16
_FLOOR = Floor(min_keep=5, round_to=4)


def check_budget(
    budget: str | dict | type | Budget, *, targets: Sequence[float] = (0.3, 0.45, 0.6, 0.8), seed: int = 0
) -> None:
    """Checks a budget on a small residual network, with random scores and targets in multiply–adds.

    The target is met to within one channel of the group with the most expensive channels. A higher target keeps at
    least as much of every group (not checked for budgets that measure). Within a group the highest scores are kept;
    pinned groups are kept whole; no group becomes empty, however small the target, and `min_keep` and `round_to` are
    respected.

    Args:
        budget: A name, a dict with a name and arguments, a class or an instance.
        targets: Fractions kept of the multiply–adds, ascending. Defaults to `(0.3, 0.45, 0.6, 0.8)`.
        seed: Seed of the scores. Defaults to 0.

    Raises:
        AssertionError: One of these checks fails.
        kerasprune.PruneError: A target cannot be reached.

    Example:
        >>> from kerasprune.testing import check_budget
        >>> check_budget("uniform")
    """
    budget = budgets.get(budget)
    graph = trace(toy_model(seed), freeze=("wide_conv",))
    measures = "data" in budget.needs
    data = random_inputs(graph.model, _EXAMPLES, seed) if measures else None
    scores = criteria.score(criteria.get("random"), graph, seed=seed)
    dense, channel = cost(graph).macs, _dearest_channel(graph)
    found = []
    for target in targets:
        plan = make_plan(graph, "random", budget, macs=target, data=data, round_to=1, seed=seed)
        distance = abs(cost(graph, plan).macs - target * dense)
        require(
            distance <= channel,
            f"Expected macs={target} within one channel ({channel} multiply–adds). Received: {distance:.0f} away.",
        )
        found.append(plan)
    for plan in found:
        _check_legal(graph, plan)
        _check_order(graph, plan, scores)
    for name, kept in budget.choose(graph, scores, _TINY, Floor()).items():
        require(len(kept) >= 1, f"Expected at least one channel of {name!r} kept at level {_TINY}. Received: none.")
    for name, kept in budget.choose(graph, scores, _TINY, _FLOOR).items():
        size = graph.groups[name].size
        fewest = _FLOOR.apply(1, size)
        require(
            len(kept) >= fewest and (len(kept) % _FLOOR.round_to == 0 or len(kept) == size),
            f"Expected {fewest} channels of {name!r} or more, in multiples of {_FLOOR.round_to}, at level {_TINY} with "
            f"{_FLOOR}. Received: {len(kept)}. Apply floor.apply to every number.",
        )
    for lower, higher, target in [] if measures else zip(found, found[1:], targets[1:], strict=False):
        _check_monotone(graph, lower, higher, target)


def _dearest_channel(graph: ChannelGraph) -> int:
    """Returns the multiply–adds of the most expensive channel of the dense model."""
    plans = [
        Plan({name: range(1, g.size)}, coupling=graph.coupling) for name, g in graph.prunable.items() if g.size > 1
    ]
    return cost(graph).macs - min(cost(graph, plan).macs for plan in plans)


def _check_legal(graph: ChannelGraph, plan: Plan) -> None:
    plan.check(graph)
    for name, group in graph.groups.items():
        kept = len(plan.keep.get(name, range(group.size)))
        require(
            group.prunable or kept == group.size,
            f"Expected the pinned group {name!r} to be kept whole. Received: {kept} of {group.size} channels.",
        )


def _check_order(graph: ChannelGraph, plan: Plan, scores: Scores) -> None:
    for name, kept in plan.keep.items():
        dropped = np.delete(scores[name], kept) if name in scores else np.zeros(0)
        if dropped.size:
            lowest = scores[name][list(kept)].min()
            require(
                lowest >= dropped.max(),
                f"Expected the highest scores of {name!r} to be kept. Received: {lowest:.4f} kept, "
                f"{dropped.max():.4f} removed.",
            )


def _check_monotone(graph: ChannelGraph, lower: Plan, higher: Plan, target: float) -> None:
    for name, group in graph.prunable.items():
        few, many = (len(plan.keep.get(name, range(group.size))) for plan in (lower, higher))
        require(
            few <= many,
            f"Expected more of {name!r} kept at macs={target} than at a lower target. Received: {many} < {few}.",
        )
