"""The one division that may have nothing to divide."""

from __future__ import annotations


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Returns the quotient, or `None` where either side is missing or the denominator is zero."""
    return None if numerator is None or not denominator else numerator / denominator


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
