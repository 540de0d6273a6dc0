"""The reporting stage, and the environment of the run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from typing import Any

import keras

import kerasprune
from kerasprune.export.latency.machine import processor
from kerasprune.recipes import reports
from kerasprune.recipes.loader import resolve_defaults
from kerasprune.recipes.reports.tables import judge_expected, layers_of
from kerasprune.recipes.run_warnings import texts_of_warnings
from kerasprune.recipes.stages.context import Run

_UNMEASURED = {"tflite_bytes": None, "latency_ms": None}
_ORIGIN = ("date", "versions", "machine", "threads")


def report(run: Run) -> None:
    """Writes `summary.json` and `report.html`."""
    costs = run.folder.json("costs.json")
    exported = run.folder.json("exports.json") or {"exports": []}
    files = exported.get("models", {})
    models = {
        name: {
            **{key: value for key, value in cost.items() if key != "layers"},
            **_UNMEASURED,
            **files.get(name, {}),
        }
        for name, cost in costs.items()
    }
    summary = {
        "dense": models["dense"],
        "slim": models.get("slim"),
        "exports": exported["exports"],
        "seed": run.recipe.seed,
        "seconds": round(sum(stage["seconds"] for stage in run.folder.stages().values()), 3),
        "stages": {name: stage["seconds"] for name, stage in run.folder.stages().items()},
        "smoke": run.recipe.smoke,
        **_origin(run),
        "steps": run.folder.json("steps.json") or [],
        "layers": layers_of(costs),
        "warnings": texts_of_warnings(run.folder.path),
        "removed": (run.folder.json("plan.json") or {}).get("removed", []),
    }
    summary["expected"] = judge_expected(resolve_defaults(run.recipe), summary)
    run.folder.write_json("summary.json", summary)
    reports.write(run.folder.path)


def _origin(run: Run) -> dict[str, Any]:
    """Returns the environment of the run; that of its earlier report, if there is one."""
    earlier = run.folder.json("summary.json") or {}
    return {key: earlier[key] for key in _ORIGIN} if all(key in earlier for key in _ORIGIN) else provenance()


_PACKAGES = ("keras", "numpy")
_BACKENDS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",), "torch": ("torch",)}
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def provenance() -> dict[str, Any]:
    """Returns the environment that the figures of a run depend on, as plain data.

    Returns:
        `versions` by package, `machine` (system, processor, cores, memory in GiB, devices of the backend), `threads`
        (available to this process, and the limits set by variables), `date` (UTC).

    Example:
        >>> sorted(provenance())
        ['date', 'machine', 'threads', 'versions']
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "machine": {
            "system": platform.platform(terse=True),
            "processor": processor(),
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


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # Windows
        return None
