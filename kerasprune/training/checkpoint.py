"""The state of a fit as a file: arrays and names, written whole, two copies kept, the last good one read."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasprune.files import replacing

_FORMAT = 2
_PATTERN = "state-*.npz"


@dataclass(frozen=True)
class SavedState:
    """Where a fit was at the beginning of an epoch, or within one.

    Args:
        epoch: The epoch that comes next, or goes on.
        step: Batches of it that were trained on.
        stopped: Whether a callback had stopped the fit.
        arrays: `{name: array}` of everything.
        about: Plain data beside: what the model and the callbacks were.
    """

    epoch: int
    step: int
    stopped: bool
    arrays: dict[str, np.ndarray]
    about: dict[str, Any]

    def save(self, folder: Path) -> Path:
        """Writes the state, then forgets all but the last two."""
        position = {"epoch": self.epoch, "step": self.step, "stopped": self.stopped}
        head = {"format": _FORMAT, **position, "about": self.about}
        text = np.frombuffer(json.dumps(head).encode(), np.uint8)
        known = states(folder)
        path = folder / f"state-{(_number(known[-1]) if known else 0) + 1:06d}.npz"
        with replacing(path) as temporary, temporary.open("wb") as file:
            # Names of weights may hold anything, names in the archive may not.
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
        """Reads a state; raises `ValueError` or `OSError` where the file is not whole."""
        try:
            with np.load(path, allow_pickle=False) as file:
                head = json.loads(file["head"].tobytes())
                names = json.loads(file["names"].tobytes())
                arrays = {name: file[f"a{index}"] for index, name in enumerate(names)}
        except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError) as error:
            raise ValueError(f"{path} is not whole: {error}") from error
        if head.get("format") != _FORMAT:
            raise ValueError(f"{path} has format {head.get('format')!r}, expected {_FORMAT}")
        return cls(head["epoch"], head["step"], head["stopped"], arrays, head["about"])


def last_good(folder: Path) -> tuple[SavedState | None, list[str]]:
    """Returns the newest state that can be read, and what was wrong with newer ones."""
    faults = []
    for path in reversed(states(folder)):
        try:
            return SavedState.load(path), faults
        except (ValueError, OSError) as error:
            faults.append(f"{path.name}: {error}")
    return None, faults


def states(folder: Path) -> list[Path]:
    """Returns the files of states in a folder, the oldest first."""
    found = [path for path in folder.glob(_PATTERN) if path.stem.removeprefix("state-").isdigit()]
    return sorted(found, key=_number)


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("state-"))
