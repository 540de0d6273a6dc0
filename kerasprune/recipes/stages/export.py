"""The export stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from kerasprune.data.examples import inputs_only
from kerasprune.latency.measure import compare_latency
from kerasprune.recipes.formats import FORMATS
from kerasprune.recipes.stages.context import Run

EXPORT_IMAGES = 1000  # images that calibrate and check an export


def export(run: Run) -> None:
    """Writes the formats of the recipe to `exports/`, and their measurements to `exports.json`."""
    model = run.model(run.final())
    data, size = _samples(run, model, run.final())
    run.folder.file("exports").mkdir(exist_ok=True)
    written = [_exported(run, model, name, f"{run.final()}-{name}", data, size) for name in run.recipe.export]
    latency = _compared(run) if "tflite" in run.recipe.export else {}
    run.folder.write_json("exports.json", {"exports": written, **latency})


def _exported(run: Run, model: keras.Model, name: str, stem: str, data: Any, size: int | None) -> dict[str, Any]:
    form = FORMATS[name]
    path = run.folder.file("exports") / f"{stem}{form.suffix}"
    with run.console.status(f"export {name}"):
        made = form.write(model, path, data=data, size=size, overwrite=True)
    run.console.print(f"export {made}", highlight=False, soft_wrap=True)
    measured = {key: getattr(made, key) for key in ("bytes", "gzip_bytes", "max_error", "agreement", "latency_ms")}
    return {"format": name, "file": str(path.relative_to(run.folder.path)), **measured}


def _samples(run: Run, model: keras.Model, name: str) -> tuple[Any, int | None]:
    """Returns the images that an export is calibrated and checked with, or `None`, and their side."""
    size = run.side(name) or run.free_side(model)
    if run.recipe.calibrate is not None:
        from kerasprune.data.unlabelled import unlabelled

        scale = run.recipe.data and run.recipe.data.scale
        return unlabelled(Path(run.recipe.calibrate), model.inputs, scale=scale, size=size), size
    if run.recipe.data is None:
        return None, size
    images = run.examples(run.recipe.data.validation or "train", model, size=run.side(name))
    return inputs_only(images.batches()).unbatch().take(EXPORT_IMAGES).batch(run.recipe.data.batch), size


def _compared(run: Run) -> dict[str, Any]:
    """Returns size and latency of the dense and the slim float32 file, timed alternately."""
    names = list(dict.fromkeys(("dense", run.final())))
    paths = [run.folder.file("exports") / f"{name}-tflite.tflite" for name in names]
    if run.final() != "dense":
        dense = run.model("dense")
        _exported(run, dense, "tflite", "dense-tflite", *_samples(run, dense, "dense"))
    timed = compare_latency(paths).latencies
    models = {
        name: {"tflite_bytes": path.stat().st_size, "latency_ms": time.median_ms}
        for name, path, time in zip(names, paths, timed, strict=True)
    }
    return {"models": models}
