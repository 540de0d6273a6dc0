"""The contract of budgets that measure: widths tried one after the other, at a cost that stays."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from kerasprune.budgets.base import Budget, LastStep
from kerasprune.budgets.width_space import Widths, WidthSpace
from kerasprune.graph.graph import ChannelGraph

if TYPE_CHECKING:
    pass


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

    def last_step(self, graph: ChannelGraph, data: Any, seed: int) -> LastStep:
        """Returns the step that measures: blocks that measure better gone are dropped, then `improved` is asked.

        Raises:
            PruneError: The data do not fit the model, or are less than four examples.
        """
        from kerasprune.budgets.measured_allocation import improved
        from kerasprune.budgets.trials import Trials

        trials = Trials(graph, data, samples=self.samples, positions=self.positions, seed=seed)
        return partial(improved, trials=trials)
