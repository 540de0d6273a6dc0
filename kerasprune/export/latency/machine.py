"""The machine that times were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

from kerasprune.errors import Key, PruneError

DEVICES = ("litert", "keras")
"""What models are timed on: LiteRT on the processor, or the device of Keras's backend."""


def device_faults(device: str, files: Sequence[str], threads: int, batch: int | None) -> Iterator[PruneError]:
    """Yields the faults of arguments for a device: the other one's files, threads or batch.

    Args:
        device: One of `DEVICES`.
        files: Paths of `.tflite` files to be timed.
        threads: Threads of LiteRT's interpreter.
        batch: Samples in one inference, or `None`.
    """
    if device == "litert":
        if batch not in (None, 1):
            file = "Expected one sample, as a .tflite file takes. Received: "
            yield PruneError(file, Key("batch"), f"={batch}. Leave it out, or take ", Key("device"), "='keras'.")
        return
    asked = (" with ", Key("device"), "='keras'")
    if files:
        yield PruneError(
            "Expected Keras models", *asked, f". Received: {', '.join(files)}. Load a .keras file with "
            "keras.models.load_model(path), or take ", Key("device"), "='litert' for a .tflite file.",
        )  # fmt: skip
    if threads != 1:
        received = (". Received: ", Key("threads"), f"={threads}. ")
        yield PruneError("Expected no number of threads", *asked, *received, "Leave it out: the backend sets its own.")


def processor() -> str:
    """Returns the name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def this_machine(device: str = "litert") -> dict[str, str]:
    """Returns the machine and the runtime, as tables and comparisons name them.

    Args:
        device: As for `compare_latency`. Defaults to `"litert"`.
    """
    machine = f"{processor()}, {os.cpu_count()} cores"
    if device == "litert":
        return {"machine": machine, "runtime": f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}"}
    from kerasprune.backend.forward import backend_version, device_in_use  # a table is read without Keras

    kind, name = device_in_use()
    return {"machine": f"{kind}: {machine if kind == 'cpu' else name}", "runtime": backend_version()}
