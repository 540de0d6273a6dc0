"""The words of messages on the command line: keys of a recipe and arguments of Python become options."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kerasprune.registry import additions_of_papers

TARGETS = ("keep", "macs", "params")
SELECTION = ("criterion", "budget", "coupling", "freeze", "unknown")
ROUNDING = ("round_to", "min_keep")
ALLOWED = ("by", "table", "precision", "metric", "drop_type", "confidence", "trials")
"""Keys of what is allowed to be lost that are options, too."""

# The names of keys of a recipe, and of arguments, on the command line.
OPTIONS = {
    "model.start": "MODEL",
    "model.size": "--size",
    "prune.plan.target": "--time",
    "data": "--data",
    "data.name": "--data",
    "data.size": "--size",
    "size": "--size",
    **dict.fromkeys(("fraction", "ms"), "--time"),
    "overwrite": "--overwrite",
    "folder": "--out",
    **{f"data.{name}": f"--{name}" for name in ("scale", "batch", "validation", "test")},
    **{f"prune.plan.{name}": f"--{name.replace('_', '-')}" for name in (*TARGETS, *SELECTION, *ROUNDING)},
    **{f"prune.max_drop.{name}": f"--{name.replace('_', '-')}" for name in (*ALLOWED, *SELECTION, *ROUNDING)},
    "prune.max_drop.value": "--max-drop",
    "finetune": "--finetune-epochs",
    "finetune.epochs": "--finetune-epochs",
    "finetune.optimizer": "--optimizer",
    "finetune.optimizer.learning_rate.start": "--learning-rate",
    "finetune.distil": "--distil",
    "finetune.deliver": "--deliver",
    "reconstruct.samples": "--samples",
    **{name: f"--{name}" for name in ("reconstruct", "seed", "loss", "export", "calibrate", "examples")},
    **{f"{key}.{name}": f"--{name}" for key, names in additions_of_papers("options").items() for name in names},
}

_QUOTED = r"[\w.]+\([^()\s][^()]*\)|`[^`]*`"  # calls of Python, which stay
_NAMED = r"(?<![\w-])(?P<name>\w+)=(?P<value>'[^']*'|-?[\w.]*\w|)"
_BARE = r"(?<=Expected )(?P<wanted>\w+)(?= to be | to name )|(?<![\w/'.-])(?P<long>[a-z]+_[a-z_]+)(?![\w=(/']|\.\w)"
_ARGUMENT = re.compile(f"{_QUOTED}|{_NAMED}|{_BARE}")


def word_of(command: Any) -> Callable[[str], str | None]:
    """Returns a function from a key of a recipe to the option of a command, or to `None` if it has none.

    Args:
        command: The command, with its parameters.
    """
    own = {name for parameter in command.params for name in (*parameter.opts, parameter.metavar)}

    def word(path: str) -> str | None:
        key, _, last = path.rpartition(".")
        found = OPTIONS.get(key if last.isdecimal() else path)  # of one of several values
        return found if found in own else None

    return word


def in_options(text: str, command: Any) -> str:
    """Returns a message with the options of a command in place of arguments of Python: `--data` for `data=`.

    Args:
        text: The message.
        command: The command, with its parameters.
    """
    known = {name: getattr(each, "is_flag", False) for each in command.params for name in each.opts}
    keyed = word_of(command)

    def spelled(found: re.Match[str]) -> str:
        name = found["name"] or found["wanted"] or found["long"]
        typed = name and f"--{name.replace('_', '-')}"
        option = typed if typed in known else name and keyed(name)
        if not option or option not in known:
            return found[0]
        value = found["value"]
        if known[option] and value not in (None, "", "True"):  # a flag takes none
            return found[0]
        if value == "None":
            return f"no {option}"
        return f"{option} {value.strip(chr(39))}" if value and value != "True" else option

    return _ARGUMENT.sub(spelled, text)
