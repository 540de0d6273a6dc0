"""`plan`: scores + budget + target → the decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kerasprune import budgets, criteria
from kerasprune.budgets.base import Budget, Floor
from kerasprune.cost import cost, graph_at
from kerasprune.criteria.base import Criterion, Evidence, Scores
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph import ChannelGraph
from kerasprune.plans import Plan

_BISECTIONS = 30


def plan(
    model_or_graph: keras.Model | ChannelGraph,
    criterion: str | dict | type | Criterion = "l1",
    budget: str | dict | type | Budget = "uniform",
    *,
    keep: float | None = None,
    macs: float | None = None,
    params: float | None = None,
    latency: tuple[Any, float] | None = None,
    data: Any = None,
    loss: Any = None,
    min_keep: float = 1,
    round_to: int = 1,
    resolution: int | None = None,
    seed: int = 0,
) -> Plan:
    """Decides which channels of a model stay.

    Args:
        model_or_graph: The trained model, or its graph where `kp.trace` was called with other options.
        criterion: What matters: a name, a dict with a name and arguments, a class or an instance. Defaults to `"l1"`.
        budget: How much stays where, spelt likewise. Defaults to `"uniform"`.
        keep: Fraction of the channels that stay. One of `keep`, `macs` and `params` is given, or none where the
            budget says it all (`per_stage`).
        macs: Fraction of the dense model's multiply–adds that stay; met by bisection on exact costs.
        params: Fraction of its parameters, likewise.
        latency: Reserved for `(LatencyTable, fraction)`.
        data: Batches of `(inputs, labels)` for criteria that look at data.
        loss: Loss for criteria that use gradients. Defaults to the compiled one.
        min_keep: Fewest channels of a group that stay; below 1 a fraction of the group. Defaults to 1.
        round_to: Kept channels are a multiple of it. Defaults to 1.
        resolution: Input side, in pixels, where the model's is free. Defaults to the model's own.
        seed: Of everything random. Defaults to 0.

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
    faults = _faults(keep=keep, macs=macs, params=params, latency=latency)
    raise_faults("The plan cannot be made:", faults)
    criterion, budget = criteria.get(criterion), budgets.get(budget)
    floor = Floor(min_keep, round_to)
    graph = graph_at(model_or_graph, None, resolution)
    if not graph.prunable:
        raise PruneError(
            f"Expected a model with channels that can be dropped. Received: {graph.model.name!r}, all of whose "
            "channels are pinned. Call graph.report() for the reasons, and freeze less."
        )
    loss = loss if loss is not None else getattr(graph.model, "loss", None)
    scores = criteria.score(criterion, graph, Evidence(data, loss, seed))

    def at(level: float) -> Plan:
        return _plan_at(graph, budget, scores, level, floor)

    if macs is None and params is None:
        return at(1.0 if keep is None else keep)
    key, fraction = ("macs", macs) if macs is not None else ("params", params)
    return _meet(graph, key, float(fraction), at)


def _plan_at(graph: ChannelGraph, budget: Budget, scores: Scores, level: float, floor: Floor) -> Plan:
    kept = budget.choose(graph, scores, level, floor)
    return Plan(
        {name: indices.tolist() for name, indices in kept.items()},
        coupling=graph.coupling,
        fingerprint=graph.fingerprint,
    )


def _meet(graph: ChannelGraph, key: str, fraction: float, at: Callable[[float], Plan]) -> Plan:
    """Bisects the level until the cost of the plan meets its target; returns the closest plan seen."""
    dense = getattr(cost(graph), key)
    target = fraction * dense
    lowest = getattr(cost(graph, at(1e-9)), key)
    if lowest > target:
        raise PruneError(
            f"Expected a target that can be reached: at the least {lowest / dense:.3f} of the {key} stay. "
            f"Received: {key}={fraction}. Ask for more, lower min_keep or round_to, or use coupling='tied'."
        )
    low, high = 0.0, 1.0
    best, distance = at(1.0), abs(dense - target)
    for _ in range(_BISECTIONS):
        level = (low + high) / 2
        tried = at(level)
        value = getattr(cost(graph, tried), key)
        if abs(value - target) < distance:
            best, distance = tried, abs(value - target)
        low, high = (level, high) if value < target else (low, level)
    return best


def _faults(**targets: Any) -> list[str]:
    given = {name: value for name, value in targets.items() if value is not None}
    if "latency" in given:
        return ["Expected keep=, macs= or params=. Received: latency=, which needs a measured table: not yet there."]
    faults = [
        f"Expected {name} to be a fraction kept in (0, 1]. Received: {name}={value!r}."
        for name, value in given.items()
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1
    ]
    if len(given) > 1:
        faults.append(f"Expected one of keep, macs and params. Received: {', '.join(given)}.")
    return faults
