"""How much is kept: channels, multiply–adds, parameters, a time or a size, as options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import typer

from kerasprune.cli.options import TARGETS, check_needed, options_given
from kerasprune.errors import PruneError, given_values

_TIME = re.compile(r"([0-9.]+)(ms)?", re.ASCII)
_BYTES = re.compile(r"([0-9.]+)(B|kB|MB)?", re.ASCII)
_UNITS = {None: 1, "B": 1, "kB": 1000, "MB": 1_000_000}


def target_of(context: typer.Context, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how much is kept, as keys of the section `prune.plan`.

    Args:
        context: The command.
        options: Its options, among them those of `MEASURED`, and some of `TARGETS`.

    Raises:
        PruneError: Not exactly one option says it, or one has no use.
    """
    check_needed(context, time=("table",) if options["bytes"] else ("table", "precision"))
    known = [name for name in (*TARGETS, "time", "bytes") if name in options]
    found = options_given(options, *known)
    if len(found) != 1:
        received = " and ".join(f"--{name} {value}" for name, value in found.items()) or "none of them"
        *names, last = (f"--{name}" for name in known)
        raise PruneError(f"Expected how much is kept: one of {', '.join(names)} and {last}. Received: {received}.")
    return options_given(options, *TARGETS) | given_values(target=target_section(options))


def target_section(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the section `target` of a plan; `None` without `--time` and `--bytes`.

    Args:
        options: Those of `MEASURED`.

    Example:
        >>> target_section({"time": None, "table": None, "bytes": "200kB", "precision": "int8"})
        {'name': 'size', 'bytes': 200000, 'precision': 'int8'}
    """
    if options["time"] is not None:
        number, unit = _number("--time", options["time"], _TIME, "a fraction or milliseconds, such as 0.5 or 12ms")
        table = options["table"] and str(options["table"].resolve())
        section = {"name": "time", "ms" if unit else "fraction": number, **given_values(table=table)}
    elif options["bytes"] is not None:
        number, unit = _number("--bytes", options["bytes"], _BYTES, "a size, such as 200kB, 1.5MB or 200000")
        section = {"name": "size", "bytes": round(number * _UNITS[unit])}
    else:
        return None
    return section | options_given(options, "precision")


def _number(option: str, text: str, pattern: re.Pattern[str], expected: str) -> tuple[float, str | None]:
    """Returns the number and the unit of an option's value."""
    found = pattern.fullmatch(text.replace(" ", ""))
    try:
        return float(found[1]), found[2]
    except (TypeError, ValueError) as error:
        raise PruneError(f"Expected {option} as {expected}. Received: {option} {text}.") from error
