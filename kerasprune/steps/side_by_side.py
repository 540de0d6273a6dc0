"""`beside`: the files of a slim and of its dense model, measured beside each other."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from kerasprune.costs.cost import cost
from kerasprune.data.batches import example_batches
from kerasprune.data.examples import Examples
from kerasprune.data.signature import is_graph
from kerasprune.defaults import JUDGED
from kerasprune.errors import PruneError, extras, kind_faults, raise_faults
from kerasprune.export.formats import Format, find
from kerasprune.export.report import ExportReport
from kerasprune.export.samples import samples_of
from kerasprune.export.tflite_export import static_signature
from kerasprune.export.tflite_graph import operators, unexpected
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.inlining.plain import plain
from kerasprune.latency.kinds import KindTimes, times_by_kind
from kerasprune.latency.measure import compare_latency
from kerasprune.reports.numbers import count, figure, milliseconds, percent, points, scientific, share
from kerasprune.steps.exported import beside_dense, metrics_of
from kerasprune.steps.objective import Objective, classification, of_model

_MOST = 1000  # examples that judge a file
_KINDS = 4  # shown, the others together

Both = tuple[float, float]
"""Of the dense and of the slim model."""


@dataclass(frozen=True)
class SideBySide:
    """The files of a dense and of a slim model in one format.

    Args:
        dense: The report on the dense model's file, which is not kept.
        slim: The report on the slim model's file.
        metrics: Loss and metrics of both files by labels. Empty without labels or a loss.
        judged: Number of examples of the metrics.
        agreement: Fraction of the inputs of the same class as by the dense Keras model, if the outputs are classes.
        error: Error of the outputs against the dense Keras model, as `kp.prune` reports it.
        time_ratio: Time of the slim file ÷ that of the dense one, median over rounds. `None` for a SavedModel.
        macs: Multiply–adds of both models. `None` if a model cannot be traced.
        operators: The operators in both files, with their numbers. Empty for a SavedModel.
        unexpected: Operators that the dense file has fewer of, that change between integers and floats inside the
            graph, or that are custom.
        kinds: The times of operators by kind, each measured alone.
    """

    dense: ExportReport
    slim: ExportReport
    metrics: Mapping[str, Both]
    judged: int
    agreement: tuple[float | None, float | None]
    error: Both
    time_ratio: float | None
    macs: tuple[int, int] | None
    operators: tuple[Mapping[str, int], Mapping[str, int]]
    unexpected: Mapping[str, int]
    kinds: tuple[KindTimes, ...]

    @property
    def arrives(self) -> float | None:
        """The gain in time ÷ the gain in multiply–adds, `(t₀ ÷ t) ÷ (m₀ ÷ m)`; 1 if time falls as they do."""
        if self.time_ratio is None or self.macs is None or not all(self.macs):
            return None
        return self.macs[1] / self.macs[0] / self.time_ratio

    def __str__(self) -> str:
        rows = [(self.slim.format, "dense", "slim", "slim ÷ dense"), *self._measures(), *self._operators()]
        widths = [max(len(row[at]) for row in rows) for at in range(4)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(widths[at]) for at, cell in enumerate(row[1:], 1))])
            for row in rows
        ]
        return "\n".join(line.rstrip() for line in [*lines, *self._sentences()])

    def _measures(self) -> list[tuple[str, str, str, str]]:
        rows = []
        for name, (dense, slim) in self.metrics.items():
            form, change = (percent, points(slim - dense)) if name == "accuracy" else (figure, "")
            rows.append((f"{name}, {self.judged} examples", form(dense), form(slim), change))
        if self.agreement[1] is not None:
            rows.append(("same class as dense Keras", *map(percent, self.agreement), ""))
        rows.append(("error of the outputs", *map(scientific, self.error), ""))
        reports = (self.dense, self.slim)
        if self.time_ratio is not None:
            rows.append(("ms", *(milliseconds(each.latency_ms) for each in reports), figure(self.time_ratio)))
        if self.macs is not None:
            rows.append(_row("multiply–adds (MACs)", self.macs))
        rows.append(_row("bytes", [each.bytes for each in reports]))
        rows.append(_row("bytes in gzip", [each.gzip_bytes for each in reports]))
        if any(self.operators):
            rows.append(_row("operators", [sum(each.values()) for each in self.operators]))
        return rows

    def _operators(self) -> list[tuple[str, str, str, str]]:
        shown, others = self.kinds[:_KINDS], self.kinds[_KINDS:]
        rows = [
            (f"{one.kind} alone, ms", *map(milliseconds, one.milliseconds), _ratio(one.milliseconds)) for one in shown
        ]
        if others:
            both = tuple(sum(one.milliseconds[side] for one in others) for side in (0, 1))
            rows.append((f"{len(others)} other kinds, ms", *map(milliseconds, both), _ratio(both)))
        return rows

    def _sentences(self) -> list[str]:
        lines = []
        if self.time_ratio is None:
            lines.append("Time is not measured: the threads of a SavedModel belong to the process.")
        else:
            found = ", ".join(f"{number} {name}" for name, number in self.unexpected.items())
            lines.append(f"Not expected in the slim file: {found or 'nothing'}.")
        if self.macs is not None and self.macs[1] >= self.macs[0]:
            lines.append("The slim model has no fewer multiply–adds than the dense one.")
        elif self.arrives is not None:
            lines.append(f"Of the gain in MACs {figure(self.arrives)} arrives as time: (t₀ ÷ t) ÷ (m₀ ÷ m).")
            lines += self._lost()
        return lines

    def _lost(self) -> list[str]:
        """Returns sentences on the milliseconds beyond those that MACs explain, and on those of one channel."""
        kept = self.macs[1] / self.macs[0]
        whole = self.slim.latency_ms - kept * self.dense.latency_ms
        if not self.kinds or whole <= 0:
            return []
        beyond = {one.kind: one.milliseconds[1] - kept * one.milliseconds[0] for one in self.kinds}
        beyond["between operators"] = whole - sum(beyond.values())
        largest = sorted((name for name in beyond if beyond[name] > 0), key=lambda name: -beyond[name])[:_KINDS]
        parts = ", ".join(f"{name} {milliseconds(beyond[name])}" for name in largest)
        started, total = (
            sum(getattr(one, name)[1] for one in self.kinds) for name in ("at_one_channel", "milliseconds")
        )
        return [
            f"The slim file takes {milliseconds(whole)} ms more than its share of the MACs: {parts}.",
            f"{share(started / total)} of its operators' time is there with one channel each: no width saves it.",
        ]


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
    loss: Any = None,
    size: int | None = None,
    overwrite: bool = False,
) -> SideBySide:
    """Writes a slim model as `kp.export.tflite` does, and measures its file beside the dense model's.

    Both files are timed in turn; their operators are also converted and timed alone, by kind, since LiteRT has no
    profiler for Python: that takes some seconds, half a minute for large models.

    Args:
        slim: The slim model.
        dense: The dense model, with the same inputs and outputs. Its file is written to a temporary folder.
        path: The file or folder to write.
        format: `"saved_model"`, `"tflite"`, `"tflite-float16"`, `"tflite-dynamic"`, `"tflite-int8"`,
            `"tflite-int8-io"` (integers in and out) or `"tflite-int16x8"`. Defaults to `"tflite"`.
        data: Examples in any form that `fit` takes and that can be read again: their inputs calibrate the file and
            check it, their labels judge both files, the first 1,000. Defaults to `None`: random inputs.
        loss: The loss, or its name. Defaults to the compiled one of the dense or the slim model, else to
            classification if the labels are class indices.
        size: Side in pixels, if that of the models is free. Defaults to that of `data`.
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
        >>> report.slim.bytes < report.dense.bytes, report.operators[1], report.unexpected
        (True, {'FULLY_CONNECTED': 2}, {})
    """
    form = find(format)
    _check_pair(dense, slim)
    examples = None if data is None else Examples(data, inputs=len(keras.tree.flatten(dense.inputs)))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / f"dense{form.suffix}"
        written = form.write(slim, Path(path), data=data, size=size, overwrite=overwrite)
        reports = [form.write(dense, place, data=data, size=size, overwrite=False), written]
        return SideBySide(
            **_judged((dense, slim), reports, examples, loss, size),
            **_timed((dense, slim), reports, form, _side(dense, data, size)),
        )


def _check_pair(dense: keras.Model, slim: keras.Model) -> None:
    """Raises if two models are no models, or differ in inputs or outputs."""
    raise_faults("Invalid arguments for beside:", kind_faults(keras.Model, "", slim=slim, dense=dense))
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


def _side(model: keras.Model, data: Any, size: int | None) -> int | None:
    """Returns the side of the inputs if it is free, `None` if it is not or is not known."""
    if size is not None or not is_graph(model) or None not in model.inputs[0].shape[1:] or data is None:
        return size
    return static_signature(model, data, None).inputs[0].shape[0]


def _judged(
    models: tuple[keras.Model, keras.Model], reports: list[ExportReport], examples: Examples | None, loss: Any,
    size: int | None,
) -> dict[str, Any]:  # fmt: skip
    """Returns metrics, agreement and error of the files."""
    dense, slim = models
    metrics, judged = [], 0
    objective = Objective() if examples is None or not examples.labelled else _objective(dense, slim, loss, examples)
    if objective.loss is not None:
        for model, report in zip(models, reports, strict=True):
            found, judged = metrics_of(report.path, model, objective, examples, _MOST)
            metrics.append(found)
    if examples is not None:
        batches = list(example_batches(dense, examples.inputs, JUDGED))
    else:
        static = reports[1].latency_ms is not None
        signature = static_signature(dense, None, size)
        batches = list(samples_of(signature).batches()) if static else list(samples_of(signature).batches())
    near = [beside_dense(report.path, model, dense, batches) for model, report in zip(models, reports, strict=True)]
    return {
        "metrics": {name: (metrics[0][name], metrics[1][name]) for name in (metrics[0] if metrics else ())},
        "judged": judged,
        "agreement": tuple(each["dense_agreement"] for each in near),
        "error": tuple(each["dense_error"] for each in near),
    }


def _objective(dense: keras.Model, slim: keras.Model, loss: Any, examples: Examples) -> Objective:
    """Returns the loss and metrics of labels; an empty one if they are not known."""
    found = next((each for each in (of_model(dense, loss), of_model(slim)) if each.loss is not None), Objective())
    labels = examples.labels
    indices = not isinstance(labels, dict | tuple | list) and len(labels.shape) == 1 and "int" in str(labels.dtype)
    classes = len(dense.outputs) == 1 and len(dense.outputs[0].shape) == 2 and dense.outputs[0].shape[1] > 1
    return classification(dense) if found.loss is None and indices and classes else found


def _timed(
    models: tuple[keras.Model, keras.Model], reports: list[ExportReport], form: Format, side: int | None
) -> dict[str, Any]:
    """Returns both reports with latencies that were measured in turn, and the measures of time."""
    graphs = _graphs(models, side)
    macs = None if graphs is None else tuple(cost(graph).macs for graph in graphs)
    if form.precision is None:
        return {
            "dense": reports[0], "slim": reports[1], "time_ratio": None, "macs": macs, "operators": ({}, {}),
            "unexpected": {}, "kinds": (),
        }  # fmt: skip
    paths = [report.path for report in reports]
    timed = compare_latency(paths)
    dense, slim = (
        replace(report, latency_ms=one.median_ms) for report, one in zip(reports, timed.latencies, strict=True)
    )
    return {
        "dense": dense,
        "slim": slim,
        "time_ratio": timed.ratios[1],
        "macs": macs,
        "operators": tuple(dict(Counter(operators(path))) for path in paths),
        "unexpected": unexpected(paths[1], paths[0]),
        "kinds": () if graphs is None else times_by_kind(*graphs, form.precision),
    }


def _graphs(models: tuple[keras.Model, keras.Model], side: int | None) -> tuple[ChannelGraph, ChannelGraph] | None:
    """Returns the graphs of both models; `None` if one cannot be traced, or leaves a side free."""
    try:
        dense, slim = (trace(plain(model), unknown="freeze", resolution=side) for model in models)
        cost(dense), cost(slim)
    except PruneError:
        return None
    return dense, slim
