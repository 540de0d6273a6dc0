"""The reporting stage."""

from __future__ import annotations

from typing import Any

from kerasprune import reports
from kerasprune.recipes.loader import resolved
from kerasprune.recipes.provenance import provenance
from kerasprune.recipes.stages.context import Run
from kerasprune.reports.expectation import judged
from kerasprune.reports.tables import layers_of

_UNMEASURED = {"tflite_bytes": None, "latency_ms": None}
_ORIGIN = ("date", "versions", "machine", "threads")


def report(run: Run) -> None:
    """Sums up: `summary.json` and `report.html`."""
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
        "exports": [_timed_once(export, models[run.final()]) for export in exported["exports"]],
        "seed": run.recipe.seed,
        "seconds": round(sum(stage["seconds"] for stage in run.folder.stages().values()), 3),
        "stages": {name: stage["seconds"] for name, stage in run.folder.stages().items()},
        "smoke": run.recipe.smoke,
        **_origin(run),
        "steps": run.folder.json("steps.json") or [],
        "layers": layers_of(costs),
        "removed": (run.folder.json("plan.json") or {}).get("removed", []),
    }
    summary["expected"] = judged(resolved(run.recipe), summary)
    run.folder.write_json("summary.json", summary)
    reports.write(run.folder.path)


def _timed_once(export: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """Returns an export with the one latency of its file: that which was timed in turn with the dense one's."""
    if export["format"] == "tflite" and model["latency_ms"] is not None:
        return {**export, "latency_ms": model["latency_ms"]}
    return export


def _origin(run: Run) -> dict[str, Any]:
    """Returns where the run was made; a finished one that is drawn anew keeps what it has."""
    earlier = run.folder.json("summary.json") or {}
    return {key: earlier[key] for key in _ORIGIN} if all(key in earlier for key in _ORIGIN) else provenance()
