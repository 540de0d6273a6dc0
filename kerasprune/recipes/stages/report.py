"""The reporting stage."""

from __future__ import annotations

from kerasprune import reports
from kerasprune.recipes.stages.context import Run

_UNMEASURED = {"tflite_bytes": None, "latency_ms": None}


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
    run.folder.write_json(
        "summary.json",
        {
            "dense": models["dense"],
            "slim": models.get("slim"),
            "exports": exported["exports"],
            "seconds": round(sum(stage["seconds"] for stage in run.folder.stages().values()), 3),
            "stages": {name: stage["seconds"] for name, stage in run.folder.stages().items()},
            "smoke": run.recipe.smoke,
        },
    )
    reports.write(run.folder.path)
