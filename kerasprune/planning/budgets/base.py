"""The contract of every budget: from scores and a level to the channels kept of every group.

A budget has one parameter, the *level* in (0, 1], which `kerasprune.plan` adjusts until a target in MACs or parameters
is met. Most budgets define a fraction per group (`fractions`) and inherit the choice of the highest scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from kerasprune.checks import is_number, whole_number_faults
from kerasprune.criteria.base import Checked, Scores, argument, top
from kerasprune.defaults import AUTO
from kerasprune.errors import PruneError
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import kept_number, legal

if TYPE_CHECKING:
    from kerasprune.graph.plans import Plan

STEPS = ((256, 16), (32, 8), (16, 4))
"""Of `round_to="auto"`: the fewest channels of a group, and the multiples in which they are kept; of fewer, ones."""
FINER = (1, 2, 4)
"""What these multiples are divided by, in turn, where they miss a target; single channels come last."""

LastStep = Callable[[Any, Mapping[str, np.ndarray]], "Plan"]
"""From a request, and a choice of channels that meets its target, to the plan."""


def _least_faults(min_keep: Any) -> list[str]:
    if is_number(min_keep) and (0 < min_keep < 1 or min_keep >= 1 and min_keep == int(min_keep)):
        return []
    return [f"Expected min_keep to be an integer or a fraction. Received: min_keep={min_keep!r}."]


def _multiple_faults(round_to: Any) -> list[str]:
    if round_to == AUTO or not whole_number_faults(1, round_to=round_to):
        return []
    return [f"Expected round_to to be a positive integer or {AUTO!r}. Received: round_to={round_to!r}."]


@dataclass(frozen=True)
class Floor(Checked):
    """Lower bound and rounding of the number of channels kept in every group.

    Args:
        min_keep: Fewest channels kept; values below 1 are a fraction of the group. Defaults to 1.
        round_to: The number of channels kept is a multiple of this, if the group is large enough; `"auto"`: of 16 in
            groups of 256 channels or more, of 8 from 32, of 4 from 16. Defaults to 1.
        finer: The multiples of `"auto"` are divided by this. Defaults to 1.
        barred: `{group name: widths}` that this group does not have, if it can be wider and need not become more than
            twice as wide. Defaults to none.

    Example:
        >>> Floor(min_keep=0.25, round_to=8).apply(3, size=64)  # a quarter is 16
        16
        >>> Floor(round_to="auto").apply(130, size=256), Floor(round_to="auto").apply(9, size=20)
        (144, 12)
    """

    min_keep: float = argument(1, _least_faults)
    round_to: int | str = argument(1, _multiple_faults)
    finer: int = 1
    barred: Mapping[str, range] = field(default_factory=dict)

    @property
    def raised(self) -> list[str]:
        """The names of the bounds that are higher than necessary."""
        return [name for name in ("min_keep", "round_to") if getattr(self, name) not in (1, AUTO)]

    @property
    def without_cost(self) -> Floor:
        """The bounds where no cost is asked: `"auto"` is 1, and every width is allowed."""
        return replace(self, round_to=1, barred={}) if self.round_to == AUTO else self

    @property
    def coarse_to_fine(self) -> list[Floor]:
        """The bounds of `"auto"` that are tried in turn, until one of them meets a target."""
        return [*(replace(self, finer=finer) for finer in FINER), replace(self, round_to=1)]

    def multiple(self, size: int) -> int:
        """Returns the number of which the channels kept of `size` are a multiple."""
        if self.round_to != AUTO:
            return self.round_to
        return max(next((step for least, step in STEPS if size >= least), 1) // self.finer, 1)

    def widths(self, size: int, group: str = "") -> np.ndarray:
        """Returns the numbers of channels that may be kept of `size` in a group, in ascending order."""
        return np.unique([self.apply(kept, size, group) for kept in range(1, size + 1)])

    def apply(self, kept: int, size: int, group: str = "") -> int:
        """Returns the number of channels kept of `size` in a group, if `kept` were requested."""
        fewest = ceil(self.min_keep * size) if self.min_keep < 1 else int(self.min_keep)
        multiple, kept = self.multiple(size), max(kept, fewest, 1)
        rounded = ceil(kept / multiple) * multiple
        barred = self.barred.get(group, range(0))
        if rounded in barred and 2 * rounded >= barred.stop:
            rounded = ceil(barred.stop / multiple) * multiple
        return min(rounded, size)


class Budget:
    """Base class of budgets: how many channels of each group are kept.

    A subclass defines `fractions`, or `choose` if it picks the channels itself.

    Example:
        >>> import keras, kerasprune as kp
        >>> class First(Budget):
        ...     def fractions(self, graph, level):
        ...         return {next(iter(graph.prunable)): level}  # all others are kept whole
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((4,)), dense(8, name="one"), dense(8, name="two"), dense(2)])
        >>> {name: len(kept) for name, kept in kp.plan(model, budget=First(), macs=0.7).keep.items()}
        {'one': 5, 'two': 8}
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    """Required besides the scores: `"data"`. Checked before anything is computed."""

    @property
    def level(self) -> float | None:
        """The level if no target is given; `None` if a target is required."""
        return None

    def fractions(self, graph: ChannelGraph, level: float) -> Mapping[str, float]:
        """Returns the fraction kept of each prunable group; other groups are kept whole."""
        raise PruneError(f"{type(self).__name__} has neither fractions() nor choose(). Override one of them.")

    def choose(self, graph: ChannelGraph, scores: Scores, level: float, floor: Floor) -> dict[str, np.ndarray]:
        """Returns the sorted indices kept of each group: the highest scores, ties to the lower index."""
        fractions = self.fractions(graph, level)
        return {
            name: top(scores[name], floor.apply(kept_number(group.size, fractions.get(name, 1.0)), group.size, name))
            for name, group in graph.prunable.items()
        }

    def last_step(self, graph: ChannelGraph, data: Any, seed: int) -> LastStep:
        """Returns the step from the choice that meets the target to the plan; by default the choice unchanged.

        Args:
            graph: The graph of the model.
            data: Examples, if `needs` has `"data"`. They are read before criteria read them.
            seed: Random seed.
        """
        return lambda request, chosen: request.plan(chosen)


def highest(graph: ChannelGraph, scores: Scores, numbers: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Returns the legal choice of the highest scores of each group.

    Args:
        graph: The graph.
        scores: `{group name: one score per channel}`.
        numbers: `{group name: channels kept}`.
    """
    return legal(graph, {name: top(scores[name], int(number)) for name, number in numbers.items()}, scores)
