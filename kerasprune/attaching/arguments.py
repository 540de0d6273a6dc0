"""The arguments of an object in one line, as its `repr`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

_LONGEST = 90


def written(thing: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Returns `Class(argument=value, …)` for the arguments that an object was made with, long ones cut."""
    parameters = [name for name in inspect.signature(type(thing).__init__).parameters if name != "self"]
    given = {**dict(zip(parameters, args, strict=False)), **kwargs}
    return f"{type(thing).__name__}({', '.join(f'{name}={short(value)}' for name, value in given.items())})"


def short(value: Any) -> str:
    """Returns a short `repr`: numbers and names as they are, long values by class and size."""
    text = value.__name__ if inspect.isroutine(value) or inspect.isclass(value) else repr(value)
    if len(text) <= _LONGEST and "\n" not in text and " at 0x" not in text:
        return text
    size = f" of {len(value)}" if isinstance(value, Sequence | Mapping) else ""
    return f"<{type(value).__name__}{size}>"
