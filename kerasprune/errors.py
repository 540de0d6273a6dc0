"""The exception `PruneError`, warnings, and the common form of messages."""

from __future__ import annotations

import difflib
import os
import re
import reprlib
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

EXTRAS = {
    "tensorflow": "tensorflow",
    "ai_edge_litert": "export",
    "litert_quantizer": "quantize",
    **dict.fromkeys(
        ("tensorflow_datasets", "importlib_resources", "sklearn", "matplotlib", "jinja2", "PIL"), "recipes"
    ),
    **dict.fromkeys(("yaml", "pydantic", "pydantic_core", "typer", "rich"), "recipes"),
    **dict.fromkeys((f"kerasprune.{room}" for room in ("models", "recipes", "analysis", "cli")), "recipes"),
    "keras_hub": "hub",
    "ray": "ray",
    "pygraphviz": "plot",
    "pycocotools": "detect",
}
"""`{module: the extra of kerasprune that installs it}`."""


@dataclass(frozen=True)
class Key:
    """A setting named in a message, which each reader may know by another name.

    Args:
        path: Its key in a recipe, e.g. `"prune.plan.macs"`, or the name of an argument.
        text: Its name in a recipe. Defaults to `None`: its path.
    """

    path: str
    text: str | None = None

    def __str__(self) -> str:
        return self.path if self.text is None else self.text

    def spelled(self, word: Callable[[str], str | None]) -> str:
        """Returns its name for a reader; see `PruneError.spelled`."""
        return word(self.path) or str(self)


@dataclass(frozen=True)
class Given(Key):
    """The value of a setting: `1.5` in a recipe, `--keep 1.5` on the command line."""

    value: Any = None

    def __str__(self) -> str:
        return short(self.value)

    def spelled(self, word: Callable[[str], str | None]) -> str:
        """Returns the value, after the reader's name for the setting, if any."""
        name = word(self.path)
        typed = f"{self.value:g}" if isinstance(self.value, float) else self.value
        return str(self) if name is None else f"{name} {typed}"


class PruneError(ValueError):
    """The error of kerasprune: what was expected, what was received, and the remedy.

    Args:
        *parts: The parts of the message: texts, and settings as `Key`s.

    Example:
        >>> import kerasprune as kp
        >>> try:
        ...     kp.Plan(keep={"hidden": []})
        ... except kp.PruneError as error:
        ...     isinstance(error, ValueError)
        True
    """

    faults: tuple[str, ...] = ()
    """The faults that it lists; empty if there is only one."""

    def __str__(self) -> str:
        return "".join(map(str, self.args))

    def spelled(self, word: Callable[[str], str | None]) -> str:
        """Returns the message for a reader with other names for some settings.

        Args:
            word: Returns the name for the path of a setting, or `None`.

        Example:
            >>> error = PruneError("Expected ", Key("data.name"), " with it.")
            >>> str(error), error.spelled({"data.name": "--data"}.get)
            ('Expected data.name with it.', 'Expected --data with it.')
        """
        return "".join(part.spelled(word) if isinstance(part, Key) else str(part) for part in self.args)


_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
_INSTALLED = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), f"{Path(__file__).parent}{os.sep}", "<")


def is_own(file: str) -> bool:
    """Returns whether a file of a traceback is the user's: not Python's, installed, of this package or of AutoGraph.

    Example:
        >>> import json
        >>> is_own("/home/me/tensorflow/train.py"), is_own(json.__file__)
        (True, False)
    """
    return not file.startswith(_INSTALLED) and "__autograph_generated_file" not in file


def in_own_code(error: BaseException) -> str | None:
    """Returns an error and its place in the user's code, the last of its frames; `None` if it has none.

    Args:
        error: The error, or one of TensorFlow's whose message holds the traceback of a generator.

    Example:
        >>> in_own_code(KeyError("x")) is None
        True
    """
    message = str(error)
    inner = "Traceback (most recent call last)" in message
    text = message if inner else "".join(traceback.format_tb(error.__traceback__))
    frames = [frame for frame in _FRAME.findall(text) if is_own(frame[0])]
    if not frames:
        return None
    file, line, function = frames[-1]
    own = f"{type(error).__name__}: {reason_of(message)}"
    raised = message.partition("\n")[0].rpartition("}} ")[2] if inner else own
    return f"{raised}, in {function} of {short(file)}, line {line}"


_MARKS = re.compile(r"\x1b\[\d*m")
_WRAPPED = "Exception encountered: "  # with which Keras ends a message on a layer that it could not read


_LONGEST = 300


def reason_of(message: str) -> str:
    """Returns why another library's error was raised: its first paragraph, and the next after Keras's heading.

    Keras and TensorFlow end their messages with the arguments of a call, or with the last line of some source code.

    Example:
        >>> reason_of("Exception encountered when calling Shift.call().\\n\\nNo such axis: 3\\n\\nArguments: …")
        'Exception encountered when calling Shift.call(). No such axis: 3'
    """
    message = message.rpartition(_WRAPPED)[2]
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n", _MARKS.sub("", message)) if part.strip()]
    parts = [part for part in parts if not part.startswith(("in user code:", "File "))]  # a traceback comes first
    count = 2 if parts and "Exception encountered" in parts[0] else 1
    reason = " ".join(parts[:count]) or "nothing"
    if len(reason) <= _LONGEST:
        return reason
    sentences, end, rest = reason[:_LONGEST].rpartition(". ")
    return f"{sentences}." if end else f"{rest.rpartition(' ')[0] or rest} …"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxdict = 8
_SHORT.maxlong = 60
_MOST_FAULTS = 40


def short(value: Any) -> str:
    """Returns `repr(value)`, shortened if it is long or deep; NumPy scalars are written as Python numbers."""
    try:
        return _SHORT.repr(value.item() if is_of_numpy(value) else value)
    except Exception:  # an object of the caller's, or a number too long to be written
        return f"<{type(value).__name__}>"


def is_of_numpy(value: Any) -> bool:
    """Returns whether a value is a NumPy scalar or an array of one number."""
    return type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0


def first_of(names: Collection[str]) -> str:
    """Returns the first five names for a message, with an ellipsis for more."""
    return ", ".join([*names][:5]) + ("…" if len(names) > 5 else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns ` Did you mean 'x'?` for the known name closest to `name`, or an empty string."""
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def raise_faults(title: str, faults: Sequence[str | PruneError]) -> None:
    """Raises one `PruneError` that lists all faults, at most forty; does nothing without faults."""
    if faults:
        more = len(faults) - _MOST_FAULTS
        last = [f"and {more} more"] if more > 0 else []
        error = PruneError(*join_messages("\n  - ", [title, *faults[:_MOST_FAULTS], *last]))
        error.faults = tuple(faults)
        raise error


def join_messages(between: str, faults: Iterable[str | PruneError]) -> list[Any]:
    """Returns the parts of several messages as one, separated by a text."""
    parts = [(between, *(each.args if isinstance(each, PruneError) else (each,))) for each in faults]
    return [part for each in parts for part in each][1:]


def make_or_note(faults: list[str], make: Callable[..., Any], *arguments: Any) -> Any:
    """Calls `make(*arguments)`; on `PruneError` appends the message to `faults` and returns `None`."""
    try:
        return make(*arguments)
    except PruneError as error:
        faults.append(str(error).replace("\n", " "))
        return None


_BETWEEN = ("kerasprune", "keras", "contextlib", "functools")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warns at the user's line of code: the innermost frame outside of kerasprune and Keras.

    Args:
        message: The message.
        category: The class of the warning. Defaults to `UserWarning`.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def check_installed(*modules: str) -> None:
    """Raises `ModuleNotFoundError`, which `extras` explains, if a module is missing; none is imported.

    Those come first whose extra installs the others.
    """
    for name in modules:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@contextmanager
def extras(what: str) -> Iterator[None]:
    """Raises `PruneError` with the extra to install if a module of one is missing; also a decorator.

    Args:
        what: The function in use, e.g. `"kp.export.tflite"`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        named = error.name or ""
        module = named if named in EXTRAS else named.split(".")[0]
        if module not in EXTRAS:
            raise
        raise PruneError(
            f"Expected the module {module!r} for {what}. Received: an environment without it. "
            f'Install it with pip install "kerasprune[{EXTRAS[module]}]".'
        ) from error
