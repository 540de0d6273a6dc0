"""Formats numbers, and calculates with numbers that may be missing."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Returns the quotient, or `None` if a side is missing or the denominator is zero."""
    return None if numerator is None or not denominator else numerator / denominator


def difference(after: float | None, before: float | None) -> float | None:
    """Returns `after − before`, or `None` if a side is missing."""
    return None if after is None or before is None else after - before


def moments(name: str, values: Sequence[float]) -> dict[str, float | None]:
    """Returns the mean under a name, and the deviation under `<name>_deviation`; `None` if values are too few."""
    return {
        name: statistics.fmean(values) if values else None,
        f"{name}_deviation": statistics.stdev(values) if len(values) > 1 else None,
    }


def _form(pattern: str, scale: float = 1) -> Callable[[float | None], str]:
    """Returns a function that formats `scale · value`, and `None` as a dash."""
    return lambda value: "–" if value is None else pattern.format(scale * value)


count = _form("{:,.0f}")
"""An integer with thousands separated."""
percent = _form("{:.2f} %", 100)
"""A fraction as a percentage."""
share = _form("{:.1f} %", 100)
points = _form("{:+.2f} points", 100)
"""A difference of two fractions in percentage points."""
signed = _form("{:+.4g}")
milliseconds = _form("{:.3g}")
figure = _form("{:.4g}")
scientific = _form("{:.1e}")
times = _form("{:.2f}×")
"""A factor, e.g. `2.55×`."""
as_fast = _form("{:.2f}× as fast")
