"""`beside`: the files of a slim and of its dense model, measured in turn."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from kerasprune.checks import kind_faults
from kerasprune.data.arrays_or_batches import is_array
from kerasprune.data.batches import FlatInputs, example_batches, free_size
from kerasprune.data.examples import Examples
from kerasprune.data.signature import is_graph, signature_of
from kerasprune.defaults import JUDGED
from kerasprune.errors import PruneError, extras, raise_faults
from kerasprune.export.formats import Format
from kerasprune.export.latency.slim_beside_dense import times_of_operators
from kerasprune.export.parity import Function
from kerasprune.export.registry import formats
from kerasprune.export.report import ExportReport
from kerasprune.export.samples import samples_for
from kerasprune.export.tflite_export import static_signature
from kerasprune.graph.graph import check_finite_weights
from kerasprune.graph.sizes import Size
from kerasprune.graph.trace import trace
from kerasprune.graph.walk import has_free_axes
from kerasprune.steps.exported import beside_dense, metrics_of
from kerasprune.steps.file_gain import Both, FileGain, file_gain, in_turn
from kerasprune.steps.judge import check_examples
from kerasprune.steps.numbers import count, figure, milliseconds, percent, points, scientific
from kerasprune.steps.objective import Objective, classification, of_model
from kerasprune.surgery.costs.cost import cost
from kerasprune.surgery.inlining.plain import plain
from kerasprune.tables import Part, Shown, Table

_MOST = 1000  # examples that judge a file
_KINDS = 4  # shown, the others together
_INPUTS = {"data": "examples", "calibration": "examples, the first of which calibrated it", "random": "random inputs"}


@dataclass(frozen=True)
class SideBySide(Shown):
    """The files of a dense and of a slim model in one format.

    Args:
        dense: The report on the dense model's file, which is not kept.
        slim: The report on the slim model's file.
        metrics: Loss and metrics of both files by labels. Empty without labels or a loss.
        judged: Number of examples of the metrics.
        agreement: Fraction of the inputs of the same class as by the dense Keras model, of the worst output of classes.
        balanced: The mean of that over the classes of the dense model.
        error: Error of the outputs against the dense Keras model, as `kp.prune` reports it.
        compared: Number of inputs of agreement and error.
        inputs: Whether those are the caller's `"data"`, of which the first have set the ranges of a format in integers,
            `"calibration"`, or `"random"` numbers.
        gain: Time, operators, and how much of the gain in multiply–adds arrives as time.
    """

    dense: ExportReport
    slim: ExportReport
    metrics: Mapping[str, Both]
    judged: int
    agreement: tuple[float | None, float | None]
    balanced: tuple[float | None, float | None]
    error: Both
    compared: int
    inputs: str
    gain: FileGain

    def __str__(self) -> str:
        return "\n".join(map(str, self._shown()))

    def _shown(self) -> list[Part]:
        rows = [*self._measures(), *self._operators()]
        return [Table((self.slim.format, "dense", "slim", "slim ÷ dense"), rows), *self.gain.sentences()]

    def _measures(self) -> list[tuple[str, str, str, str]]:
        rows = []
        for name, (dense, slim) in self.metrics.items():
            form, change = (percent, points(slim - dense)) if name == "accuracy" else (figure, "")
            rows.append((f"{name}, {count(self.judged)} examples", form(dense), form(slim), change))
        what = f"{count(self.compared)} {_INPUTS[self.inputs]}"
        if self.agreement[1] is not None:
            rows.append((f"same class as dense Keras, {what}", *map(percent, self.agreement), ""))
            rows.append(("the same, mean over classes", *map(percent, self.balanced), ""))
        rows.append((f"error of the outputs, {what}", *map(scientific, self.error), ""))
        if self.gain.milliseconds is not None:
            rows.append(("ms", *map(milliseconds, self.gain.milliseconds), figure(self.gain.time_ratio)))
        if self.gain.macs is not None:
            rows.append(_row("multiply–adds (MACs)", self.gain.macs))
        reports = (self.dense, self.slim)
        rows.append(_row("bytes", [each.bytes for each in reports]))
        rows.append(_row("bytes in gzip", [each.gzip_bytes for each in reports]))
        if any(self.gain.operators):
            rows.append(_row("operators", [sum(each.values()) for each in self.gain.operators]))
        return rows

    def _operators(self) -> list[tuple[str, str, str, str]]:
        kinds = list(self.gain.by_kind().items())
        rows = [(f"{kind} alone, ms", *map(milliseconds, both), _ratio(both)) for kind, both in kinds[:_KINDS]]
        if others := kinds[_KINDS:]:
            both = tuple(sum(times[side] for _, times in others) for side in (0, 1))
            rows.append(
                (f"{len(others)} other kind{'s' * (len(others) > 1)}, ms", *map(milliseconds, both), _ratio(both))
            )
        return rows


def _row(name: str, both: Any) -> tuple[str, str, str, str]:
    return name, *map(count, both), _ratio(both)


def _ratio(both: Any) -> str:
    return figure(both[1] / both[0] if both[0] else None)


@extras("kp.export.beside")
def beside(
    slim: keras.Model,
    dense: keras.Model,
    path: str | os.PathLike,
    *,
    format: str = "tflite",
    data: Any = None,
    calibrate: Any = None,
    loss: Any = None,
    size: Size | None = None,
    overwrite: bool = False,
) -> SideBySide:
    """Writes a slim model as `kp.export.tflite` does, and measures its file and the dense model's in turn.

    Both files are timed in turn; their operators are also converted and timed alone, by kind, since LiteRT has no
    profiler for Python: that takes a few seconds, half a minute for large models.

    Args:
        slim: The slim model.
        dense: The dense model, with the same inputs and outputs. Its file is written to a temporary folder.
        path: The file or folder to write.
        format: `"saved_model"`, `"tflite"`, `"tflite-float16"`, `"tflite-dynamic"`, `"tflite-int8"`,
            `"tflite-int8-io"` (integers in and out), `"tflite-mixed"`, `"tflite-int16x8"` or `"kpz"`, as
            `kp.codec.pack` with `bits={}`. Defaults to `"tflite"`.
        data: Examples in any form that `fit` takes and that can be read again: the first 1,000 judge both files, by
            their labels and against the dense Keras model. Defaults to `None`: `calibrate`, else random inputs.
        calibrate: Inputs that calibrate the files and check them against their Keras models; for an honest figure not
            those that judge. Defaults to the inputs of `data`.
        loss: The loss, or its name. Defaults to the compiled one of the dense or the slim model, else to
            classification if the labels are class indices.
        size: Size of the inputs, see `kp.trace`, if that of the models is free. Defaults to that of `data`.
        overwrite: Replace an existing file. Defaults to `False`.

    Returns:
        The measures of both, which can be printed.

    Raises:
        PruneError: The models differ in inputs or outputs, or as for `kp.export.tflite`.

    Example:
        >>> import tempfile, keras, kerasprune as kp
        >>> from pathlib import Path
        >>> inputs = keras.Input((8,))
        >>> x = keras.layers.Dense(32, activation="relu", name="first")(inputs)
        >>> dense = keras.Model(inputs, keras.layers.Dense(3)(x))
        >>> slim = kp.rebuild(dense, kp.plan(dense, keep=0.5))
        >>> report = kp.export.beside(slim, dense, Path(tempfile.mkdtemp()) / "slim.tflite")
        >>> report.slim.bytes < report.dense.bytes, report.gain.operators[1], report.gain.unexpected
        (True, {'FULLY_CONNECTED': 2}, ())
    """
    form = formats.member(format)
    _check_pair(dense, slim)
    models = dense, slim
    data = calibrate if data is None else data
    examples = None if data is None else Examples(data, inputs=len(keras.tree.flatten(dense.inputs)))
    labelled = examples is not None and examples.labelled
    objective = _objective(dense, slim, loss, examples.labels) if labelled else Objective()
    if is_graph(dense):
        check_examples(dense, objective, examples)
    inputs = _inputs(dense, form, examples, size)  # before anything is written
    if is_graph(dense) and has_free_axes(dense):
        size = size or free_size(dense, [each.shape for each in inputs[0]])
    options = {"data": data if calibrate is None else calibrate, "size": size}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / f"dense{form.suffix}"
        written = form.write(slim, Path(path), **options, overwrite=overwrite)
        reports, ratios = in_turn([form.write(dense, place, **options, overwrite=False), written])
        files = [form.open(report.path, model) for model, report in zip(models, reports, strict=True)]
        return SideBySide(
            *reports,
            **_judged(models, files, examples, objective, inputs),
            inputs="random" if data is None else "calibration" if form.calibrates and calibrate is None else "data",
            gain=_gain(models, reports, ratios, form, size),
        )


def _check_pair(dense: keras.Model, slim: keras.Model) -> None:
    """Raises if two models are no models, or differ in inputs or outputs."""
    raise_faults("Invalid arguments for beside:", kind_faults(keras.Model, "", slim=slim, dense=dense))
    for model in (slim, dense):
        check_finite_weights(model)
    if not (is_graph(dense) and is_graph(slim)):
        return
    faults = []
    for name in ("inputs", "outputs"):
        shapes = [[tuple(each.shape[1:]) for each in getattr(model, name)] for model in (dense, slim)]
        if shapes[0] != shapes[1]:
            faults.append(
                f"Expected a dense model with the {name} of the slim one, {shapes[1]}. Received: {shapes[0]}. "
                "Give the model that the slim one was made from."
            )
    raise_faults("The models are not comparable:", faults)


def _inputs(dense: keras.Model, form: Format, examples: Examples | None, size: Size | None) -> list[FlatInputs]:
    """Returns batches of the inputs that both files are compared with the dense model on; random ones without data."""
    if examples is not None:
        return list(example_batches(dense, examples.inputs, JUDGED))
    free = form.precision is None  # a SavedModel leaves free sides free
    signature = signature_of(dense) if free else static_signature(dense, None, size)
    return list(samples_for(dense, signature, None, size).batches())


def _judged(
    models: tuple[keras.Model, keras.Model], files: list[Function], examples: Examples | None, objective: Objective,
    inputs: list[FlatInputs],
) -> dict[str, Any]:  # fmt: skip
    """Returns metrics, agreement and error of the files."""
    dense, slim = models
    metrics, judged = [], 0
    if objective.loss is not None:
        for model, run in zip(models, files, strict=True):
            found, judged = metrics_of(run, model, objective, examples, _MOST)
            metrics.append(found)
    near = [beside_dense(run, dense, inputs, objective.loss) for run in files]
    return {
        "metrics": {name: (metrics[0][name], metrics[1][name]) for name in (metrics[0] if metrics else ())},
        "judged": judged,
        **{name: tuple(each[f"dense_{name}"] for each in near) for name in ("agreement", "balanced")},
        "error": tuple(each["dense_error"] for each in near),
        "compared": sum(len(batch[0]) for batch in inputs),
    }


def _objective(dense: keras.Model, slim: keras.Model, loss: Any, labels: Any) -> Objective:
    """Returns the loss and metrics of labels; an empty one if they are not known."""
    found = next((each for each in (of_model(dense, loss), of_model(slim)) if each.loss is not None), Objective())
    classes = len(dense.outputs) == 1 and len(dense.outputs[0].shape) == 2 and dense.outputs[0].shape[1] > 1
    if found.loss is not None or not classes or not is_array(labels):
        return found
    indices = tuple(labels.shape[1:]) in ((), (1,)) and "int" in str(labels.dtype)
    return classification(dense) if indices else found


def _gain(
    models: tuple[keras.Model, keras.Model], reports: list[ExportReport], ratios: list[float], form: Format,
    size: Size | None,
) -> FileGain:  # fmt: skip
    """Returns the gain with operators timed alone, since LiteRT's interpreter for Python does not profile them."""
    try:  # a model may have layers that cannot be read, or leave a side free
        graphs = tuple(trace(plain(model), unknown="freeze", size=size) for model in models)
        macs = tuple(cost(graph).macs for graph in graphs)
    except PruneError:
        return file_gain(models[1], reports, ratios, None)
    gain = file_gain(models[1], reports, ratios, macs)
    return gain if form.precision is None else replace(gain, alone=tuple(times_of_operators(*graphs, form.precision)))
