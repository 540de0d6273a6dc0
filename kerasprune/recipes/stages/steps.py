"""What each step has gained: the model before and after it, on validation examples."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.data.labels import inputs_only
from kerasprune.recipes.stages.context import Run, measured
from kerasprune.reports import tables
from kerasprune.surgery.comparison import output_error
from kerasprune.workflows.pruning_report import SAMPLES

BATCH = 32  # examples at a time that the error of the outputs is measured on


def note(run: Run, step: str, model: keras.Model) -> dict[str, float]:
    """Measures a model after a step, says so, and notes it in `steps.json`; nothing without validation examples.

    Args:
        run: The run.
        step: `"dense"`, or the name of the stage.
        model: The model after it.

    Returns:
        Loss and metrics on validation examples; nothing where there are none, or no labels.
    """
    data = run.recipe.data
    if data is None or data.validation is None:
        return {}
    side = run.side(step)
    batches = run.validation(model, side)
    with run.console.status(f"measure {step}"):
        logs = measured(model, batches, run.objective(model))
        error = _error(run, step, model, batches)
    found = {"step": step, "accuracy": logs.get("accuracy"), "loss": logs.get("loss"), "output_error": error}
    earlier = [one for one in run.folder.json("steps.json") or [] if one["step"] != step]
    run.folder.write_json("steps.json", [*earlier, found])
    words = tables.step_in_words(found)
    if words:
        run.console.print(words, highlight=False, soft_wrap=True)
    return logs


def is_further(run: Run, step: str, before: str) -> bool:
    """Returns whether a step has led away from the outputs of the dense model, as `note` has measured both."""
    errors = {one["step"]: one["output_error"] for one in run.folder.json("steps.json") or []}
    return None not in (errors.get(step), errors.get(before)) and errors[step] > errors[before]


def _error(run: Run, step: str, model: keras.Model, batches: Any) -> float | None:
    """Returns how far the outputs are from the dense model's, where that is what is worked on."""
    if step == "dense" or not (run.recipe.reconstruct or not run.labelled(model)):
        return None
    dense = run.folder.model("dense.keras")
    return output_error(model, dense, inputs_only(batches).unbatch().take(SAMPLES).batch(BATCH))
