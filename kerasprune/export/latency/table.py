"""The latency table of a device: times of operators over their widths, as a file and as predictions."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasprune.checks import choice_faults, whole_number_faults
from kerasprune.errors import PruneError, raise_faults
from kerasprune.export.latency.staircase import Staircase, Widths
from kerasprune.files.reading import read_text
from kerasprune.files.writing import write_text

if TYPE_CHECKING:
    import keras

    from kerasprune.export.latency.operators import Operator
    from kerasprune.graph.channels import Count
    from kerasprune.graph.graph import ChannelGraph
    from kerasprune.graph.plans import Plan
    from kerasprune.graph.sizes import Size

PRECISIONS = {
    "float32": None,
    "float16": "float16",
    "dynamic": "dynamic",
    "int4": "int4",
    "int8": "int8",
    "int16x8": "int16x8",
}
"""Precisions of tables, and what `kp.export.tflite` calls them."""
PHONE = "benchmark_model"
"""The runtime of tables that were measured on a phone."""
_COLUMNS = ("operator", "reads", "makes", "milliseconds", "label")
_HEAD = ("precision", "threads", "machine", "runtime", "calibration")
_DIGITS = "{:.6g}"  # of milliseconds, so that a file holds the table as it is
_MOST = 10**9  # of widths and milliseconds

Times = Mapping[str, Mapping[Widths, float]]
"""Milliseconds of each operator, `{key: {(channels read, channels made): time}}`."""


@dataclass(frozen=True)
class LatencyTable:
    """The times of operators on one device, from which the time of a plan is predicted.

    `t = f(Σ over operators of t(channels read, channels made))`, f the lines between whole networks that were measured.

    Args:
        times: Milliseconds of each operator, by the channels read and made.
        labels: A description of each operator.
        precision: Precision of the file: `"float32"`, `"int8"`, …
        threads: Threads of the interpreter.
        machine: The device.
        runtime: The runtime and its version.
        calibration: Whole networks, `(sum over operators, milliseconds)`, both rising. Defaults to none: f is the sum.
    """

    times: Times = field(repr=False)
    labels: Mapping[str, str] = field(repr=False)
    precision: str
    threads: int
    machine: str
    runtime: str
    calibration: tuple[tuple[float, float], ...] = ()

    def predict(
        self, model: keras.Model | ChannelGraph, plan: Plan | None = None, *, size: Size | None = None
    ) -> float:
        """Returns the milliseconds of a model, or of the slim model that a plan gives.

        Args:
            model: The model, or its graph.
            plan: The plan. Defaults to `None`: the model as it is.
            size: Size of the inputs, see `kp.trace`, if it is free. Defaults to the plan's, else the model's.

        Raises:
            PruneError: The table lacks an operator, or a width is larger than those measured.
        """
        from kerasprune.export.latency.operators import operators  # a table is read and checked without Keras
        from kerasprune.graph.plans import Plan
        from kerasprune.surgery.costs.counts import counter
        from kerasprune.surgery.cut import Cut
        from kerasprune.surgery.graphs import graph_at

        graph = graph_at(model, plan, size)
        cut = Cut.of(graph, plan or Plan({}, coupling=graph.coupling))
        return self.of_operators(operators(cut.graph), counter(cut.alive))

    def of_operators(self, found: list[Operator], count: Count) -> float:
        """Returns the milliseconds of a model's operators.

        Args:
            found: The operators.
            count: Number of channels kept of an array of ids.

        Raises:
            PruneError: As for `predict`.
        """
        lacking = list(dict.fromkeys(each.label for each in found if each.key not in self.times))
        if lacking:
            how = f"precision={self.precision!r}, threads={self.threads})"
            call = f"profile_phone(model, folder, machine={self.machine!r}, {how}" if self.runtime == PHONE else None
            raise PruneError(
                f"Expected a table of this model's operators at this size. Received: a table without "
                f"{len(lacking)} of them, such as {lacking[0]}, of {self.machine}. Measure them on that device: "
                f"kp.latency.{call or f'profile(model, {how}'}."
            )
        return self._of_network(sum(self.time(each.key, each.widths(count)) for each in found))

    def _of_network(self, total: float) -> float:
        """Returns the milliseconds of a network whose operators, timed one by one, take `total`.

        In a network the weights of some come from slower memory and all are started in one go, more or less by size.
        """
        if not self.calibration:
            return total
        sums, times = zip(*self.calibration, strict=True)
        least = times[0] / sums[0] * total
        if total < sums[0] and len(sums) > 1:
            return max(least, times[0] + (times[1] - times[0]) / (sums[1] - sums[0]) * (total - sums[0]))
        return least if total < sums[0] else float(np.interp(total, sums, times)) * max(1.0, total / sums[-1])

    def time(self, key: str, widths: Widths) -> float:
        """Returns the milliseconds of one operator.

        Raises:
            PruneError: A width is larger than those measured.
        """
        known = self._known
        if (key, widths) not in known:
            stairs = self._stairs[key]
            if any(asked > most for asked, most in zip(widths, stairs.most, strict=True)):
                raise PruneError(
                    f"Expected at most {stairs.most} channels read and made, the largest widths measured of "
                    f"{self.labels.get(key, key)}. Received: {widths}. Measure the wider model with kp.latency.profile."
                )
            known[key, widths] = stairs.time(widths)
        return known[key, widths]

    @cached_property
    def _known(self) -> dict[tuple[str, Widths], float]:
        return {}

    @cached_property
    def _stairs(self) -> dict[str, Staircase]:
        return {key: Staircase(times) for key, times in self.times.items()}

    def changed(self, **arguments: Any) -> LatencyTable:
        """Returns the table with other arguments."""
        return replace(self, **arguments)

    def with_times(self, times: Mapping[tuple[str, Widths], float], labels: Mapping[str, str]) -> LatencyTable:
        """Returns the table with more times.

        Args:
            times: `{(key, widths): milliseconds}`.
            labels: A description of each key.
        """
        joined = {key: dict(each) for key, each in self.times.items()}
        for (key, widths), time in times.items():
            joined.setdefault(key, {})[widths] = float(_DIGITS.format(time))
        return replace(self, times=joined, labels={key: labels.get(key, self.labels.get(key, "")) for key in joined})

    def check_same(self, other: LatencyTable, path: Path | str) -> LatencyTable:
        """Returns the table; raises a `PruneError` if another one was measured in a different way.

        Args:
            other: The other table.
            path: The file of this one.
        """
        names = ("precision", "threads", "machine", "runtime")
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        faults = [
            f"Expected {name} {now!r}. Received: {name} {before!r} in {str(path)!r}. Take another file."
            for name, (before, now) in pairs.items()
            if before != now
        ]
        raise_faults("The table cannot be continued:", faults)
        return self

    def save(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Writes the table as CSV, with a first line that says how it was measured.

        Args:
            path: A `.csv` file.
            overwrite: Replace an existing file. Defaults to `False`.

        Returns:
            The path.

        Raises:
            PruneError: The file exists, or the name does not end in `.csv`.
        """
        path = Path(path)
        faults = name_faults(path)
        if path.exists() and not overwrite:
            faults.append(f"Expected a new file. Received: path={str(path)!r}, which exists. Pass overwrite=True.")
        raise_faults("The table cannot be saved:", faults)
        text = io.StringIO()
        text.write("# " + json.dumps({name: getattr(self, name) for name in _HEAD}) + "\n")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for key, times in self.times.items():
            for (reads, makes), time in sorted(times.items()):
                writer.writerow([key, reads, makes, _DIGITS.format(time), self.labels.get(key, "")])
        return write_text(path, text.getvalue())

    @classmethod
    def load(cls, path: Path | str) -> LatencyTable:
        """Returns the table of a file.

        Args:
            path: A file that `save` wrote.

        Raises:
            PruneError: The file is missing or damaged.
        """
        try:
            return cls._parsed(read_text(path, "a latency table"))
        except PruneError:
            raise
        except Exception as error:  # noqa: BLE001  JSON, CSV and numbers each raise their own
            reason = f"{type(error).__name__}: {error}"
            raise PruneError(
                f"Expected a latency table that LatencyTable.save wrote. Received: path={str(path)!r}, which is "
                f"damaged: {reason[:200]}. Measure it again with kp.latency.profile."
            ) from error

    @classmethod
    def _parsed(cls, text: str) -> LatencyTable:
        first, _, rest = text.partition("\n")
        head = json.loads(first.removeprefix("# "))
        if not isinstance(head, dict) or set(head) != set(_HEAD):
            raise ValueError(f"the first line names {head!r:.80}")
        if head["precision"] not in PRECISIONS or type(head["threads"]) is not int or head["threads"] < 1:
            raise ValueError(f"precision {head['precision']!r:.40}, threads {head['threads']!r:.40}")
        if not all(isinstance(head[name], str) for name in ("machine", "runtime")):
            raise ValueError("machine and runtime are not texts")
        calibration = tuple((_number(total, 0.0), _number(time, 0.0)) for total, time in head["calibration"])
        if any(one >= other for pair in itertools.pairwise(calibration) for one, other in zip(*pair, strict=True)):
            raise ValueError(f"the calibration does not rise: {calibration!r:.80}")
        rows = list(csv.reader(io.StringIO(rest), strict=True))
        if not rows or tuple(rows[0]) != _COLUMNS:
            raise ValueError(f"the columns are {rows[0] if rows else []!r:.80}")
        times: dict[str, dict[Widths, float]] = {}
        labels: dict[str, str] = {}
        for key, reads, makes, time, label in rows[1:]:
            widths = (int(_number(int(reads), 0)), int(_number(int(makes), 0)))
            if widths in times.setdefault(key, {}):
                raise ValueError(f"{key} has {widths} twice")
            times[key][widths], labels[key] = _number(float(time), 0.0), label
        for key, each in times.items():
            if not any(reads == max(r for r, _ in each) and makes == max(m for _, m in each) for reads, makes in each):
                raise ValueError(f"{key} lacks its largest widths")
        return cls(times, labels, **{**head, "calibration": calibration})


def file_faults(precision: str, threads: int) -> list[str]:
    """Returns the faults of how files are to be timed; arguments as for `kp.latency.profile`."""
    return [*choice_faults(PRECISIONS, precision=precision), *whole_number_faults(1, threads=threads)]


def name_faults(path: Path | str) -> list[str]:
    """Returns a fault if a path does not end in `.csv`."""
    wrong = Path(path).suffix != ".csv"
    return [f"Expected a table whose name ends in .csv. Received: path={str(path)!r}."] if wrong else []


def _number(value: Any, least: float) -> float:
    """Returns a finite number within bounds; raises a `ValueError` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.40} is not a number")
    if not least <= value <= _MOST:
        raise ValueError(f"{value!r:.40} is out of range")
    return value
