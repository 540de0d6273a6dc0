"""Operators converted by themselves, several in a file, and timed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from kerasprune.errors import PruneError, warn
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


def operator_files(
    part: Sequence[Pair], alike: Mapping[str, Alike], precision: str
) -> Iterator[tuple[dict[str, Pair], bytes]]:
    """Yields files of operators, each with what stands under its signatures: one file if all convert.

    What a layer cannot have as widths is left out; an operator that cannot be built or converted alone with a warning.

    Args:
        part: Operators and widths.
        alike: The operators of every key.
        precision: As for `profile`.
    """
    pairs, models = {}, {}
    for number, (key, widths) in enumerate(part):
        name = f"operator_{number}"
        try:
            pairs[name], models[name] = (key, widths), alike[key].operator.built(widths)
        except Exception as error:  # noqa: BLE001  a width that a layer cannot have, or a layer of the user's
            _say_why((key, widths), alike, "built", error)
    waiting = [list(models)] if models else []
    while waiting:
        names = waiting.pop()
        try:
            content = parts_to_tflite({name: models[name] for name in names}, PRECISIONS[precision])
        except PruneError as error:  # one of them, found by halves
            half = len(names) // 2
            waiting += [names[half:], names[:half]] if half else []
            if not half:
                _say_why(pairs[names[0]], alike, "converted", error)
        else:
            yield {name: pairs[name] for name in names}, content


def times_alone(part: Sequence[Pair], alike: Mapping[str, Alike], precision: str, threads: int) -> dict[Pair, float]:
    """Returns the milliseconds of operators, which are written to one file; those that do not convert are left out.

    Args:
        part: Operators and widths.
        alike: The operators of every key.
        precision: As for `profile`.
        threads: Threads of the interpreter.
    """
    runs: dict[Pair, list[float]] = {}
    for pairs, content in operator_files(part, alike, precision):
        with tempfile.TemporaryDirectory() as folder:
            (path := Path(folder) / "operators.tflite").write_bytes(content)
            interpreter = open_interpreter(path, threads=threads)
            timers = {pair: signature_timer(interpreter, name) for name, pair in pairs.items()}
            passes = [{pair: _runs(timed) for pair, timed in timers.items()} for _ in range(_PASSES)]
        runs |= {pair: sum((each[pair] for each in passes), []) for pair in timers}
    return {pair: float(np.percentile(each, UNDISTURBED)) for pair, each in runs.items()}


def _say_why(pair: Pair, alike: Mapping[str, Alike], what: str, error: Exception) -> None:
    """Warns of an operator that is not timed, at its full width."""
    key, widths = pair
    if widths == alike[key].most:
        warn(f"Not timed: {alike[key].operator.label}, which cannot be {what} alone: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    """Returns the first line of an error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _runs(timed: Callable[[], float]) -> list[float]:
    """Returns the milliseconds of the runs of one operator in one pass."""
    once = [timed() for _ in range(WARM)][-1]
    return [timed() for _ in range(int(np.clip(_MOST_SECONDS * 1e3 / max(once, 1e-3), 1, _RUNS)))]
