"""The time of one operator over its widths: measured points, and what lies between them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np

Widths = tuple[int, int]
"""Channels read and channels made, `(0, read)` of an operator that makes none."""

_PARTS = 8  # of a width, at which a staircase is measured first
_COARSE = (0.5, 0.25, 0.125)  # of both widths: how far they depend on each other
_STEP = 0.04  # relative jump that is looked for


@dataclass(frozen=True)
class Staircase:
    """The time of one operator over the channels that it reads and makes.

    `t(r, m) = t(R, m) · t(r, M) / t(R, M) · c(r, m)`, R and M the largest widths measured: two staircases, which are
    linear between measured points, and a correction c, which is 1 on both, bilinear between others.

    Args:
        times: Milliseconds of measured widths.

    Example:
        >>> steps = Staircase({(8, 1): 1.0, (8, 4): 1.0, (8, 5): 2.0, (4, 5): 1.2})
        >>> steps.time((8, 3)), steps.time((4, 3)), round(steps.time((6, 5)), 3)
        (1.0, 0.6, 1.6)
    """

    times: Mapping[Widths, float] = field(default_factory=dict)

    @property
    def most(self) -> Widths:
        """The largest widths that were measured."""
        reads, made = zip(*self.times, strict=True)
        return max(reads), max(made)

    def line(self, axis: int) -> dict[int, float]:
        """Returns the times over one width, in order, with the other width at its largest.

        Args:
            axis: 0 = channels read, 1 = channels made.
        """
        other = self.most[1 - axis]
        return {widths[axis]: self.times[widths] for widths in sorted(self.times) if widths[1 - axis] == other}

    def time(self, widths: Widths) -> float:
        """Returns the milliseconds at some widths, at most the largest measured."""
        if widths in self.times:
            return self.times[widths]
        reads, made = widths
        whole = max(self.times[self.most], 1e-9)
        return self._along(0, reads) * self._along(1, made) / whole * self._correction(reads, made)

    def _along(self, axis: int, width: int) -> float:
        """Returns the time on a staircase; below the narrowest on the line through the two narrowest."""
        at, times = self._lines[axis]
        if width < at[0] and len(at) > 1:
            return max(times[0] + (times[1] - times[0]) / (at[1] - at[0]) * (width - at[0]), 0.0)
        return float(np.interp(width, at, times))

    @cached_property
    def _lines(self) -> list[tuple[list[int], list[float]]]:
        return [(list(line), list(line.values())) for line in map(self.line, (0, 1))]

    def _correction(self, reads: int, made: int) -> float:
        if not self._corrections:
            return 1.0
        levels = [*self._corrections, self.most[0]]
        found = [float(np.interp(made, *self._corrections[level])) for level in self._corrections]
        return float(np.interp(reads, levels, [*found, 1.0]))

    @cached_property
    def _corrections(self) -> dict[int, tuple[list[int], list[float]]]:
        """For each width read, in order, the widths made and the corrections there; 1 at the largest."""
        most, found = self.most, {}
        for (reads, made), time in sorted(self.times.items()):
            if reads != most[0] and made != most[1]:
                plain = self._along(0, reads) * self._along(1, made) / max(self.times[most], 1e-9)
                found.setdefault(reads, []).append((made, time / max(plain, 1e-9)))
        return {reads: tuple(map(list, zip(*each, (most[1], 1.0), strict=True))) for reads, each in found.items()}


def first_widths(most: Widths, free: tuple[bool, bool]) -> Iterator[Widths]:
    """Yields the widths that are measured first: both staircases, and a few widths off them.

    Args:
        most: Those of the model.
        free: Whether a plan may change the channels read, and those made.
    """
    reads, made = most
    yield most
    for axis, whole in enumerate(most):
        if free[axis]:
            parts = {1, *(round(whole * part / _PARTS) for part in range(1, _PARTS))} - {0, whole}
            yield from ((each, made) if axis == 0 else (reads, each) for each in sorted(parts))
    if all(free):
        levels = [{max(1, round(whole * share)) for share in _COARSE} - {whole} for whole in most]
        yield from product(*map(sorted, levels))


def next_widths(staircase: Staircase, first: Collection[Widths], matters: float) -> list[Widths]:
    """Returns widths inside the jumps of both staircases that are not narrowed down yet.

    Args:
        staircase: What was measured so far.
        first: The widths of `first_widths`.
        matters: Milliseconds below which a jump does not matter.
    """
    reads, made = staircase.most
    found = []
    for axis in (0, 1):
        known = {widths[axis] for widths in first if widths[1 - axis] == staircase.most[1 - axis]}
        inside = _inside_jumps(staircase.line(axis), known, matters)
        found += [(each, made) if axis == 0 else (reads, each) for each in inside]
    return found


def _inside_jumps(time: Mapping[int, float], first: Collection[int], matters: float) -> list[int]:
    """Returns widths inside the intervals between neighbours whose ends differ.

    An interval is halved at an odd width, since multiples of a kernel's block lie on a line; it is not halved again if
    the width that made it lies on the line between its neighbours.
    """
    widths = list(time)
    straight = {
        middle
        for low, middle, high in zip(widths, widths[1:], widths[2:], strict=False)
        if middle not in first
        and abs(time[middle] - np.interp(middle, [low, high], [time[low], time[high]])) < _STEP / 2 * time[middle]
    }
    return [
        min((low + high) // 2 | 1, high - 1)
        for low, high in zip(widths, widths[1:], strict=False)
        if high - low > 1
        and abs(time[high] - time[low]) > max(_STEP * time[high], matters)
        and not straight & {low, high}
    ]
