"""The base class and the types of the sections of a recipe, and the messages of their faults."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from kerasprune.checks import whole_number_faults
from kerasprune.errors import Key, PruneError, nearest
from kerasprune.recipes import lookup as members

_QUOTED = re.compile(r"'([^']*)'")


def word_fault(fault: Mapping[str, Any]) -> tuple[str | Key, ...]:
    """Returns the expectation that a fault violates, as the parts of a message.

    Args:
        fault: A fault of pydantic's: `type`, `msg`, `input`, and its bounds in `ctx`.

    Example:
        >>> word_fault({"type": "greater_than", "msg": "Input should be …", "input": 0, "ctx": {"gt": 0}})
        ('Expected a number > 0',)
    """
    bounds = fault.get("ctx") or {}
    if "parts" in bounds:  # worded at an inner node
        return bounds["parts"]
    if isinstance(bounds.get("error"), PruneError):
        return bounds["error"].args
    if fault["type"] in ("literal_error", "enum", "union_tag_invalid"):
        return (_choice(bounds, fault),)
    if fault["type"] not in _WORDS:
        return (fault["msg"].removeprefix("Value error, "),)
    whole = {name: int(bound) for name, bound in bounds.items() if isinstance(bound, float) and bound.is_integer()}
    return (_WORDS[fault["type"]].format(**{**bounds, **whole}),)


def _choice(bounds: Mapping[str, Any], fault: Mapping[str, Any]) -> str:
    known = _QUOTED.findall(bounds.get("expected") or bounds.get("expected_tags") or "")
    given = fault["input"].get("name") if isinstance(fault["input"], dict) else fault["input"]
    close = nearest(given, known) if isinstance(given, str) else ""
    return f"Expected {'one of ' if len(known) > 1 else ''}{', '.join(known)}.{close}".removesuffix(".")


_MAPPINGS = ("dict_type", "model_type", "model_attributes_type", "mapping_type", "union_tag_not_found")
_WORDS = {
    "greater_than": "Expected a number > {gt}",
    "greater_than_equal": "Expected a number ≥ {ge}",
    "less_than": "Expected a number < {lt}",
    "less_than_equal": "Expected a number ≤ {le}",
    "finite_number": "Expected a finite number",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "Expected an integer"),
    **dict.fromkeys(("float_type", "float_parsing"), "Expected a number"),
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode"), "Expected a text; write it in quotes"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "Expected true or false"),
    **dict.fromkeys(("tuple_type", "list_type"), "Expected a list, e.g. [a, b]"),
    **dict.fromkeys(_MAPPINGS, "Expected keys with values, e.g. {{name: sgd}}"),
    "string_pattern_mismatch": "Expected letters, digits, '.', '_' and '-', the first a letter or a digit",
    "none_required": "Expected null",
    "recursion_loop": "Expected no value inside of itself",
}
"""The expectation by the type of a fault, its bounds in braces."""


# Strict: neither true nor "3" is a number, and 2.0 is not a whole one.
Fraction = Annotated[float, Field(gt=0, le=1, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]
PositiveInt = Annotated[int, Field(gt=0, le=10**9, strict=True)]
PositiveFloat = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
Truth = Annotated[bool, Field(strict=True)]


def _checked_size(value: Any) -> Any:
    by_input = value.values() if isinstance(value, Mapping) else [value]
    for sides in by_input:
        numbers = sides if isinstance(sides, list | tuple) else [sides]
        if not numbers or whole_number_faults(1, **{str(place): each for place, each in enumerate(numbers)}):
            several = ", a list with one for each free axis, or either by input" if sides is not value else ""
            raise ValueError(f"Expected a number > 0{several}")
    return value


InputSize = Annotated[Any, AfterValidator(_checked_size)]
"""The size of free axes, as `kp.trace` takes it: a number, a list, or either of them by the name of the input."""


class Node(BaseModel):
    """A part of a recipe: immutable, and unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def changed(self, names: Iterable[str]) -> list[str]:
        """Returns the keys whose values are not their defaults."""
        return [name for name in names if getattr(self, name) != type(self).model_fields[name].default]

    @model_validator(mode="wrap")
    @classmethod
    def _gather(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Adds the nearest known key to an unknown one, in addition to all other faults of the node."""
        try:
            return validate(data)
        except ValidationError as error:
            details = [cls._reworded(one) for one in error.errors()]
            raise ValidationError.from_exception_data(cls.__name__, details) from error

    @classmethod
    def _reworded(cls, fault: ErrorDetails) -> InitErrorDetails:
        kind, parts = fault["type"], word_fault(fault)
        if kind == "extra_forbidden":
            known = ", ".join(cls.model_fields)
            kind = "unknown_key"
            parts = (f"unknown key.{nearest(fault['loc'][-1], cls.model_fields)} Known keys: {known}.",)
        elif kind == "missing":
            parts = ("this key is missing.",)
        # Braces would be read as a template.
        escaped = PydanticCustomError(kind, "{text}", {"text": "".join(map(str, parts)), "parts": parts})
        return InitErrorDetails(type=escaped, loc=fault["loc"], input=fault["input"])


class Named(BaseModel):
    """A registered thing by name; the keys next to `name` are its arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments next to the name."""
        return dict(self.model_extra or {})


def from_name(value: Any) -> Any:
    """Returns a name alone as a mapping with that name."""
    return {"name": value} if isinstance(value, str) else value


def member_of(family: str) -> Any:
    """Returns the type of a key that names a member of a family: the name and its arguments must fit one."""

    def check(named: Named, info: ValidationInfo) -> Named:
        trust = bool((info.context or {}).get("trust"))
        found = members.faults(family, named.name, named.arguments, trust)
        if found:
            raise ValueError("; ".join(found))
        return named

    noted = Field(json_schema_extra={"family": family})
    return Annotated[Named, BeforeValidator(from_name), AfterValidator(check), noted]


Criterion = member_of("criterion")
Budget = member_of("budget")
Target = member_of("target")
Callback = member_of("callback")
