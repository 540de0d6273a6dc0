"""The evaluation stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import keras
import numpy as np

from kerasprune.graph.trace import size_to_try
from kerasprune.recipes.stages.context import Run
from kerasprune.surgery.costs.cost import cost
from kerasprune.training.masks import masked_variables


def evaluate(run: Run) -> None:
    """Measures the costs of the dense and the slim model, and tests both; test examples are used here only."""
    found = {}
    for name in dict.fromkeys(("dense", run.final())):
        model = run.model(name)
        side, data = run.side(name), run.recipe.data
        costs = cost(model, size=size_to_try(model, side or run.free_side(model)))
        with run.console.status(f"evaluate {name}"):
            logs = run.metrics(model, None if data is None else run.examples(data.test, model, size=side))
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


def counted(model: keras.Model, masks: Mapping[str, np.ndarray] | None) -> dict[str, float]:
    """Returns the number of nonzero parameters, and the sparsity of the masked kernels; empty without masks."""
    if masks is None:
        return {}
    weights = map(keras.ops.convert_to_numpy, model.weights)  # without the states of dropout
    nonzero = sum(int(np.count_nonzero(weight)) for weight in weights)
    values = [keras.ops.convert_to_numpy(variable) for variable, _ in masked_variables(model, masks)]
    zeros = sum(int(value.size - np.count_nonzero(value)) for value in values)
    return {"nonzero": nonzero, "sparsity": zeros / sum(value.size for value in values)}
