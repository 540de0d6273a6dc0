"""The widths that a measured budget may choose from, what they cost and how wrong they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

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
