"""The state of a fit as a file: written atomically, the last two kept, the newest readable one loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kerasprune.checks import whole_number_faults
from kerasprune.errors import PruneError, short
from kerasprune.files import parse_json, replace_when_done
from kerasprune.files.arrays import read_arrays

_FORMAT = 2
_PATTERN = re.compile(r"state-([0-9]{1,18})\.npz")
_MOST = 10**15  # epochs and steps: what a variable of the data set holds


@dataclass(frozen=True)
class SavedState:
    """The state of a fit at the beginning of an epoch, or within one.

    Args:
        epoch: The next epoch, or the present one.
        step: Number of its batches trained on.
        stopped: Whether a callback had stopped the fit.
        arrays: `{name: array}`.
        about: Plain data that describe the model and the callbacks.
    """

    epoch: int
    step: int
    stopped: bool
    arrays: dict[str, np.ndarray]
    about: dict[str, Any]

    def save(self, folder: Path) -> Path:
        """Writes the state, then deletes all but the last two."""
        head = {"format": _FORMAT, **{name: each for name, each in vars(self).items() if name != "arrays"}}
        text = np.frombuffer(json.dumps(head).encode(), np.uint8)
        known = states(folder)
        path = folder / f"state-{(_number(known[-1]) if known else 0) + 1:06d}.npz"
        with replace_when_done(path) as temporary, temporary.open("wb") as file:
            # Names of weights are not restricted, names in the archive are.
            numbered = {f"a{index}": array for index, array in enumerate(self.arrays.values())}
            names = np.frombuffer(json.dumps(list(self.arrays)).encode(), np.uint8)
            np.savez(file, head=text, names=names, **numbered)
            file.flush()
        for old in known[:-1]:
            if old.is_file():
                old.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: Path) -> SavedState:
        """Reads a state.

        Raises:
            PruneError: The file is not whole, or is not the state of a fit.
        """
        arrays = read_arrays(path, "the state of a fit")
        head, names = _plain(arrays, "head", path), _plain(arrays, "names", path)
        faults = _faults(head, names, arrays)
        if faults:
            raise PruneError(f"Expected the state of a fit. Received: {path.name}: {'; '.join(faults[:5])}.")
        named = {name: arrays[f"a{index}"] for index, name in enumerate(names)}
        return cls(head["epoch"], head["step"], head["stopped"], named, head["about"])


def last_good(folder: Path) -> tuple[SavedState | None, list[str]]:
    """Returns the newest readable state, and the faults of newer ones."""
    faults = []
    for path in reversed(states(folder)):
        try:
            return SavedState.load(path), faults
        except PruneError as error:
            faults.append(f"{path.name}: {error}")
    return None, faults


def states(folder: Path) -> list[Path]:
    """Returns the files of states in a folder, the oldest first."""
    return sorted((path for path in folder.glob("state-*.npz") if _PATTERN.fullmatch(path.name)), key=_number)


def _plain(arrays: dict[str, np.ndarray], name: str, path: Path) -> Any:
    text = arrays.get(name)
    if text is None or text.dtype != np.uint8:
        raise PruneError(f"Expected the state of a fit. Received: {path.name}, which lacks {name!r}.")
    try:
        return parse_json(text.tobytes().decode(), path.name, f"JSON in {name!r}")
    except UnicodeDecodeError as error:
        raise PruneError(
            f"Expected the state of a fit. Received: {path.name}, {name!r} of which is not text."
        ) from error


def _faults(head: Any, names: Any, arrays: dict[str, np.ndarray]) -> list[str]:
    """Returns the faults of the head and the names of a state."""
    if not isinstance(head, dict) or head.get("format") != _FORMAT:
        found = short(head.get("format") if isinstance(head, dict) else head)
        return [f"it has format {found}, expected {_FORMAT}"]
    faults = whole_number_faults(0, **{k: head.get(k) for k in ("epoch", "step")})
    faults = [fault[0].lower() + fault[1:].rstrip(".") for fault in faults]
    faults += [f"{k} is beyond {_MOST:,}" for k in ("epoch", "step") if not faults and head[k] > _MOST]
    if not isinstance(head.get("stopped"), bool):
        faults.append(f"stopped is {short(head.get('stopped'))}, expected true or false")
    about = head.get("about")
    if isinstance(about, dict):
        wrong = {name: what for name, (fits, what) in _ABOUT.items() if name not in about or not fits(about[name])}
        faults += [f"about.{name} is {short(about.get(name))}, expected {what}" for name, what in wrong.items()]
    else:
        faults.append(f"about is {short(about)}, expected keys and values")
    if not _list_of(_is_text, names):
        faults.append(f"names is {short(names)}, expected a list of texts")
    elif len(set(names)) < len(names):
        faults.append("an array stands twice")
    elif any(f"a{index}" not in arrays for index in range(len(names))):
        faults.append(f"expected {len(names)} arrays, found {len(arrays) - 2}")
    return faults


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _list_of(fits: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, list) and all(map(fits, value))


def _dict_of(fits: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, dict) and all(map(fits, value.values()))


_shape = partial(_list_of, _is_whole)
_numbers = partial(_list_of, lambda value: isinstance(value, int | float))


def _named_shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _is_text(value[0]) and _shape(value[1])


def _optimizer(value: Any) -> bool:
    return isinstance(value, list) and _is_text(next(iter(value), None)) and _list_of(_shape, value[1:])


def _history(value: Any) -> bool:
    return isinstance(value, dict) and _numbers(value.get("epoch")) and _dict_of(_numbers, value.get("logs"))


_ABOUT: dict[str, tuple[Callable[[Any], bool], str]] = {
    "layers": (partial(_list_of, _is_text), "a list of texts"),
    "variables": (partial(_list_of, _named_shape), "a list of names and shapes"),
    "optimizer": (_optimizer, "a name and shapes"),
    "callbacks": (partial(_list_of, _is_text), "a list of texts"),
    "settings": (partial(_dict_of, lambda value: isinstance(value, dict)), "keys and values by callback"),
    "positions": (partial(_dict_of, lambda one: _is_whole(one) and one <= _MOST), "the epoch of every data set"),
    "reads": (lambda value: value is None or _list_of(_is_text, value), "null, or a list of texts"),
    "history": (_history, "epochs, and numbers by the name of a log"),
}
"""`{name: (test of a value, expected value)}`."""


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("state-"))
