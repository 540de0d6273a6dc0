"""The export stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from kerasprune.data.batches import example_batches
from kerasprune.data.signature import signature_of
from kerasprune.defaults import JUDGED, OF_MICROCONTROLLERS
from kerasprune.errors import PruneError, warn
from kerasprune.export.parity import Function
from kerasprune.export.registry import formats
from kerasprune.export.report import ExportReport
from kerasprune.export.samples import samples_for
from kerasprune.recipes import lookup
from kerasprune.recipes.examples import MOST, calibration_inputs
from kerasprune.recipes.stages.context import Run
from kerasprune.steps.exported import beside_dense, metrics_of
from kerasprune.steps.file_gain import file_gain, in_turn
from kerasprune.steps.objective import Objective

MEASURES = ("bytes", "gzip_bytes", "max_error", "error", "agreement", "balanced", "latency_ms")


def export(run: Run) -> None:
    """Exports the final and the dense model in every format of the recipe, and writes the measures of the files.

    Formats whose modules this machine lacks are left out.
    """
    if not run.exports:
        run.folder.write_json("exports.json", {"exports": []})
        return
    run.folder.file("exports").mkdir(exist_ok=True)
    given = {side: _samples(run, run.model(side), side) for side in dict.fromkeys(("dense", run.final()))}
    objective = Objective() if run.recipe.data is None else run.objective(run.model("dense"))
    rows = [_row(run, name, given, objective) for name in run.exports]
    run.folder.write_json("exports.json", {"exports": rows, **_float32(run, rows)})


def _row(run: Run, name: str, given: dict[str, tuple[Any, int | None]], objective: Objective) -> dict[str, Any]:
    """Returns the measures of a file of the final model, and under `"dense"` those of the dense model's."""
    made = {side: _written(run, side, name, *given[side]) for side in given}
    made = {side: report for side, report in made.items() if report is not None}
    reports, ratios = in_turn([*made.values()])
    made = dict(zip(made, reports, strict=True))
    found = {}
    for side, report in made.items():
        run.console.print(f"export {report}", highlight=False, soft_wrap=True)
        measured = {key: getattr(report, key) for key in (*MEASURES, *["ram"] * _is_for_boards(run, name))}
        with run.console.status(f"judge {side} {name}"):
            file = formats.member(name).open(report.path, run.model(side))
            judged = _judged(run, side, file, objective) or _compared(run, side, file, *given[side])
        found[side] = {"file": str(report.path.relative_to(run.folder.path)), **measured, **judged}
    if len(ratios) == len(found) == 2:
        costs = run.folder.json("costs.json")
        macs = tuple(costs[side]["macs"] for side in made)
        gain = file_gain(run.model(run.final()), reports, ratios, macs)
        found[run.final()] |= {"arrives": gain.arrives, "unexpected": [*map(str, gain.unexpected)]}
    return {"format": name, **found.pop(run.final()), **found}


def _is_for_boards(run: Run, name: str) -> bool:
    """Returns whether the RAM of a file matters: by its format, or by the target of the plan."""
    plan = run.recipe.prune and run.recipe.prune.plan
    target = plan and plan.target
    planned = target and "memory" in lookup.make("target", target.name, target.arguments).costs
    return name == OF_MICROCONTROLLERS or name.startswith("tflite") and bool(planned)


def _written(run: Run, side: str, name: str, data: Any, size: int | None) -> ExportReport | None:
    """Returns the report of a written file; `None`, with a warning, if only the dense model has none."""
    form = formats.member(name)
    path = run.folder.file("exports") / f"{side}-{name}{form.suffix}"
    try:
        with run.console.status(f"export {side} {name}"):
            return form.write(run.for_format(side, name), path, data=data, size=size, overwrite=True)
    except PruneError as error:
        if side == run.final():
            raise
        warn(f"{run.final()}-{name} is not compared with the dense model, which cannot be exported: {error}")
        return None


def _judged(run: Run, side: str, file: Function, objective: Objective) -> dict[str, Any]:
    """Returns accuracy, loss and metrics of a file on test examples; empty without labels."""
    if objective.loss is None:
        return {}
    model = run.model(side)
    examples = run.examples(run.recipe.data.test, model, size=run.side(side))
    found, number = metrics_of(file, model, objective, examples, MOST)
    others = {key: value for key, value in found.items() if key not in ("loss", "accuracy")}
    judged = {"accuracy": found.get("accuracy"), "loss": found.get("loss"), "metrics": others}
    return {**judged, "judged": number, "judged_on": "test"}


def _compared(run: Run, side: str, file: Function, data: Any, size: int | None) -> dict[str, Any]:
    """Returns how near the outputs of a file are to the dense model's; empty if it takes images of another side."""
    if run.side(side) is not None:
        return {}
    model, random = run.model(side), data is None
    random_ones = samples_for(model, signature_of(model), None, size).batches() if random else ()
    batches = list(random_ones) or example_batches(model, data, JUDGED)
    found = beside_dense(file, run.model("dense"), batches)
    return {**found, "judged": sum(len(batch[0]) for batch in batches), "judged_on": "random" if random else "inputs"}


def _samples(run: Run, model: keras.Model, name: str) -> tuple[Any, int | None]:
    """Returns the images that an export is calibrated and checked with, or `None`, and their side."""
    size = run.side(name) or run.free_side(model)
    if run.recipe.calibrate is not None:
        from kerasprune.models.sets.unlabelled import read_unlabelled

        scale = run.recipe.data and run.recipe.data.scale
        return read_unlabelled(Path(run.recipe.calibrate), model.inputs, scale=scale, size=size), size
    if run.recipe.data is None:
        return None, size

    def images(split: str) -> Any:
        return run.examples(split, model, size=run.side(name)).batches()

    return calibration_inputs(images, run.recipe.data.validation or "train", run.recipe.data.batch), size


def _float32(run: Run, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns size and latency of the float32 files of both models, if there are some."""
    row = next((row for row in rows if row["format"] == "tflite"), None)
    if row is None:
        return {}
    sides = {run.final(): row, **({"dense": row["dense"]} if "dense" in row else {})}
    keys = {"tflite_bytes": "bytes", "latency_ms": "latency_ms"}
    return {"models": {side: {key: one[old] for key, old in keys.items()} for side, one in sides.items()}}
