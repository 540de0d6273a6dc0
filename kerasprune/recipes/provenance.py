"""Where a run was made: versions, machine, threads, date."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras

import kerasprune

_PACKAGES = ("keras", "numpy")
_BACKENDS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",), "torch": ("torch",)}
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def provenance() -> dict[str, Any]:
    """Returns what the figures of a run depend on beside its recipe, as plain data.

    Returns:
        `versions` by package, `machine` (system, processor, cores, memory in GiB, devices of the backend), `threads`
        (those that this process may use, and what variables limit them to), `date` (UTC).

    Example:
        >>> sorted(provenance())
        ['date', 'machine', 'threads', 'versions']
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "machine": {
            "system": platform.platform(terse=True),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": _memory(),
            "devices": keras.distribution.list_devices(),
        },
        "threads": {
            "available": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            **{name: os.environ[name] for name in _THREADS if name in os.environ},
        },
    }


def _versions() -> dict[str, str]:
    backend = keras.backend.backend()
    found = {"kerasprune": kerasprune.__version__, "python": platform.python_version()}
    for name in (*_PACKAGES, *_BACKENDS.get(backend, (backend,))):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found | {"backend": backend}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # Windows
        return None
