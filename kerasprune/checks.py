"""Checks of values: a fault, which is a sentence, for every value that does not fit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from kerasprune.errors import is_of_numpy, nearest, short


def is_number(value: Any) -> bool:
    """Returns whether a value is a finite real number (`True` and `False` are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_named(name: str, pattern: str) -> bool:
    """Returns whether a pattern is a name, even one with brackets, or a wildcard for it."""
    return name == pattern or fnmatchcase(name, pattern)


def _faults(
    expected: str, fits: Callable[[Any], bool], values: Mapping[str, Any], hint: Callable[[Any], str] = lambda _: ""
) -> list[str]:
    """Returns a fault for every value that does not fit, with a hint."""
    return [
        f"Expected {name} to be {expected}. Received: {name}={short(value)}{_of_numpy(value)}.{hint(value)}"
        for name, value in values.items()
        if not fits(value)
    ]


def _of_numpy(value: Any) -> str:
    """Returns the type of a NumPy scalar, which is written as Python's, and its remedy; else an empty string."""
    wrong = is_of_numpy(value)
    return f" as {type(value).__name__} of NumPy, not a number of Python; give its .item()" if wrong else ""


def whole_number_faults(least: int, **values: Any) -> list[str]:
    """Returns a fault for every value that is not an integer of at least `least`."""
    return _faults(f"an integer ≥ {least}", lambda value: type(value) is int and value >= least, values)


def positive_faults(expected: str = "a number above 0", /, **values: Any) -> list[str]:
    """Returns a fault for every value that is not a number above 0, with what is expected."""
    return _faults(expected, lambda value: is_number(value) and value > 0, values)


def non_negative_faults(**values: Any) -> list[str]:
    """Returns a fault for every value that is not a number ≥ 0."""
    return _faults("a number ≥ 0", lambda value: is_number(value) and value >= 0, values)


_INTERVALS: dict[str, Callable[[float], bool]] = {
    "(0, 1]": lambda value: 0 < value <= 1,
    "(0, 1)": lambda value: 0 < value < 1,
    "[0, 1)": lambda value: 0 <= value < 1,
    "[0, 1]": lambda value: 0 <= value <= 1,
}


def interval_faults(interval: str, noun: str, **values: Any) -> list[str]:
    """Returns a fault for every value that is not a number in an interval.

    Args:
        interval: `"(0, 1]"`, `"(0, 1)"`, `"[0, 1)"` or `"[0, 1]"`.
        noun: The meaning of each value, e.g. `"a fraction"`.
        values: The values by name.
    """
    within = _INTERVALS[interval]
    return _faults(f"{noun} in {interval}", lambda value: is_number(value) and within(value), values, of_percent)


def of_percent(value: Any) -> str:
    """Returns ` Did you mean 0.5?` for 50, which is likely per cent, or an empty string."""
    return f" Did you mean {value / 100:g}?" if is_number(value) and 1 < value <= 100 else ""


def fraction_faults(**values: Any) -> list[str]:
    """Returns a fault for every value that is not a fraction kept in (0, 1]."""
    return interval_faults("(0, 1]", "a fraction kept", **values)


def proper_fraction_faults(**values: Any) -> list[str]:
    """Returns a fault for every value that is not a fraction kept in (0, 1): something has to be removed."""
    return interval_faults("(0, 1)", "a fraction kept", **values)


def seed_faults(**values: Any) -> list[str]:
    """Returns a fault for every value that is neither an integer ≥ 0 nor `None`, a new seed every time."""
    return whole_number_faults(0, **given_values(**values))


def count_faults(**values: Any) -> list[str]:
    """Returns a fault for every value that is neither an integer ≥ 1 nor `None`."""
    return whole_number_faults(1, **given_values(**values))


def given_values(**values: Any) -> dict[str, Any]:
    """Returns the values that are not `None`."""
    return {name: value for name, value in values.items() if value is not None}


def kind_faults(kind: type, remedy: str, **values: Any) -> list[str]:
    """Returns a fault for every value that is not an instance of a class.

    Args:
        kind: The class.
        remedy: The remedy, a sentence.
        values: The values by name.
    """
    after = f" {remedy}".rstrip()
    return _faults(f"a {kind.__name__}", lambda value: isinstance(value, kind), values, lambda _: after)


def choice_faults(choices: Sequence[Any], **values: Any) -> list[str]:
    """Returns a fault for every value that is not one of the choices, with the nearest of them."""
    return _faults(f"one of {tuple(choices)}", choices.__contains__, values, lambda value: nearest(value, choices))
