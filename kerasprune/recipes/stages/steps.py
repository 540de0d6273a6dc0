"""What each step has gained, written down: the rows of `steps.json`."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.recipes.run_folder import NAMES
from kerasprune.recipes.stages.context import Run
from kerasprune.reports import tables
from kerasprune.steps.judge import Judge
from kerasprune.steps.report import StepReport


def judge(run: Run, step: str, model: keras.Model) -> StepReport:
    """Measures a model after a stage, on validation examples.

    A model that takes images of another side than the dense one is judged by labels alone.
    """
    name, side = NAMES[step], run.side(step)
    if side is None or run.recipe.data is None:
        return run.validation_judge.step(name, model)
    examples = run.validation(model, side)
    metrics = {} if examples is None else Judge(model, run.objective(model), examples).metrics(model)
    return StepReport(name, None, metrics)


def write(run: Run, step: str, found: StepReport) -> None:
    """Notes a measured step in `steps.json` and `metrics.csv`, and says it; nothing if nothing was measured."""
    if found.error is None and not found.metrics:
        return
    row: dict[str, Any] = {
        "step": step,
        "accuracy": found.metrics.get("accuracy"),
        "loss": found.metrics.get("loss"),
        "output_error": found.error,
        "metrics": dict(found.metrics),
    }
    earlier = [one for one in run.folder.json("steps.json") or [] if one["step"] != step]
    run.folder.write_json("steps.json", [*earlier, row])
    if found.metrics and step in ("rebuild", "reconstruct"):
        run.folder.set_metrics(step, [{"epoch": 0, **{f"val_{key}": value for key, value in found.metrics.items()}}])
    words = tables.step_in_words(row)
    if words:
        run.console.print(words, highlight=False, soft_wrap=True)


def note(run: Run, step: str, model: keras.Model) -> StepReport:
    """Measures a model after a stage and notes it."""
    with run.console.status(f"measure {step}"):
        found = judge(run, step, model)
    write(run, step, found)
    return found
