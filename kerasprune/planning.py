"""Makes plans: scores + budget + target → the decision."""

from __future__ import annotations

import warnings
from bisect import bisect_left
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from kerasprune import budgets, criteria
from kerasprune.budgets.base import Budget, Floor, top
from kerasprune.budgets.measured import MeasuredBudget, Widths, WidthSpace
from kerasprune.costs.cost import cost, cost_of_what_stays, graph_at
from kerasprune.costs.report import check_counted
from kerasprune.criteria.base import Criterion
from kerasprune.errors import PruneError, fraction_faults, raise_faults, seed_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import legal
from kerasprune.graph.trace import trace
from kerasprune.plans import Plan
from kerasprune.surgery.trials import Trials

Choice = dict[str, np.ndarray]
"""`{group name: indices kept}`: a plan that nobody has checked yet."""
_LOWEST, _BISECTIONS = 1e-9, 30
_MISSED = 0.05  # by how much a target may be missed without a word


def plan(
    model_or_graph: keras.Model | ChannelGraph,
    criterion: str | dict | type | Criterion = "l1",
    budget: str | dict | type | Budget = "uniform",
    *,
    keep: float | None = None,
    macs: float | None = None,
    params: float | None = None,
    data: Any = None,
    loss: Any = None,
    min_keep: float = 1,
    round_to: int = 1,
    resolution: int | None = None,
    seed: int = 0,
    macs_of: Mapping[str, int] = MappingProxyType({}),
) -> Plan:
    """Decides which channels of a model stay.

    Args:
        model_or_graph: The trained model, or its graph where `kp.trace` was called with other options.
        criterion: What matters: a name, a dict with a name and arguments, a class or an instance. Defaults to `"l1"`.
        budget: How much stays where, spelt likewise. Defaults to `"uniform"`.
        keep: Fraction of the channels that stay. One of `keep`, `macs` and `params` is given, or none where the
            budget says it all (`per_stage`, for which `keep` replaces the smallest fraction and scales the others).
        macs: Fraction of the dense model's multiply–adds that stay; met by bisection on exact costs, group
            by group in the end.
        params: Fraction of its parameters, likewise.
        data: Batches of `(inputs, labels)` for criteria that look at data. For budgets that do, examples as for
            `kp.reconstruct`, of which labels are ignored.
        loss: Loss for criteria that use gradients. Defaults to the compiled one.
        min_keep: Fewest channels of a group that stay; below 1 a fraction of the group. Defaults to 1.
        round_to: Kept channels are a multiple of it. Defaults to 1.
        resolution: Input side, in pixels, to count at where the model's is free. Defaults to the model's own.
        seed: Of everything random. Defaults to 0.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none: `macs=` warns of what is
            not counted, and is refused where that is more than a twentieth.

    Returns:
        The plan, with the fingerprint of the model.

    Raises:
        PruneError: An argument is out of range, names are unknown, or the target cannot be reached.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((8, 8, 3))
        >>> x = keras.layers.Conv2D(8, 3, name="first")(inputs)
        >>> x = keras.layers.GlobalAveragePooling2D()(x)
        >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
        >>> len(kp.plan(model, keep=0.25).keep["first"])
        2
    """
    criterion, budget = criteria.get(criterion), budgets.get(budget)
    floor = Floor(min_keep, round_to)
    targets = {"keep": keep, "macs": macs, "params": params}
    raise_faults("The plan cannot be made:", [*_faults(budget, data, **targets), *seed_faults(seed=seed)])
    graph = _prunable(model_or_graph, resolution)
    loss = loss if loss is not None else getattr(graph.model, "loss", None)
    trials = _trials(graph, budget, data, seed)
    scores = criteria.score(criterion, graph, data, loss, seed)

    def at(level: float, floor: Floor = floor) -> Choice:
        return legal(graph, budget.choose(graph, scores, level, floor), scores)

    if macs is None and params is None:
        level = budget.level if keep is None else keep
        chosen = at(level)
        if floor != Floor():
            _warn_of_floor(chosen, at(level, Floor()), floor)
    elif macs is not None:
        chosen = _at_cost(graph, at, floor, "macs", macs, macs_of)
    else:
        chosen = _at_cost(graph, at, floor, "params", params, macs_of)
    if trials is not None:
        key = next((name for name in ("macs", "params") if targets[name] is not None), "keep")
        chosen = _improved(graph, budget, trials, chosen, scores, floor, _share(graph, key, macs_of), targets[key])
    return Plan.of(graph, chosen)


def _prunable(model_or_graph: keras.Model | ChannelGraph, resolution: int | None) -> ChannelGraph:
    """Returns the graph at a resolution.

    Raises:
        PruneError: None of its channels can be dropped.
    """
    graph = model_or_graph if isinstance(model_or_graph, ChannelGraph) else trace(model_or_graph)
    graph = graph_at(graph, None, resolution)
    if not graph.prunable:
        raise PruneError(
            f"Expected a model with channels that can be dropped. Received: {graph.model.name!r}, all of whose "
            "channels are pinned. Call graph.report() for the reasons, and freeze less."
        )
    return graph


def _at_cost(
    graph: ChannelGraph,
    at: Callable[[float], Choice],
    floor: Floor,
    key: str,
    fraction: float,
    macs_of: Mapping[str, int],
) -> Choice:
    """Returns the choice whose cost is nearest a fraction of the dense model's; warns where it is not near.

    Args:
        graph: The graph.
        at: `at(level)` returns the choice of a budget at a level.
        floor: The bounds on every group, for the warning.
        key: `"macs"` or `"params"`.
        fraction: The fraction asked for.
        macs_of: Multiply–adds of layers without a rule.
    """
    dense = cost(graph, macs_of=macs_of)
    if key == "macs":
        check_counted(dense, "macs=", "keep= or params=")

    share = _share(graph, key, macs_of)
    chosen = _meet(graph, key, float(fraction), at, share)
    if abs(share(chosen) - fraction) > _MISSED:
        warnings.warn(
            f"The target {key}={fraction} is met as nearly as whole channels allow: {share(chosen):.3f} of the {key} "
            f"stay, with min_keep={floor.min_keep} and round_to={floor.round_to}. Lower them, or take another budget.",
            stacklevel=3,
        )
    return chosen


def _share(graph: ChannelGraph, key: str, macs_of: Mapping[str, int]) -> Callable[[Choice], float]:
    """Returns what says which part of the dense cost a choice has: `"macs"`, `"params"`, or `"keep"` for channels."""
    if key == "keep":
        channels = sum(group.size for group in graph.prunable.values())
        return lambda choice: sum(map(len, choice.values())) / channels
    dense = max(getattr(cost(graph, macs_of=macs_of), key), 1)
    return lambda choice: getattr(cost_of_what_stays(graph, choice, macs_of), key) / dense


def _trials(graph: ChannelGraph, budget: Budget, data: Any, seed: int) -> Trials | None:
    """Returns what measures plans for a budget that does; made before criteria read the data."""
    if not isinstance(budget, MeasuredBudget):
        return None
    return Trials(graph, data, samples=budget.samples, positions=budget.positions, seed=seed)


def _improved(
    graph: ChannelGraph,
    budget: MeasuredBudget,
    trials: Trials,
    start: Choice,
    scores: criteria.Scores,
    floor: Floor,
    share: Callable[[Choice], float],
    target: float | None,
) -> Choice:
    """Returns the choice that a budget comes to by measuring, at the cost of the one it starts from.

    Args:
        graph: The graph.
        budget: The budget.
        trials: Measures plans.
        start: Where it starts.
        scores: What matters inside each group.
        floor: The bounds on every group.
        share: `share(choice)` returns what part of the dense cost a choice has.
        target: The part that was asked for.
    """
    measured: dict[tuple[int, ...], float] = {}

    def choice(widths: Widths) -> Choice:
        return legal(graph, {name: top(scores[name], width) for name, width in widths.items()}, scores)

    def error(widths: Widths) -> float:
        key = tuple(widths.values())
        if key not in measured:
            measured[key] = trials.error(Plan.of(graph, choice(widths)))
        return measured[key]

    sizes = {name: graph.groups[name].size for name in start}
    rungs = {name: np.unique([floor.apply(k, size) for k in range(1, size + 1)]) for name, size in sizes.items()}
    first = {name: len(kept) for name, kept in start.items()}
    limit = max(share(choice(first)), target or 0.0)
    best = budget.improved(first, WidthSpace(rungs, lambda widths: share(choice(widths)), limit, error))
    if best == first:
        warnings.warn(
            f"No widths were found that measure better than those that {type(budget).__name__} starts from: the plan "
            "has these. Give more examples (samples=), or take budget='uniform', which is the same at no cost.",
            stacklevel=3,
        )
    return choice(best)


def _warn_of_floor(chosen: Choice, without: Choice, floor: Floor) -> None:
    """Warns where the bounds on every group keep clearly more channels than were asked for."""
    stay, asked = (sum(map(len, choice.values())) for choice in (chosen, without))
    if stay > (1 + _MISSED) * asked:
        warnings.warn(
            f"With min_keep={floor.min_keep} and round_to={floor.round_to}, {stay:,} channels stay where {asked:,} "
            "were asked for. Lower them, or ask for less.",
            stacklevel=3,
        )


def _meet(
    graph: ChannelGraph, key: str, fraction: float, at: Callable[[float], Choice], share: Callable[[Choice], float]
) -> Choice:
    """Returns the choice whose share of the dense cost is nearest one: bisects the level, then goes group by group.

    Args:
        graph: The graph.
        key: What is counted.
        fraction: The share asked for.
        at: `at(level)` returns the choice of a budget at a level.
        share: `share(choice)` returns what part of the dense cost a choice has.
    """
    below, above = at(_LOWEST), at(1.0)
    for end in (below, above):
        Plan.of(graph, end).check(graph)  # those between are not: a budget may be a user's
    if share(below) > fraction:
        raise PruneError(
            f"Expected a target that can be reached: at the least {share(below):.3f} of the {key} stay. "
            f"Received: {key}={fraction}. Ask for more, lower min_keep or round_to, or use coupling='tied'."
        )
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        level = (low + high) / 2
        tried = at(level)
        if _same(tried, below) or not _same(tried, above) and share(tried) < fraction:
            low, below = level, tried
        else:
            high, above = level, tried
    return _nearest(graph, below, above, fraction, share)


def _same(one: Choice, other: Choice) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(kept, other[name]) for name, kept in one.items())


def _nearest(
    graph: ChannelGraph, below: Choice, above: Choice, fraction: float, share: Callable[[Choice], float]
) -> Choice:
    """Returns the best choice that takes the first groups from `above` and the others from `below`."""
    names = sorted(above)

    def mixed(number: int) -> Choice:
        return legal(graph, {**below, **{name: above[name] for name in names[:number]}})

    number = bisect_left(range(len(names)), fraction, key=lambda n: share(mixed(n)))
    return min((mixed(max(number - 1, 0)), mixed(number)), key=lambda choice: abs(share(choice) - fraction))


def _faults(budget: Budget, data: Any, **targets: Any) -> list[str]:
    given = {name: value for name, value in targets.items() if value is not None}
    faults = fraction_faults(**given)
    if len(given) > 1:
        faults.append(f"Expected one of keep, macs and params. Received: {', '.join(given)}.")
    if not given and budget.level is None:
        faults.append("Expected one of keep, macs and params. Received: none.")
    if isinstance(budget, MeasuredBudget) and data is None:
        faults.append(
            f"Expected data beside {type(budget).__name__}, which measures: some hundred examples, without labels. "
            "Received: data=None. Give data=images, or take budget='uniform'."
        )
    return faults
