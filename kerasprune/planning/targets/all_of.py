"""Several targets at once, such as the RAM and the flash of a board."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from kerasprune.errors import PruneError
from kerasprune.planning.targets.base import AlreadyMet, CostMeter, Target
from kerasprune.planning.targets.registry import targets

if TYPE_CHECKING:
    from kerasprune.graph.channels import Count
    from kerasprune.graph.graph import ChannelGraph
    from kerasprune.graph.plans import Plan
    from kerasprune.planning.budgets.plan_request import Choice, PlanRequest


@dataclass(frozen=True)
class AllOf(Target):
    """Targets that are met together, such as the limits of a board: `kp.plan(model, target=[…])` is short for it.

    Groups become narrower only as long as they decide a cost that is still above its limit. Targets that the dense
    model meets are no reason to refuse the others.

    Args:
        targets: Targets, or names or dicts of them as for `kp.targets.get`.

    Raises:
        PruneError: There is none.

    Example:
        >>> import kerasprune as kp
        >>> board = kp.targets.AllOf([kp.targets.Memory("256kB"), {"name": "size", "bytes": "1MB"}])
        >>> board.targets[1]
        Size(bytes=1000000, precision='float32')
    """

    counted: ClassVar[str] = "allowed costs"
    targets: Sequence[Any]

    def __post_init__(self) -> None:
        if not isinstance(self.targets, list | tuple) or not self.targets:
            raise PruneError(f"Expected targets, one or more in a list. Received: targets={self.targets!r}.")
        object.__setattr__(self, "targets", tuple(map(targets.get, self.targets)))

    @property
    def costs(self) -> Iterable[str]:
        return {cost for each in self.targets for cost in each.costs}

    def prepared(self, graph: ChannelGraph) -> AllOf:
        return replace(self, targets=tuple(each.prepared(graph) for each in self.targets))

    def after_repair(self) -> AllOf:
        return replace(self, targets=tuple(each.after_repair() for each in self.targets))

    def report(self, graph: ChannelGraph, plan: Plan) -> str:
        return "\n".join(each.report(graph, plan) for each in self.targets)

    def meter(self, graph: ChannelGraph) -> CostMeter:
        meters, met = [], []
        for each in self.targets:
            try:
                meters.append(each.meter(graph))
            except AlreadyMet as error:  # and so does every slim model
                met.append(error)
        if not meters:
            raise met[0]
        return _AllMeter(meters)


class _AllMeter(CostMeter):
    """The largest of several costs, each as a share of its target.

    Args:
        meters: Their meters.
    """

    tolerance = float("inf")  # a model that needs less is no miss
    is_local = True

    def __init__(self, meters: Sequence[CostMeter]) -> None:
        super().__init__(1.0)
        self._meters = meters

    def __call__(self, graph: ChannelGraph, count: Count) -> float:
        return max(each(graph, count) / each.target for each in self._meters)

    def binding(self, graph: ChannelGraph, count: Count) -> set[str]:
        above = (each for each in self._meters if each(graph, count) > self.target * each.target)
        return set().union(*(each.binding(graph, count) for each in above))

    def met(self, request: PlanRequest) -> Choice:
        from kerasprune.planning.targets.local_shrinking import (
            shrink_binding_groups,
        )  # a target is checked without Keras

        return shrink_binding_groups(request)

    def remedies(self, graph: ChannelGraph, count: Count) -> list[str]:
        return [one for each in self._meters for one in each.remedies(graph, count)]

    def exact(self, plan: Plan, share: float) -> float:
        return max(each.exact(plan, share * each.target) / each.target for each in self._meters)

    def corrected(self, plan: Plan) -> float | None:
        over = self.exact(plan, 0.0)
        return None if over <= 1 else self.target / over

    def distance(self, plan: Plan, share: float) -> float:
        return max(self.exact(plan, share) - 1, 0.0)

    def missed(self, plan: Plan) -> str | None:
        missed = [each.missed(plan) for each in self._meters if each.exact(plan, each.target) > each.target]
        return " ".join(filter(None, missed)) or None
