"""The contract of targets: how much of the dense model a choice of channels costs, and how much it may."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from kerasprune.errors import PruneError

if TYPE_CHECKING:
    from kerasprune.export.latency.table import LatencyTable
    from kerasprune.graph.channels import Count
    from kerasprune.graph.graph import ChannelGraph
    from kerasprune.graph.plans import Plan


class AlreadyMet(PruneError):
    """Raised if the dense model meets a target."""


class CostMeter:
    """Base class of meters: a meter computes one cost of slim models, as a share of the dense model's.

    Args:
        target: The share that is asked for.
    """

    tolerance: ClassVar[float] = 0.01
    """Share of the dense model's cost by which a target may be missed without a warning."""
    is_timed: ClassVar[bool] = False
    """Whether each plan is built and timed: few are tried, a wider one may take less, and `missed` alone judges."""

    is_local: ClassVar[bool] = False
    """Whether only some groups decide the cost, see `binding`: these alone become narrower."""

    def __init__(self, target: float) -> None:
        self.target = target

    def __call__(self, graph: ChannelGraph, count: Count) -> float:
        """Returns the share of the dense model's cost.

        Args:
            graph: The graph of the dense model, perhaps without blocks.
            count: Number of channels kept of an array of ids.
        """
        raise NotImplementedError

    def binding(self, graph: ChannelGraph, count: Count) -> set[str]:
        """Returns the names of the groups that decide the cost; by default all that can be pruned.

        Args:
            graph: The graph of the dense model, perhaps without blocks.
            count: Number of channels kept of an array of ids.
        """
        return set(graph.prunable)

    def remedies(self, graph: ChannelGraph, count: Count) -> list[str]:
        """Returns changes of the target itself with which a choice would cost less; by default none.

        Args:
            graph: The graph of the dense model, perhaps without blocks.
            count: Number of channels kept of an array of ids.
        """
        return []

    def met(self, request: Any) -> dict[str, Any] | None:
        """Returns the choice for a `PlanRequest`, if the meter finds it; by default `None`: levels are bisected."""
        return None

    def shown(self, share: float) -> str:
        """Returns a share as messages show it."""
        return f"{share:.3g}"

    def exact(self, plan: Plan, share: float) -> float:
        """Returns the share of a plan as it is measured; by default as it is counted.

        Args:
            plan: The plan.
            share: Its share, as the meter counts it.
        """
        return share

    def corrected(self, plan: Plan) -> float | None:
        """Returns another target to ask for, as the exact cost of a plan shows; `None` if the plan meets the target."""
        return None

    def distance(self, plan: Plan, share: float) -> float:
        """Returns the relative distance of a plan from the target.

        Args:
            plan: The plan.
            share: Its share, as the meter counts it.
        """
        return abs(share - self.target) / self.target

    def missed(self, plan: Plan) -> str | None:
        """Returns a sentence on how a plan misses the target; `None` if it meets it.

        Raises:
            PruneError: The target was missed because no plan that was measured costs so little.
        """
        return None


def measured_once(measure: Callable[[Plan], int]) -> Callable[[Plan], int]:
    """Returns a function that measures plans, those of equal widths once."""
    known: dict[tuple, int] = {}

    def measured(plan: Plan) -> int:
        widths = (*((name, len(kept)) for name, kept in plan.keep.items()), *plan.removed)
        if widths not in known:
            known[widths] = measure(plan)
        return known[widths]

    return measured


class Target:
    """Base class of targets for `kp.plan(model, target=…)`."""

    counted: ClassVar[str]
    """The cost, as messages name it."""
    table: LatencyTable | None = None
    """The latency table by which `round_to="auto"` widens groups as far as that costs no time, if there is one."""

    @property
    def costs(self) -> Iterable[str]:
        """The costs that it limits, as messages name them."""
        return (self.counted,)

    def prepared(self, graph: ChannelGraph) -> Target:
        """Returns the target after the measurements that it needs; by default it needs none.

        Args:
            graph: The graph of the dense model.
        """
        return self

    def counting_meter(self, graph: ChannelGraph) -> CostMeter:
        """Returns the meter for a search over so many candidates that their cost must be counted, not measured.

        Args:
            graph: The graph of the dense model.
        """
        return self.prepared(graph).meter(graph)

    def after_repair(self) -> Target:
        """Returns the target for a model whose weights change once the plan is made; by default the same."""
        return self

    def report(self, graph: ChannelGraph, plan: Plan) -> str:
        """Returns a line on the cost of a plan and that of the dense model.

        Args:
            graph: The graph of the dense model.
            plan: The plan.
        """
        raise NotImplementedError

    def meter(self, graph: ChannelGraph) -> CostMeter:
        """Returns the meter for a dense model.

        Args:
            graph: The graph of the dense model.

        Raises:
            PruneError: The dense model meets the target already, or its cost cannot be counted.
        """
        raise NotImplementedError

    def _share(self, asked: float, dense: float, unit: str) -> float:
        """Returns a target as a share; raises `AlreadyMet` if the dense model meets it."""
        if asked >= dense:
            whole = ",.0f" if unit == "bytes" else ".4g"
            raise AlreadyMet(
                f"Expected a target below the {self.counted} of the dense model, {dense:{whole}} {unit}. "
                f"Received: {asked:{whole}} {unit}. There is nothing to prune for it; ask for less."
            )
        return asked / dense

    def _compared(self, graph: ChannelGraph, plan: Plan, measure: Callable[[Plan], int], unit: str) -> str:
        """Returns a line on what a plan takes and what the dense model takes."""
        from kerasprune.graph.plans import Plan

        dense, slim = measure(Plan({}, coupling=graph.coupling)), measure(plan)
        return f"{self.counted}: {slim:,} {unit}, {slim / dense:.3f} of the dense model's"
