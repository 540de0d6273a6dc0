"""The one division that may have nothing to divide."""

from __future__ import annotations


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Returns the quotient, or `None` where either side is missing or the denominator is zero."""
    return None if numerator is None or not denominator else numerator / denominator
