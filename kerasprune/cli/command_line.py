"""The command line of the present call, written out again with other options."""

from __future__ import annotations

import shlex
from typing import Any

import typer


def command_line(context: typer.Context, **changed: Any) -> str:
    """Returns the command that a user has typed, as it would be typed with some options changed.

    Args:
        context: Of the present call.
        changed: New values by the name of the parameter; `None` leaves an option out.

    Returns:
        `kerasprune <command> <arguments> <options>`, quoted for a shell.
    """
    words, values = ["kerasprune", context.info_name], {**context.params, **changed}
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name)
        typed = source is not None and source.name == "COMMANDLINE"
        value = values.get(parameter.name)
        if value is None or not (typed or parameter.name in changed):
            continue
        if parameter.param_type_name == "argument":
            words += _texts(value)
        elif isinstance(value, bool):
            words += (parameter.opts if value else parameter.secondary_opts)[:1]
        else:
            words += [word for text in _texts(value) for word in (parameter.opts[0], text)]
    return shlex.join(words)


def _texts(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]
