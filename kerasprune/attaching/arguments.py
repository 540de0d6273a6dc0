"""The arguments of an object: in one line, as its `repr`; and those of an earlier version."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kerasprune.errors import PruneError, warn

_LONGEST = 90


def written(thing: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Returns `Class(argument=value, …)`: the arguments that were given, long ones cut.

    Args:
        thing: The object.
        args: The arguments that it was made with by place.
        kwargs: Those by name.
    """
    parameters = [name for name in inspect.signature(type(thing).__init__).parameters if name != "self"]
    given = {**dict(zip(parameters, args, strict=False)), **kwargs}
    return f"{type(thing).__name__}({', '.join(f'{name}={short(value)}' for name, value in given.items())})"


def short(value: Any) -> str:
    """Returns a value in a few words: numbers and names as they are, long things by kind and size."""
    text = value.__name__ if inspect.isroutine(value) or inspect.isclass(value) else repr(value)
    if len(text) <= _LONGEST and "\n" not in text and " at 0x" not in text:
        return text
    size = f" of {len(value)}" if isinstance(value, Sequence | Mapping) else ""
    return f"<{type(value).__name__}{size}>"


# ---- arguments of an earlier version -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moved:
    """Where an argument of an earlier version is now.

    Args:
        to: The argument. Defaults to nothing: it had no effect.
        field: The field of that argument. Defaults to nothing: it is the argument as a whole.
        unsaid: The value of a whole that said nothing. Defaults to `None`.
        beside: Whether a field might stand beside a whole that said something. Defaults to `False`.
    """

    to: str = ""
    field: str = ""
    unsaid: Any = None
    beside: bool = False


def accepts_old(moved: Mapping[str, Moved]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Returns a decorator of `__init__` that takes the arguments of an earlier version too, with a `FutureWarning`.

    Args:
        moved: Where each of them is now. Other names that `__init__` does not take are a `TypeError`, as ever.
    """

    def decorate(init: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(init)
        def with_old(self: Any, *args: Any, **given: Any) -> None:
            old = {name: given.pop(name) for name in [*given] if name in moved}
            if old:
                new, name = _new(old, given, moved), type(self).__name__
                spelt = ", ".join(f"{key}={short(value)}" for key, value in new.items()) or "without"
                warn(f"{name}({', '.join(f'{key}=' for key in old)}) is now {name}({spelt}).", FutureWarning)
                given |= new
            init(self, *args, **given)

        with_old.formerly = tuple(moved)
        return with_old

    return decorate


def _new(old: Mapping[str, Any], given: Mapping[str, Any], moved: Mapping[str, Moved]) -> dict[str, Any]:
    """Returns the arguments that stand for those of an earlier version."""
    found: dict[str, Any] = {}
    for to in dict.fromkeys(moved[name].to for name in old if moved[name].to):
        names = [name for name in old if moved[name].to == to]
        if to in given:
            raise PruneError(f"Expected either {to}= or {', '.join(names)}=, of an earlier version. Received: both.")
        fields = {moved[name].field: old[name] for name in names if moved[name].field}
        said = [name for name in names if not moved[name].field and old[name] != moved[name].unsaid]
        alone = [name for name in names if moved[name].field and not moved[name].beside]
        if said and alone:
            raise PruneError(
                f"Expected {', '.join(alone)} beside {said[0]}={moved[said[0]].unsaid!r} only. "
                f"Received: {said[0]}={old[said[0]]!r}."
            )
        if said or fields:
            found[to] = _with_fields(old[said[0]], fields) if said else fields
    return found


def _with_fields(whole: Any, fields: dict[str, Any]) -> Any:
    if not fields:
        return whole
    if isinstance(whole, str | Mapping):
        return {**({"name": whole} if isinstance(whole, str) else whole), **fields}
    return replace(whole, **fields)
