"""`profile_phone`: the table of a phone, from files that LiteRT's `benchmark_model` times there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

from kerasprune.errors import extras, raise_faults, short, warn
from kerasprune.export.latency.operators import Alike, operators
from kerasprune.export.latency.profiling import (
    OperatorMeasurements,
    calibrate_table,
    calibration_plans,
    trace_for_profile,
)
from kerasprune.export.latency.single_operators import Pair, operator_files
from kerasprune.export.latency.table import PHONE, LatencyTable
from kerasprune.export.latency.whole_networks import NETWORK, timed_file_of
from kerasprune.files.reading import is_file, read_text
from kerasprune.files.writing import make_folder, replace_when_done, write_text
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size

WAITING, TIMES, SCRIPT = "waiting.txt", "times.txt", "measure.sh"
_MARK = "measured: "
_SECTION = re.compile(rf"^{_MARK}(\S+)$(.*?)(?=^{_MARK}|\Z)", re.MULTILINE | re.DOTALL)
_SUMMARY = re.compile(r"count=\d+ first=.* avg=[0-9.e+]+.*")
_AVERAGE = re.compile(r" avg=([0-9.e+]+)")
_UNDISTURBED = re.compile(r" p5=([0-9.e+]+)")  # newer versions print percentiles
_SHELL = """#!/bin/sh
# Times the files in this folder on the phone that adb sees. Before: put benchmark_model on the phone, see
# https://ai.google.dev/edge/litert/models/measurement. Afterwards: call kerasprune again, which reads {times}.
cd "$(dirname "$0")" || exit 1
phone=/data/local/tmp/kerasprune
adb shell mkdir -p $phone && adb push *.tflite $phone || exit 1
while read -r file signature name; do
  echo "{mark}$name"
  adb shell /data/local/tmp/benchmark_model --graph=$phone/$file --signature_to_run_for=$signature \\
    --num_threads={threads} --num_runs=20 --min_secs=0.1 --warmup_min_secs=0.05 < /dev/null 2>&1
done < {waiting} | tee -a {times}
"""


@extras("kp.latency.profile_phone")
def profile_phone(
    model: keras.Model,
    folder: str | Path,
    *,
    machine: str,
    precision: str = "float32",
    threads: int = 1,
    size: Size | None = None,
) -> LatencyTable | None:
    """Returns the latency table of a model on a phone: the time of every operator at all widths.

    Like `profile`, in several calls: the first one writes `.tflite` files of operators and of six whole
    networks to a folder, and a script, `measure.sh`, that times them with `adb` and LiteRT's `benchmark_model`. The
    next call reads the times, and writes further operators: every round makes the table more exact.

    Args:
        model: A functional or Sequential model. Weights do not matter.
        folder: A folder for the files and the times, one for each phone.
        machine: The name of the phone.
        precision: As for `profile`. Defaults to `"float32"`.
        threads: Threads of the interpreter. Defaults to 1.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to the model's own.

    Returns:
        The table, or `None` until the script has run once.

    Raises:
        PruneError: An argument is out of range, the model is not a functional one or has a free side.

    Example:
        >>> import tempfile, keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)])
        >>> folder = tempfile.mkdtemp()
        >>> kp.latency.profile_phone(model, folder, machine="Pixel 8") is None  # now: sh measure.sh
        True
    """
    faults = [] if isinstance(machine, str) and machine.strip() else [f"Received: machine={short(machine)}."]
    raise_faults("Expected the name of a phone, such as 'Pixel 8'.", faults)
    graph = trace_for_profile(model, precision, threads, size)
    phone = _Phone(Path(folder), f"{precision}-{threads}", threads)
    empty = LatencyTable({}, {}, precision=precision, threads=threads, machine=machine, runtime=PHONE)
    measurements = OperatorMeasurements(empty, graph, phone.operators)
    measurements.measure()
    plans = calibration_plans(graph)
    times = phone.networks(graph, plans, precision)
    script = phone.write_script()
    if phone.waiting:
        warn(f"{len(phone.waiting)} files and widths wait to be timed: run sh {script}, then call this again.")
        if None in times or any(each.key not in measurements.table.times for each in operators(graph)):
            return None
    return calibrate_table(measurements.table, graph, plans, times)


class _Phone:
    """The files that a phone is to time, and the times that it has sent.

    Args:
        folder: The folder of both.
        kind: Begins the names of all that is measured alike.
        threads: Threads of the interpreter.
    """

    def __init__(self, folder: Path, kind: str, threads: int) -> None:
        self.folder, self._kind, self._threads = make_folder(folder), kind, threads
        self._known = _times(folder / TIMES)
        written = read_text(folder / WAITING) if is_file(folder / WAITING) else ""
        lines = [line.split(" ") for line in written.splitlines()]
        self._written = {name: (file, signature) for file, signature, name in lines}

    @property
    def waiting(self) -> dict[str, tuple[str, str]]:
        """The file and the signature of everything that is not timed yet."""
        return {name: place for name, place in self._written.items() if name not in self._known}

    def operators(
        self, part: Sequence[Pair], alike: Mapping[str, Alike], precision: str, threads: int
    ) -> dict[Pair, float]:
        """Returns the times of operators that are known; writes the others. Arguments as for `times_alone`."""
        names = {f"{self._kind}-{key}-{reads}-{makes}": (key, (reads, makes)) for key, (reads, makes) in part}
        new = {name: pair for name, pair in names.items() if name not in self._known and name not in self._written}
        called = {pair: name for name, pair in new.items()}
        for pairs, content in operator_files(list(called), alike, precision):
            file = self._write(content)
            self._written |= {called[pair]: (file, signature) for signature, pair in pairs.items()}
        return {pair: self._known[name] for name, pair in names.items() if name in self._known}

    def networks(self, graph: ChannelGraph, plans: Sequence[Plan], precision: str) -> list[float | None]:
        """Returns the times of slim models, `None` of those that are not timed yet, which are written."""
        names = [f"{self._kind}-{graph.fingerprint}-{number}" for number in range(len(plans))]
        for name, plan in zip(names, plans, strict=True):
            if name not in self._known and name not in self._written:
                self._written[name] = self._write(timed_file_of(graph, plan, precision)), NETWORK
        return [self._known.get(name) for name in names]

    def write_script(self) -> Path:
        """Writes the script that times what waits, and returns its path."""
        lines = [" ".join((*place, name)) for name, place in self.waiting.items()]
        write_text(self.folder / WAITING, "\n".join([*lines, ""]))
        names = {"waiting": WAITING, "times": TIMES, "mark": _MARK, "threads": self._threads}
        return write_text(self.folder / SCRIPT, _SHELL.format(**names))

    def _write(self, content: bytes) -> str:
        """Writes a file under the next free name, and returns the name."""
        number = 1 + max((int(path.stem) for path in self.folder.glob("*.tflite") if path.stem.isdecimal()), default=0)
        with replace_when_done(self.folder / f"{number}.tflite") as temporary:
            temporary.write_bytes(content)
        return f"{number}.tflite"


def _times(path: Path) -> dict[str, float]:
    """Returns the milliseconds in the output of `benchmark_model`; a run without a summary has none."""
    found = {}
    for name, text in _SECTION.findall(read_text(path).replace("\r", "")) if is_file(path) else ():
        if runs := _SUMMARY.findall(text):  # warm-up, then the timed runs
            quick = _UNDISTURBED.search(runs[-1])
            found[name] = float(quick[1] if quick else _AVERAGE.search(runs[-1])[1]) / 1000
    return found
