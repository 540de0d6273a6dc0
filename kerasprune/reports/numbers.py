"""Numbers as people read them, and the arithmetic of numbers that may be missing."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Returns the quotient, or `None` where either side is missing or the denominator is zero."""
    return None if numerator is None or not denominator else numerator / denominator


def difference(after: float | None, before: float | None) -> float | None:
    """Returns `after − before`, or `None` where either is missing."""
    return None if after is None or before is None else after - before


def moments(name: str, values: Sequence[float]) -> dict[str, float | None]:
    """Returns the mean under a name, and the deviation under `<name>_deviation`; `None` where values are too few."""
    return {
        name: statistics.fmean(values) if values else None,
        f"{name}_deviation": statistics.stdev(values) if len(values) > 1 else None,
    }


def duration(seconds: float) -> str:
    """Returns a length of time in words, with two units at most.

    Example:
        >>> duration(42.4), duration(3725), duration(200_000)
        ('42 s', '1 h 2 min', '2 d 7 h')
    """
    seconds = round(seconds)
    for unit, size, below, less in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            rest = seconds % size // less
            return f"{seconds // size} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{seconds} s"


def count(value: float | None) -> str:
    """Returns a whole number with thousands separated."""
    return "–" if value is None else f"{round(value):,}"


def percent(value: float | None) -> str:
    """Returns a fraction as a percentage with two decimals."""
    return "–" if value is None else f"{100 * value:.2f} %"


def points(value: float | None) -> str:
    """Returns a difference of two fractions in percentage points, with its sign."""
    return "–" if value is None else f"{100 * value:+.2f} points"


def milliseconds(value: float | None) -> str:
    """Returns milliseconds with three significant digits."""
    return "–" if value is None else f"{value:.3g}"


def figure(value: float | None) -> str:
    """Returns a number with four significant digits."""
    return "–" if value is None else f"{value:.4g}"


def scientific(value: float | None) -> str:
    """Returns a small number with two digits and an exponent."""
    return "–" if value is None else f"{value:.1e}"


def times(value: float | None) -> str:
    """Returns a factor, e.g. `2.55×`."""
    return "–" if value is None else f"{value:.2f}×"
