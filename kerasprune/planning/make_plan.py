"""Makes plans: scores + budget + target → the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np

from kerasprune import criteria
from kerasprune.checks import fraction_faults, given_values, is_number, kind_faults, seed_faults
from kerasprune.criteria.base import Criterion
from kerasprune.defaults import AUTO
from kerasprune.errors import raise_faults, warn
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size
from kerasprune.graph.strided_pointwise import WIDTHS_AT_RISK, groups_at_risk
from kerasprune.planning import budgets
from kerasprune.planning.budgets.base import STEPS, Budget, Floor
from kerasprune.planning.budgets.plan_request import Choice, PlanRequest
from kerasprune.planning.budgets.rounding import round_choice
from kerasprune.planning.targets.base import CostMeter
from kerasprune.planning.targets.registry import get_all
from kerasprune.surgery.costs.cost import check_counted, cost
from kerasprune.surgery.graphs import prunable_graph

if TYPE_CHECKING:
    from kerasprune.export.latency.table import LatencyTable
    from kerasprune.planning.targets.base import Target

_TRIALS = 6  # of meeting a target that is not known exactly beforehand
_NEAR = 0.01  # relative distance from a target that multiples of "auto" may have
_MISSED = 0.05  # of the channels asked for: tolerance of the bounds without a warning


def plan(
    model: keras.Model | ChannelGraph,
    criterion: str | dict | type | Criterion = "l1",
    budget: str | dict | type | Budget = "uniform",
    *,
    keep: float | None = None,
    macs: float | None = None,
    params: float | None = None,
    target: str | dict | type | Target | Sequence[Any] | None = None,
    data: Any = None,
    loss: Any = None,
    min_keep: float = 1,
    round_to: int | Literal["auto"] | LatencyTable = AUTO,
    size: Size | None = None,
    seed: int = 0,
    macs_of: Mapping[str, int] = MappingProxyType({}),
) -> Plan:
    """Chooses the channels that a model keeps.

    Args:
        model: The trained model, or its graph from `kp.trace`. Subclassed models and composite layers are written out
            first, see `kp.functional`; the plan is that of `kp.functional(model)`.
        criterion: Scores channels: a name, a dict with name and arguments, a class or an instance. Defaults to `"l1"`.
        budget: Distributes the fraction kept over the groups; given in the same ways. Defaults to `"uniform"`.
        keep: Fraction of the channels kept. Give one of `keep`, `macs`, `params` and `target`, or none if the
            budget has its own fractions (with `per_stage`, `keep` replaces the smallest and scales the others).
        macs: Fraction of the dense model's multiply–adds kept; met by bisection on exact costs, as closely as whole
            channels allow.
        params: Fraction of the dense model's parameters kept, met in the same way.
        target: Time on a device, size of the exported file, or RAM of a microcontroller:
            `kp.targets.Time(table, fraction=0.5)`, `kp.targets.Time(ms=12, device="keras", batch=64)`,
            `kp.targets.Size(200_000, "int8")`, `kp.targets.Memory("64kB")`, or `{"name": "time", "fraction": 0.5}`; a
            list of them if all are to be met. Defaults to `None`.
        data: Batches of `(inputs, labels)` for criteria that need data. For budgets that need data, examples as for
            `kp.reconstruct`; labels are ignored.
        loss: Loss for criteria that use gradients. Defaults to the compiled one.
        min_keep: Fewest channels kept in a group; values below 1 are a fraction of the group. Defaults to 1.
        round_to: The number of channels kept is a multiple of this; or the latency table of a device, by which every
            group is widened as far as that costs no time. Defaults to `"auto"`: with `macs`, `params` or a size as
            target, multiples of 16 in groups of 256 channels or more, of 8 from 32 and of 4 from 16, in finer steps
            (with a warning) where these miss the target by more than 1 %; a target of time is rounded by its table;
            otherwise 1, also for RAM.
        size: Size of the inputs at which costs are counted, see `kp.trace`. Defaults to the model's own.
        seed: Random seed. Defaults to 0.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none: `macs=` warns of
            uncounted multiply–adds, and raises if they exceed a twentieth of the total.

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
    target = None if target is None else get_all(target)
    table = None if is_number(round_to) or isinstance(round_to, str) else round_to
    floor = Floor(min_keep, 1 if table else round_to)
    shares = {"keep": keep, "macs": macs, "params": params}
    faults = [*_faults(budget, data, target, **shares), *_table_faults(table), *seed_faults(seed=seed)]
    raise_faults("Invalid arguments for plan:", faults)
    graph = prunable_graph(model, size)
    if macs is not None:
        check_counted(cost(graph, macs_of=macs_of), "macs=", "keep= or params=")
    last_step = budget.last_step(graph, data, seed)
    loss = getattr(model, "loss", None) if loss is None else loss  # before the model was written out
    scores = criteria.score(criterion, graph, data, loss, seed)
    counted = next((name for name in ("macs", "params") if shares[name] is not None), "keep")
    meter = None
    if target is not None:
        target = target.prepared(graph)
        meter, counted = target.meter(graph), target.counted
        table = target.table if round_to == AUTO else table
    if floor.round_to == AUTO:
        counts = table is None and counted != "keep" and not (meter and meter.is_local)
        barred = dict.fromkeys(groups_at_risk(graph), WIDTHS_AT_RISK)
        floor = replace(floor, barred=barred) if counts else floor.without_cost
    asked = meter.target if meter else shares[counted]
    request = PlanRequest(graph, scores, budget, floor, counted, asked, macs_of, meter=meter)
    request, chosen = _in_steps(request) if floor.round_to == AUTO else _corrected(request, table)
    made = last_step(request, chosen)
    if isinstance(request.meter, CostMeter) and request.meter.missed(made):
        if request.floor.round_to == AUTO:  # no multiples met it
            request = replace(request, floor=request.floor.coarse_to_fine[-1])
        if not request.is_timed:
            from kerasprune.planning.targets.fitting import fit_plan  # most plans need none of it

            made = fit_plan(request, made)
        chosen = chosen if made.removed else {name: np.asarray(kept) for name, kept in made.keep.items()}
    _check_what_is_missed(request, chosen, made, table)
    if isinstance(request.meter, CostMeter) and (missed := request.meter.missed(made)):
        warn(missed)
    return made


def _in_steps(request: PlanRequest) -> tuple[PlanRequest, Choice]:
    """Returns the request and choice of the coarsest multiples that meet the target, or come nearest to it."""
    floors = request.floor.coarse_to_fine
    tried: dict[float, tuple[PlanRequest, Choice]] = {}
    for floor in floors:
        met = _corrected(replace(request, floor=floor), None)
        tried.setdefault(_distance(*met, request.target), met)
        if min(tried) <= _NEAR:
            break
    found, chosen = tried[min(tried)]
    if found.floor != floors[0]:
        steps = sorted({found.floor.multiple(size) for size, _ in STEPS})
        warn(
            f"Widths that suit most kernels (round_to='auto') miss the target {_asked(request)} by more than "
            f"{_NEAR:.0%}. The groups keep multiples of {', '.join(map(str, steps))} channels instead, which may be "
            "slower. Ask for another share, or set the multiple with round_to=."
        )
    return found, chosen


def _distance(request: PlanRequest, chosen: Choice, asked: float) -> float:
    """Returns the relative distance of a choice from the target that was asked for."""
    share = request.share(chosen)
    if isinstance(request.meter, CostMeter):
        return request.meter.distance(request.plan(chosen), share)
    return abs(share - asked) / asked


def _corrected(request: PlanRequest, table: LatencyTable | None) -> tuple[PlanRequest, Choice]:
    """Returns the request and choice whose exact cost meets the target, or comes near after a few trials."""
    chosen = _met(request, table)
    if not isinstance(request.meter, CostMeter):
        return request, chosen
    asked, tried = request.target, [(request, chosen)]
    for _ in range(_TRIALS):
        other = request.meter.corrected(request.plan(chosen))
        if other is None:
            break
        request = replace(request, target=other)
        chosen = _met(request, table, limit=other)
        tried.append((request, chosen))
    return min(tried, key=lambda met: _distance(*met, asked))


def _met(request: PlanRequest, table: LatencyTable | None, limit: float = float("inf")) -> Choice:
    if table is None:
        return round_choice(request, limit) if request.floor.round_to == AUTO else request.met(limit)
    from kerasprune.planning.targets.widening import widen_choice  # a plan without a table needs none of it

    return widen_choice(request, table, limit)


def _table_faults(table: Any) -> list[str]:
    if table is None:
        return []
    from kerasprune.export.latency.table import LatencyTable  # a plan without a table needs none of it

    return kind_faults(LatencyTable, "Give a number, or kp.latency.profile(model).", round_to=table)


def _check_what_is_missed(request: PlanRequest, chosen: Choice, made: Plan, table: LatencyTable | None) -> None:
    """Warns if the target is missed, or bounds keep clearly more channels than requested; raises if they keep all."""
    floor, counted = request.floor, request.counted
    bounds = f"min_keep={floor.min_keep} and round_to={'the table' if table else floor.round_to}"
    bound, whole = table is not None or floor != Floor(), request.keeps_all(chosen) and not made.removed
    unbound = replace(request, floor=Floor()).met() if bound and (whole or counted == "keep") else chosen
    if whole and not request.keeps_all(unbound):
        raise request.refusal(1.0, _nearer(request, table))
    if request.misses(chosen):
        warn(
            f"The target {_asked(request)} is met as nearly as whole channels allow: {request.exact(chosen):.3f} "
            f"of the {counted} are kept, with {bounds}{_shared(request)}. {_nearer(request, table)}"
        )
    elif table is None:
        stay, asked = (sum(map(len, choice.values())) for choice in (chosen, unbound))
        if stay > (1 + _MISSED) * asked:
            warn(
                f"With {bounds}, {stay:,} channels are kept instead of {asked:,}. Lower {' and '.join(floor.raised)}, "
                "or ask for less."
            )


def _shared(request: PlanRequest) -> str:
    """Returns which widths devices allow that share weights; empty without any."""
    parts = sorted({each.devices for each in request.graph.sharded_axes})
    return f", and widths that {' and '.join(map(str, parts))} devices can share" if parts else ""


def _asked(request: PlanRequest) -> str:
    return f"of {request.meter.shown(request.asked)}" if request.meter else f"{request.counted}={request.target}"


def _nearer(request: PlanRequest, table: LatencyTable | None) -> str:
    """Returns a sentence on the changes that would meet a missed target."""
    floor = request.floor
    others = {
        "round_to=1": (replace(request, floor=replace(floor, round_to=1, barred={})), None),
        "min_keep=1": (replace(request, floor=replace(floor, min_keep=1)), table),
        "budget='global'": (replace(request, budget=budgets.get("global")), table),
    }
    found = []
    for name, (other, by) in others.items():
        if (other.floor, other.budget, by) == (floor, request.budget, table):
            continue
        choice = _met(other, by)
        if not other.misses(choice) and not other.keeps_all(choice):
            found.append(f"{name}, with {other.share(choice):.3f}")
    if found:
        return f"What meets it: {' or '.join(found)}."
    return ", or ".join(["Ask for another share", *request.looser]) + "."


def request_faults(budget: Budget, **asked: Any) -> list[str]:
    """Returns a fault if several of `keep`, `macs`, `params` and `target` are given, or none that the budget needs."""
    named = list(given_values(**asked))
    if len(named) > 1 or not named and budget.level is None:
        return [f"Expected one of keep, macs, params and target. Received: {', '.join(named) or 'none'}."]
    return []


def _faults(budget: Budget, data: Any, target: Any, **shares: Any) -> list[str]:
    faults = [*fraction_faults(**given_values(**shares)), *request_faults(budget, **shares, target=target)]
    if "data" in budget.needs and data is None:
        faults.append(
            f"Expected data for {type(budget).__name__}, which measures: a few hundred examples, without labels. "
            "Received: data=None. Give data=images, or take budget='uniform'."
        )
    return faults
