"""Operators converted by themselves, several in a file, and timed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from kerasprune.errors import warn
from kerasprune.export.conversion import parts_to_tflite
from kerasprune.export.latency.operators import Alike, Widths
from kerasprune.export.latency.table import PRECISIONS
from kerasprune.export.latency.whole_networks import UNDISTURBED, WARM
from kerasprune.export.tflite_interpreter import open_interpreter, signature_timer

IN_A_FILE = 48  # operators: a conversion takes half a second, and a tenth more for each
_PASSES = 3  # over the operators of a file: other work on the machine outlasts the runs of one
_RUNS, _MOST_SECONDS = 7, 0.02  # of one operator in a pass

Pair = tuple[str, Widths]
"""The key of an operator, and its widths."""


def build_operators(part: Sequence[Pair], alike: Mapping[str, Alike]) -> dict[str, keras.Model]:
    """Returns models of operators by the names of their signatures, `operator_0`, …: the place in `part`.

    Args:
        part: Operators and widths; those that a layer cannot have are left out.
        alike: The operators of every key.
    """
    models = {}
    for number, (key, widths) in enumerate(part):
        try:
            models[f"operator_{number}"] = alike[key].operator.built(widths)
        except Exception as error:  # noqa: BLE001  a width that a layer cannot have, or a layer of the user's
            if widths == alike[key].most:
                warn(f"Not timed: {alike[key].operator.label}, which cannot be built alone: {_first_line(error)}")
    return models


def times_alone(part: Sequence[Pair], alike: Mapping[str, Alike], precision: str, threads: int) -> dict[Pair, float]:
    """Returns the milliseconds of operators, which are written to one file.

    Args:
        part: Operators and widths.
        alike: The operators of every key.
        precision: As for `profile`.
        threads: Threads of the interpreter.
    """
    models = build_operators(part, alike)
    if not models:
        return {}
    content = parts_to_tflite(models, PRECISIONS[precision])
    with tempfile.TemporaryDirectory() as folder:
        (path := Path(folder) / "operators.tflite").write_bytes(content)
        interpreter = open_interpreter(path, threads=threads)
        timers = {part[place_of(name)]: signature_timer(interpreter, name) for name in models}
        passes = [{pair: _runs(timed) for pair, timed in timers.items()} for _ in range(_PASSES)]
    return {pair: float(np.percentile(sum((each[pair] for each in passes), []), UNDISTURBED)) for pair in timers}


def place_of(name: str) -> int:
    """Returns the place of an operator, which is read from the name of its signature."""
    return int(name.rpartition("_")[2])


def _first_line(error: Exception) -> str:
    """Returns the first line of an error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _runs(timed: Callable[[], float]) -> list[float]:
    """Returns the milliseconds of the runs of one operator in one pass."""
    once = [timed() for _ in range(WARM)][-1]
    return [timed() for _ in range(int(np.clip(_MOST_SECONDS * 1e3 / max(once, 1e-3), 1, _RUNS)))]
