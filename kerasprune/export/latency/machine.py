"""The machine that times were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

DEVICES = ("litert", "keras")
"""What models are timed on: LiteRT on the processor, or the device of Keras's backend."""


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
