"""The contract of budgets that measure: widths tried one after the other, at a cost that stays."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerasprune.budgets.base import Budget
from kerasprune.graph.graph import ChannelGraph

if TYPE_CHECKING:
    from kerasprune.budgets.allocation import Allocation, Choice
    from kerasprune.plans import Plan

Widths = dict[str, int]
"""`{group name: channels kept}`."""


@dataclass(frozen=True)
class WidthSpace:
    """The widths that may be chosen, what they cost and how wrong they are.

    What they cost and how wrong they are is asked of two functions: neither models nor data are known here, and a
    measured latency can take the place of multiply–adds.

    Args:
        rungs: The legal widths of each group, ascending.
        cost: `cost(widths)` is what they cost; more channels never cost less.
        limit: What they may cost at most.
        error: `error(widths)` measures them; the less the better.
    """

    rungs: Mapping[str, np.ndarray]
    cost: Callable[[Widths], float]
    limit: float
    error: Callable[[Widths], float]

    def nearest(self, name: str, width: float) -> int:
        """Returns the legal width of a group that is nearest to a number."""
        rungs = self.rungs[name]
        return int(rungs[np.argmin(abs(rungs - width))])

    def narrower(self, name: str, width: int, by: float) -> int:
        """Returns a width that is narrower by a fraction, and by a rung at the least; the same at the lowest rung."""
        below = self.rungs[name][self.rungs[name] < width]
        return int(below[np.argmin(abs(below - width * (1 - by)))]) if below.size else width

    def wider(self, name: str, width: int) -> int:
        """Returns the next wider width of a group; the same at the highest rung."""
        above = self.rungs[name][self.rungs[name] > width]
        return int(above[0]) if above.size else width


class MeasuredBudget(Budget):
    """Base of budgets that measure: `kp.plan` needs `data=` beside them.

    `fractions` (or `choose`) says where they start; `kp.plan` meets the target with it, and hands the widths to
    `improved`.

    Args:
        samples: How many examples are looked at. Defaults to 600.
        positions: How many output positions each layer is solved on. Defaults to 4000.
        blocks: Whether blocks may be dropped whole, where that measures better at the same cost. Defaults to `True`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"data"})

    samples: int = 600
    positions: int = 4000
    blocks: bool = True

    @abstractmethod
    def improved(self, start: Widths, space: WidthSpace) -> Widths:
        """Returns widths that cost no more than the limit and measure no worse than those it starts from.

        Args:
            start: Channels kept of each group.
            space: What may be chosen.
        """

    def last_step(self, graph: ChannelGraph, data: Any, seed: int) -> Callable[[Allocation, Choice], Plan]:
        """Returns the step that measures: blocks that measure better gone are dropped, then `improved` is asked.

        Raises:
            PruneError: The data do not fit the model, or are less than four examples.
        """
        from kerasprune.budgets.measured_allocation import improved
        from kerasprune.budgets.trials import Trials

        trials = Trials(graph, data, samples=self.samples, positions=self.positions, seed=seed)
        return partial(improved, trials=trials)
