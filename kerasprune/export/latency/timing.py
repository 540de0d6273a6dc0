"""The time of one inference: with LiteRT on the processor of this machine, or on the device that Keras computes on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from kerasprune.checks import choice_faults, given_values, whole_number_faults
from kerasprune.errors import Key, PruneError, check_installed, extras, raise_faults, short
from kerasprune.export.conversion import to_tflite
from kerasprune.export.latency.device_timer import timer_beside
from kerasprune.export.latency.machine import DEVICES, device_faults, this_machine
from kerasprune.export.samples import samples_of
from kerasprune.export.tflite_export import static_signature
from kerasprune.export.tflite_interpreter import LITERT, fill_inputs, open_interpreter, time_invocation
from kerasprune.graph.built_model import fixed_batch
from kerasprune.graph.sizes import Size
from kerasprune.tables import Part, Shown, Table

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

Source = keras.Model | str | os.PathLike


@dataclass(frozen=True)
class Latency(Shown):
    """The time of one invocation.

    Args:
        median_ms: Median over the runs, in milliseconds.
        low_ms: 5th percentile over the runs.
        high_ms: 95th percentile over the runs.
        runs: Number of timed runs.
        memory: Peak of the bytes on the device that a run takes beyond weights and inputs. Defaults to `None`: not
            told, as by LiteRT.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    runs: int
    memory: int | None = None

    def __str__(self) -> str:
        memory = "" if self.memory is None else f", {self.memory / 2**20:.3g} MiB"
        return f"{self.median_ms:.3g} ms [{self.low_ms:.3g}, {self.high_ms:.3g}] of {self.runs} runs{memory}"

    def _shown(self) -> list[Part]:
        return [str(self)]


@dataclass(frozen=True)
class LatencyComparison(Shown):
    """Latencies of several variants that were timed in turn.

    Args:
        latencies: One for each variant, in the order given.
        ratios: Median over the rounds of (variant ÷ first variant, timed in the same round); the first is 1.
        batch: Samples in one invocation. Defaults to 1.
        machine: The machine, and the kind of the device. Defaults to nothing.
        runtime: The runtime and its version. Defaults to nothing.
    """

    latencies: tuple[Latency, ...]
    ratios: tuple[float, ...]
    batch: int = 1
    machine: str = ""
    runtime: str = ""

    def __str__(self) -> str:
        pairs = zip(self.latencies, self.ratios, strict=True)
        return "\n".join([*(f"{latency} (×{ratio:.3f})" for latency, ratio in pairs), self.where])

    def _shown(self) -> list[Part]:
        found = [(each.median_ms, each.low_ms, each.high_ms) for each in self.latencies]
        largest = max((median for median, *_ in found), default=1.0)
        rows = [
            (str(place), f"{median:.3g}", f"{low:.3g} … {high:.3g}", f"×{ratio:.3f}")
            for place, ((median, low, high), ratio) in enumerate(zip(found, self.ratios, strict=True), start=1)
        ]
        bars = {1: [median / largest for median, *_ in found]}
        return [Table(("variant", "ms, median", "5 % … 95 %", "ratio to the first"), rows, bars=bars), self.where]

    @property
    def where(self) -> str:
        """The runtime, the machine and the batch."""
        return f"{self.runtime}, {self.machine}, batch {self.batch}"


@extras("kp.latency.latency")
def latency(
    model: Source,
    *,
    device: str = "litert",
    batch: int | None = None,
    size: Size | None = None,
    threads: int = 1,
    runs: int = 50,
    warmup: int = 10,
) -> Latency:
    """Times one inference.

    Args:
        model: A Keras model; or, for LiteRT, the path of a `.tflite` file.
        device: `"litert"`: LiteRT on the processor of this machine, for which a Keras model is converted to a temporary
            float32 file. `"keras"`: the forward pass on the device of Keras's backend (CPU, GPU, TPU), in the types of
            the model's own policies, compiled as its `predict` is, on inputs that lie there already. Defaults to
            `"litert"`.
        batch: Samples in one inference, 1 for LiteRT. Defaults to the batch that the model fixes, else to 1.
        size: Size of the inputs of a Keras model, see `kp.trace`; a `.tflite` file has fixed ones. Defaults to
            `None`: the model has no free axes.
        threads: Threads of LiteRT's interpreter. Defaults to 1.
        runs: Timed invocations. Defaults to 50.
        warmup: Untimed invocations before the timed ones. Defaults to 10.

    Returns:
        The median and the range.

    Raises:
        PruneError: The model does not convert, the file does not run, or an argument is out of range.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> latency(model, runs=5).runs, latency(model, device="keras", batch=32, runs=5).runs
        (5, 5)
    """
    how = {"device": device, "batch": batch, "size": size, "threads": threads}
    return compare_latency([model], **how, runs=runs, warmup=warmup).latencies[0]


@extras("kp.latency.compare_latency")
def compare_latency(
    models: Sequence[Source],
    *,
    device: str = "litert",
    batch: int | None = None,
    size: Size | None = None,
    threads: int = 1,
    runs: int = 50,
    warmup: int = 10,
) -> LatencyComparison:
    """Times several variants in turn, A B A B …, so that other load on the machine slows all of them equally.

    The ratio of a variant is the median of its ratios within one round: noise that lasts longer than a round cancels
    out of the ratios, though not out of the latencies.

    Args:
        models: Keras models, or for LiteRT paths of `.tflite` files too; the others are compared with the first. On the
            device of Keras a model that is not compiled runs as the first compiled one does: by XLA, or not.
        device: As in `latency`.
        batch: As in `latency`.
        size: As in `latency`.
        threads: As in `latency`.
        runs: Timed rounds. Defaults to 50.
        warmup: Untimed rounds before the timed ones. Defaults to 10.

    Returns:
        The latencies, the ratios to the first, and what was measured on.

    Raises:
        PruneError: As in `latency`, or `models` is empty.

    Example:
        >>> import keras
        >>> models = [keras.Sequential([keras.Input((8,)), keras.layers.Dense(units)]) for units in (64, 4)]
        >>> compare_latency(models, device="keras", batch=16, runs=5).ratios[0]
        1.0
    """
    if isinstance(models, Source):
        raise PruneError(
            f"Expected a list of models. Received: models={short(models)}. Write [model], or take latency."
        )
    faults = [] if models else ["Expected at least one model. Received: models=[]."]
    faults += whole_number_faults(1, threads=threads, runs=runs, **given_values(batch=batch))
    faults += whole_number_faults(0, warmup=warmup) + choice_faults(DEVICES, device=device)
    files = [str(each) for each in models if not isinstance(each, keras.Model)]
    faults += [*device_faults(device, files, threads, batch)]
    if device == "litert" and models and size is not None and len(files) == len(models):
        fixed = (f"A .tflite file has fixed sides. Received: {', '.join(files)} with ", Key("size"), f"={size!r}. ")
        faults.append(PruneError(*fixed, "Leave it out, or pass the Keras model."))
    raise_faults("Invalid arguments for compare_latency:", faults)
    if device == "litert":
        check_installed(LITERT)
        timers = [partial(time_invocation, _opened(each, size, threads)) for each in models]
        return replace(time_in_turn(timers, runs, warmup), **this_machine(device))
    batch = batch or next(filter(None, map(fixed_batch, models)), 1)
    timer_of = timer_beside(next((each for each in models if each.compiled), models[0]), batch, size)
    timers = [timer_of(each) for each in models]
    found = time_in_turn(timers, runs, warmup)
    latencies = (replace(one, memory=timer.memory) for one, timer in zip(found.latencies, timers, strict=True))
    return replace(found, latencies=tuple(latencies), batch=batch, **this_machine(device))


def time_in_turn(timers: Sequence[Callable[[], float]], runs: int, warmup: int) -> LatencyComparison:
    """Returns the times that timers measure, run in turn.

    Args:
        timers: Each runs a variant once and returns the milliseconds.
        runs: Rounds that count.
        warmup: Rounds before them.
    """
    times = np.array([[timed() for timed in timers] for _ in range(warmup + runs)])[warmup:]
    low, median, high = np.percentile(times, [5, 50, 95], axis=0).tolist()
    latencies = tuple(Latency(*each, runs) for each in zip(median, low, high, strict=True))
    return LatencyComparison(latencies, tuple(np.median(times / times[:, :1], axis=0).tolist()))


def _opened(model: Source, size: Size | None, threads: int) -> Interpreter:
    """Returns an interpreter with its inputs filled."""
    if isinstance(model, keras.Model):
        signature = static_signature(model, None, size)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tflite"
            path.write_bytes(to_tflite(model, signature, None, samples_of(signature)))
            interpreter = open_interpreter(path, threads=threads)
    else:
        interpreter = open_interpreter(model, threads=threads)
    fill_inputs(interpreter)
    return interpreter
