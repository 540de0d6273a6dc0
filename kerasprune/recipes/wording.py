"""What is wrong with a value of a recipe, in our words: pydantic finds it, its reader never reads of pydantic."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kerasprune.errors import Key, PruneError, nearest

_QUOTED = re.compile(r"'([^']*)'")


def worded(fault: Mapping[str, Any]) -> tuple[str | Key, ...]:
    """Returns what was expected, as the parts of a message.

    Args:
        fault: What pydantic says: `type`, `msg`, `input`, and its bounds in `ctx`.

    Example:
        >>> worded({"type": "greater_than", "msg": "Input should be …", "input": 0, "ctx": {"gt": 0}})
        ('Expected a number > 0',)
    """
    bounds = fault.get("ctx") or {}
    if "parts" in bounds:  # worded at an inner node
        return bounds["parts"]
    if isinstance(bounds.get("error"), PruneError):
        return bounds["error"].args
    word = _WORDS.get(fault["type"])
    return (word(bounds, fault) if word is not None else fault["msg"].removeprefix("Value error, "),)


def _choice(bounds: Mapping[str, Any], fault: Mapping[str, Any]) -> str:
    expected = bounds.get("expected") or bounds.get("expected_tags") or ""
    known = _QUOTED.findall(expected)
    given = fault["input"].get("name") if isinstance(fault["input"], dict) else fault["input"]
    close = nearest(given, known) if isinstance(given, str) else ""
    return f"Expected {'one of ' if len(known) > 1 else ''}{', '.join(known)}.{close}".removesuffix(".")


def _says(text: str) -> Callable[[Mapping[str, Any], Mapping[str, Any]], str]:
    return lambda bounds, fault: text.format(**{name: _short(bound) for name, bound in bounds.items()})


def _short(bound: Any) -> Any:
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


_WHOLE, _NUMBER, _TEXT = "Expected a whole number", "Expected a number", "Expected a text; write it in quotes"
_LIST, _KEYS = "Expected a list, e.g. [a, b]", "Expected keys with values, e.g. {name: sgd}"
_WORDS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], str]] = {
    "greater_than": _says("Expected a number > {gt}"),
    "greater_than_equal": _says("Expected a number ≥ {ge}"),
    "less_than": _says("Expected a number < {lt}"),
    "less_than_equal": _says("Expected a number ≤ {le}"),
    "finite_number": _says("Expected a finite number"),
    **{name: _says(_WHOLE) for name in ("int_type", "int_parsing", "int_from_float", "int_parsing_size")},
    **{name: _says(_NUMBER) for name in ("float_type", "float_parsing")},
    **{name: lambda bounds, fault: _TEXT for name in ("string_type", "string_sub_type", "string_unicode")},
    **{name: _says("Expected true or false") for name in ("bool_type", "bool_parsing")},
    **{name: lambda bounds, fault: _LIST for name in ("tuple_type", "list_type")},
    **{
        name: lambda bounds, fault: _KEYS
        for name in ("dict_type", "model_type", "model_attributes_type", "mapping_type", "union_tag_not_found")
    },
    **dict.fromkeys(("literal_error", "enum", "union_tag_invalid"), _choice),
    "string_pattern_mismatch": _says("Expected letters, digits, '.', '_' and '-', the first a letter or a digit"),
    "none_required": _says("Expected null"),
    "recursion_loop": _says("Expected no value inside of itself"),
}
