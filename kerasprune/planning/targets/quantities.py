"""Sizes and times as people write them: numbers, or texts of a number and a unit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

_WRITTEN = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?\s*([a-zµμ]*)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Quantity:
    """What is written as a number with a unit.

    Args:
        expected: What is expected, as messages say it, with examples.
        units: `{unit in lower case: its value}`; `""` is that of numbers without one.

    Example:
        >>> BYTES.number("200kB"), BYTES.number("3.5KiB"), MILLISECONDS.number("1e-6"), MILLISECONDS.number("0.5s")
        (200000, 3584, 1e-06, 500)
    """

    expected: str
    units: Mapping[str, Decimal]

    def number(self, value: Any) -> Any:
        """Returns a text with a number as a number, in units of `""`; anything else as it is."""
        found = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
        if found is None or (unit := self.units.get(found[3].lower())) is None:
            return value
        exact = Decimal(f"{found[1]}{found[2] or ''}") * unit
        return int(exact) if exact == exact.to_integral_value() else float(exact)


def has_unit(text: str) -> bool:
    """Returns whether a text is more than a number."""
    found = _WRITTEN.fullmatch(text)
    return found is None or bool(found[3])


def _powers(base: int, form: str) -> dict[str, Decimal]:
    """Returns the units of the powers of a thousand or 1024, as `form` writes them, with and without the B."""
    powers = {form.format(letter): Decimal(base**power) for power, letter in enumerate("kmg", start=1)}
    return powers | {f"{unit}b": value for unit, value in powers.items()}


BYTES = Quantity(
    "a size, such as 200000, '200kB', '1.5MB' or '3.5KiB'",
    {**dict.fromkeys(("", "b", "byte", "bytes"), Decimal(1)), **_powers(1000, "{}"), **_powers(1024, "{}i")},
)
MILLISECONDS = Quantity(
    "a time, such as '12ms', '500us' or '0.5s'",
    {
        **dict.fromkeys(("", "ms"), Decimal(1)),
        **dict.fromkeys(("s", "sec"), Decimal(1000)),
        **dict.fromkeys(("us", "µs", "μs"), Decimal("1e-3")),
        "ns": Decimal("1e-6"),
    },
)
