"""The one exception family, and the helpers that word its messages alike."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any


class PruneError(ValueError):
    """Something cannot be pruned as asked: what was expected, what was received, and the remedy."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns ` Did you mean 'x'?` for the known name closest to `name`, or an empty string."""
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def raise_faults(title: str, faults: Sequence[str]) -> None:
    """Raises one `PruneError` that lists every fault; returns silently where there is none."""
    if faults:
        raise PruneError(title + "".join(f"\n  - {fault}" for fault in faults))


def is_number(value: Any) -> bool:
    """Returns whether a value is a finite real number (`True` and `False` are none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def whole_number_faults(least: int, **values: Any) -> list[str]:
    """Returns a fault for every value that is not a whole number of at least `least`."""
    return [
        f"Expected {name} to be a whole number ≥ {least}. Received: {name}={value!r}."
        for name, value in values.items()
        if isinstance(value, bool) or not isinstance(value, int) or value < least
    ]
