"""The evaluation stage."""

from __future__ import annotations

from dataclasses import asdict

import keras

from kerasprune.costs.cost import cost
from kerasprune.recipes.stages.context import Run
from kerasprune.recipes.stages.sparsity import counted
from kerasprune.steps.judge import Judge


def evaluate(run: Run) -> None:
    """Counts the dense and the slim model, and tests both, the only time that test images are used."""
    found = {}
    for name in dict.fromkeys(("dense", run.final())):
        model = run.model(name)
        side = run.side(name)
        costs = cost(model, resolution=side or run.free_side(model))
        with run.console.status(f"evaluate {name}"):
            logs = _tested(run, model, side)
        found[name] = {
            "accuracy": logs.get("accuracy"),
            "loss": logs.get("loss"),
            "metrics": {key: value for key, value in logs.items() if key not in ("loss", "accuracy")},
            "params": costs.params,
            "macs": costs.macs,
            "activations": costs.activations,
            "bytes": costs.bytes,
            **counted(model, run.folder.arrays("masks.npz")),
            "layers": [asdict(layer) for layer in costs.layers],
        }
    run.folder.write_json("costs.json", found)


def _tested(run: Run, model: keras.Model, side: int | None) -> dict[str, float]:
    """Returns loss and metrics on the test split; nothing if there are no data."""
    if run.recipe.data is None:
        return {}
    return Judge(model, run.objective(model), run.examples(run.recipe.data.test, model, size=side)).metrics(model)
