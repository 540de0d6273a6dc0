"""The machine that times were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path


def processor() -> str:
    """Returns the name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def this_machine() -> dict[str, str]:
    """Returns the machine and the runtime, as tables name them."""
    runtime = f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}"
    return {"machine": f"{processor()}, {os.cpu_count()} cores", "runtime": runtime}
