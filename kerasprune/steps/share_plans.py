"""Plans of one model by the share of a cost that they keep: multiply–adds, parameters, time or bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from kerasprune import criteria
from kerasprune.criteria.known_scores import KnownScores
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.planning import budgets
from kerasprune.planning.budgets.scaled_widths import ScaledWidths
from kerasprune.planning.make_plan import plan as make_plan
from kerasprune.planning.targets.base import CostMeter, Target
from kerasprune.planning.targets.memory import Memory
from kerasprune.planning.targets.size import Size
from kerasprune.planning.targets.time import Time
from kerasprune.surgery.costs.counts import counter, shares_of
from kerasprune.surgery.cut import Cut

_NONE = 1e-9  # of the channels: as few as the floors allow
_NEARLY_ALL = 1 - 1e-9


class SharePlans:
    """Plans of one model by the share of a cost that they keep.

    Args:
        graph: The graph of the dense model.
        cost: One of `COSTS`.
        how: Further arguments of `kp.plan`.
        table: The latency table of the device, for `"time"`. Defaults to `None`: this machine is measured.
        precision: Precision of the file, but for the first two costs. Defaults to `None`: float32, or the table's.
    """

    def __init__(
        self, graph: ChannelGraph, cost: str, how: Mapping[str, Any], table: Any = None, precision: str | None = None
    ) -> None:
        self.graph, self.cost, self._how = graph, cost, how
        self._table, self._precision = table, precision
        self._measured_plan: Plan | None = None

    def at(self, share: float, **changed: Any) -> tuple[Plan, float]:
        """Returns a plan that keeps nearly a share of the cost, and the share that it keeps.

        Args:
            share: The share.
            **changed: Arguments of `kp.plan` in place of those of all plans.

        Raises:
            PruneError: No plan keeps so little.
        """
        how = {"target": self._target(share)} if self.cost in self._targets else {self.cost: share}
        with warnings.catch_warnings():  # of another share than was asked for, which is as good here
            warnings.simplefilter("ignore", UserWarning)
            plan = make_plan(self.graph, **{**self._how, **self._known, **changed}, **how)
        return plan, self.share(plan)

    def follow(self, plan: Plan) -> None:
        """Gives later plans the widths of one, scaled, where measuring them takes long and dropped no blocks."""
        if self._measured_plan is None and not plan.removed and "data" in budgets.get(self._how["budget"]).needs:
            self._measured_plan = plan

    @property
    def _known(self) -> dict[str, Any]:
        """Arguments of `kp.plan` that are computed once."""
        scaled = {} if self._measured_plan is None else {"budget": ScaledWidths(self._measured_plan)}
        return {"criterion": self._scores, **scaled}

    @cached_property
    def _scores(self) -> KnownScores:
        given = {"criterion": "l1", "data": None, "loss": None, "seed": 0} | self._how
        criterion, *rest = (given[name] for name in ("criterion", "data", "loss", "seed"))
        return KnownScores(criteria.score(criteria.get(criterion), self.graph, *rest))

    @cached_property
    def least_plan(self) -> Plan:
        """A plan that keeps as little as can be."""
        how = {**self._how, "criterion": "l1", "budget": "uniform"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return make_plan(self.graph, **how, keep=_NONE)

    @cached_property
    def least(self) -> float:
        """The smallest share that a plan keeps."""
        return self.share(self.least_plan)

    def share(self, plan: Plan) -> float:
        """Returns the share of the cost that a plan keeps."""
        if self.cost not in self._targets:
            return self.shares(plan)[self.cost]
        return self._meter.exact(plan, self._meter(self.graph, counter(self.graph.alive(plan.keep))))

    def shares(self, plan: Plan) -> dict[str, float]:
        """Returns the shares of the parameters and of the multiply–adds that a plan keeps."""
        cut, macs_of = Cut.of(self.graph, plan), self._how.get("macs_of", {})
        return shares_of(cut.cost(macs_of), cut.dense_cost(macs_of))

    def _target(self, share: float) -> Target:
        """Returns the target of a share of the dense model's cost."""
        if self.cost == "bytes":
            return replace(self._measured, bytes=int(share * self._meter.dense))
        return replace(self._measured, fraction=min(share, _NEARLY_ALL))

    @cached_property
    def _measured(self) -> Target:
        """A target of the cost, prepared."""
        return self._targets[self.cost]().prepared(self.graph)

    @cached_property
    def _meter(self) -> CostMeter:
        return self._measured.meter(self.graph)

    @cached_property
    def _targets(self) -> dict[str, Callable[[], Target]]:
        """What makes a target of each cost that a target limits; what it asks for is replaced."""
        precision = self._precision or "float32"
        return {
            "time": lambda: Time(self._table, fraction=0.5, precision=self._precision),
            "bytes": lambda: Size(1, precision).after_repair(),
            "memory": lambda: Memory(fraction=0.5, precision=precision),
        }
