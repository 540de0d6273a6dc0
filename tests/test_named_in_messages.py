"""What messages tell users to write exists: functions, options of commands, arguments."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasprune as kp

ROOT = Path(kp.__file__).parent
FUNCTION = re.compile(r"(?<![\w.@/])(kp|keras)((?:\.[A-Za-z_]\w*)+)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
ARGUMENT = re.compile(r"(?<![\w.\[\]'\"=])([a-z][a-z_]*)=(?=[\w'\"(\[{…<-])")
REMEDY = re.compile(
    r"(?:^|[.:;,]\s|\bor |\band |: )(?:[Gg]ive|[Uu]se|[Ll]eave|[Ww]rite|[Tt]ake|[Ss]et|[Tt]ry|[Pp]ass|[Cc]all)\b"
)


@cache
def texts() -> list[tuple[str, str]]:
    """Returns those of `_texts`."""
    return [*_texts()]


def _texts() -> Iterator[tuple[str, str]]:
    """Yields `(place, text)` of every string that is no docstring; of f-strings with `{}` for what is filled in."""
    for path in sorted(each for each in ROOT.rglob("*.py") if each.name != "phone.py"):  # commands of another program
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            place = f"{path.relative_to(ROOT.parent)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.JoinedStr):
                yield place, "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | inside:
                yield place, node.value


def _resolved(root: str, path: str) -> bool:
    found = kp if root == "kp" else keras
    for name in path.split(".")[1:]:
        if not hasattr(found, name):
            return False
        found = getattr(found, name)
    return True


def test_functions_in_messages_exist():
    named = [(place, *match) for place, text in texts() if " " in text for match in FUNCTION.findall(text)]
    missing = [(place, root + path) for place, root, path in named if not _resolved(root, path)]
    assert len(named) > 40 and not missing, missing


@pytest.mark.experiments
def test_options_in_messages_exist():
    from typer.main import get_command

    from kerasprune.cli.application import app

    options = [each for command in get_command(app).commands.values() for each in command.whole.params]
    known = {name for option in options for name in [*option.opts, *option.secondary_opts]}
    known |= {"--force-reinstall", "--no-deps", "--help", "--version"}  # of pip, and of the program
    named = [(place, option) for place, text in texts() if " " in text for option in OPTION.findall(text)]
    missing = [(place, option) for place, option in named if option not in known]
    assert len(named) > 50 and not missing, missing


def _parameters() -> set[str]:
    """Returns the names of the parameters of all functions and classes of the package, Keras's calls and NumPy's."""
    found: set[str] = set()
    of_others = [keras.Model.fit, keras.Model.compile, keras.Model.evaluate, keras.saving.load_model, np.savez, np.load]
    for info in pkgutil.walk_packages(kp.__path__, "kerasprune."):
        if "child" in info.name or info.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(info.name)
        except ImportError:  # of an extra, or of another backend
            continue
        kinds = [each for each in vars(module).values() if inspect.isclass(each) or inspect.isfunction(each)]
        methods = [each for kind in kinds if inspect.isclass(kind) for each in vars(kind).values() if callable(each)]
        of_others += [*kinds, *methods]
    for each in of_others:
        try:
            found |= set(inspect.signature(each).parameters)
        except (ValueError, TypeError):
            continue
    return found


def test_arguments_in_remedies_exist():
    named = [
        (place, argument)
        for place, text in texts()
        if REMEDY.search(text)
        for argument in ARGUMENT.findall(text[REMEDY.search(text).start() :])
    ]
    known = _parameters() | {"reshuffle_each_iteration", "save_weights_only"}  # of tf.data, of ModelCheckpoint
    missing = [(place, argument) for place, argument in named if argument not in known]
    assert len(named) > 30 and not missing, missing
