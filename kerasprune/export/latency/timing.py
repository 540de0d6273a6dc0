"""The time of one inference, with LiteRT on the processor of this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from kerasprune.checks import whole_number_faults
from kerasprune.errors import Key, PruneError, extras, raise_faults
from kerasprune.export.conversion import to_tflite
from kerasprune.export.samples import samples_of
from kerasprune.export.tflite_export import static_signature
from kerasprune.export.tflite_interpreter import fill_inputs, open_interpreter, time_invocation
from kerasprune.graph.sizes import Size

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

Source = keras.Model | str | os.PathLike


@dataclass(frozen=True)
class Latency:
    """The time of one invocation at batch 1.

    Args:
        median_ms: Median over the runs, in milliseconds.
        low_ms: 5th percentile over the runs.
        high_ms: 95th percentile over the runs.
        runs: Number of timed runs.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    runs: int

    def __str__(self) -> str:
        return f"{self.median_ms:.3g} ms [{self.low_ms:.3g}, {self.high_ms:.3g}] of {self.runs} runs"


@dataclass(frozen=True)
class LatencyComparison:
    """Latencies of several variants that were timed in turn.

    Args:
        latencies: One for each variant, in the order given.
        ratios: Median over the rounds of (variant ÷ first variant, timed in the same round); the first is 1.
    """

    latencies: tuple[Latency, ...]
    ratios: tuple[float, ...]

    def __str__(self) -> str:
        pairs = zip(self.latencies, self.ratios, strict=True)
        return "\n".join(f"{latency} (×{ratio:.3f})" for latency, ratio in pairs)


@extras("kp.latency.latency")
def latency(
    model: Source,
    *,
    size: Size | None = None,
    threads: int = 1,
    runs: int = 50,
    warmup: int = 10,
) -> Latency:
    """Times one inference at batch 1.

    Args:
        model: The path of a `.tflite` file, or a Keras model, which is converted to a temporary float32 file.
        size: Size of the inputs of a Keras model, see `kp.trace`; a `.tflite` file has fixed ones. Defaults to
            `None`: the model has no free axes.
        threads: Threads of the interpreter. Defaults to 1.
        runs: Timed invocations. Defaults to 50.
        warmup: Untimed invocations before the timed ones. Defaults to 10.

    Returns:
        The median and the range.

    Raises:
        PruneError: The model does not convert, the file does not run, or an argument is out of range.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> latency(model, runs=5).runs
        5
    """
    compared = compare_latency([model], size=size, threads=threads, runs=runs, warmup=warmup)
    return compared.latencies[0]


@extras("kp.latency.compare_latency")
def compare_latency(
    models: Sequence[Source],
    *,
    size: Size | None = None,
    threads: int = 1,
    runs: int = 50,
    warmup: int = 10,
) -> LatencyComparison:
    """Times several variants in turn, A B A B …, so that other load on the machine slows all of them equally.

    The ratio of a variant is the median of its ratios within one round: noise that lasts longer than a round cancels
    out of the ratios, though not out of the latencies.

    Args:
        models: Paths of `.tflite` files or Keras models; the others are compared with the first.
        size: As in `latency`.
        threads: As in `latency`.
        runs: Timed rounds. Defaults to 50.
        warmup: Untimed rounds before the timed ones. Defaults to 10.

    Returns:
        The latencies, and the ratios to the first.

    Raises:
        PruneError: As in `latency`, or `models` is empty.
    """
    faults = [] if models else ["Expected at least one model. Received: models=[]."]
    faults += whole_number_faults(1, threads=threads, runs=runs) + whole_number_faults(0, warmup=warmup)
    if models and size is not None and not any(isinstance(each, keras.Model) for each in models):
        files = ", ".join(map(str, models))
        fixed = (f"A .tflite file has fixed sides. Received: {files} with ", Key("size"), f"={size!r}. ")
        faults.append(PruneError(*fixed, "Leave it out, or pass the Keras model."))
    raise_faults("Invalid arguments for compare_latency:", faults)
    interpreters = [_opened(model, size, threads) for model in models]
    times = np.array([[time_invocation(each) for each in interpreters] for _ in range(warmup + runs)])[warmup:]
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
