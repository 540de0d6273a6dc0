"""The figures by which models are judged beside the dense one: metrics, a user's own function, or the outputs alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol, runtime_checkable

import keras
import numpy as np

from kerasprune._keras import (
    call_operation,
    compiled_metrics,
    first_metric_of_outputs,
    metrics_by_name,
    more_is_better,
    structures,
)
from kerasprune.data.arrays_or_batches import as_numpy, rows_of
from kerasprune.data.batches import flat_inputs
from kerasprune.data.examples import Examples
from kerasprune.data.signature import signature_of
from kerasprune.errors import PruneError
from kerasprune.graph.built_model import body_of
from kerasprune.steps.exported import outputs_alone
from kerasprune.steps.objective import Objective
from kerasprune.steps.paired_drop import MeanTally, Tally
from kerasprune.steps.tallies import LOSS, Run, outputs_of_batches, tally_figure
from kerasprune.surgery.output_distance import OutputDistance, without_class_numbers
from kerasprune.surgery.output_kind import last_axes

AGREEMENT, ERROR = "agreement", "error of the outputs"


class Figure(Protocol):
    """A figure that is measured on given examples; more of it is better or not."""

    name: str
    higher: bool

    def tally(self, run: Run) -> Tally:
        """Returns the figure of a model, or of its file."""


@dataclass(frozen=True, eq=False)
class MetricFigure:
    """A compiled metric, or the loss.

    Args:
        name: Its name in the logs.
        higher: Whether more is better.
        model: The dense model.
        objective: The loss and the metrics.
        examples: Labelled examples.
    """

    name: str
    higher: bool
    model: keras.Model
    objective: Objective
    examples: Examples

    def tally(self, run: Run) -> Tally:
        """Returns the metric of a model, or of its file."""
        found = tally_figure(run, self.model, self.objective, self.examples, self.name)
        if found is None:
            raise PruneError(
                f"Expected a metric that every example adds to. Received: {self.name!r}, which depends on batches. "
                "Give another as metric=, or a function metric=f(model, validation)."
            )
        return found


@runtime_checkable
class Resampled(Protocol):
    """A user's own function that can judge every example once, for all samples of the examples."""

    def tally(self, model: keras.Model, data: Any) -> Tally:
        """Returns the figure as a function of how often every example counts."""


@dataclass(frozen=True, eq=False)
class OwnFigure:
    """A user's own function of a model and of labelled examples; more of it is better.

    The function is called with a model of which the outputs are known, and with these outputs in place of the inputs:
    so they are computed once for all samples of the examples. It is called again for each sample, unless it is
    `Resampled`.

    Args:
        function: `function(model, (x, y))` returns a number.
        model: The dense model.
        objective: The loss and the metrics.
        examples: Labelled examples.
    """

    function: Callable[[keras.Model, Any], float]
    model: keras.Model
    objective: Objective
    examples: Examples
    higher: bool = True

    @property
    def name(self) -> str:
        """The name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def tally(self, run: Run) -> Tally:
        """Returns the figure of a model, or of its file."""
        parts = []
        for batch, made in outputs_of_batches(run, self.model, self.examples):
            outputs = [as_numpy(each) for each in made]
            beside = keras.tree.map_structure(as_numpy, tuple(batch)[1:], none_is_leaf=False)
            parts.append((outputs[0] if len(outputs) == 1 else outputs, *(each for each in beside if each is not None)))
        known = keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)
        judge = self.objective.compile(_Known(*structures(body_of(outputs_alone(self.model)))))
        if isinstance(self.function, Resampled):
            return self.function.tally(judge, known)
        return _Drawn(self.function, judge, known)


class _Known(keras.Model):
    """A model whose inputs are its outputs: predicting them takes no time."""

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns the given outputs."""
        return x


@dataclass(frozen=True, eq=False)
class _Drawn(Tally):
    """A function of known outputs and their labels."""

    function: Callable[[keras.Model, Any], float]
    model: keras.Model
    known: tuple
    _found: dict[bytes, float] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(keras.tree.flatten(self.known)[0])

    def of(self, counts: np.ndarray) -> float:
        key = sha256(counts.tobytes()).digest()  # the dense model is drawn again beside every other
        if key not in self._found:
            rows = rows_of(self.known, np.repeat(np.arange(len(self)), counts))
            self._found[key] = self._value(rows)
        return self._found[key]

    def _value(self, rows: tuple) -> float:
        try:
            return float(self.function(self.model, rows))
        except Exception as error:
            raise PruneError(
                "Expected a function metric=f(model, (x, y)) that returns a number; it may call model.predict(x) and "
                f"model.evaluate(x, y). Received: {type(error).__name__}: {error}. Check it on the dense model."
            ) from error


@dataclass(frozen=True, eq=False)
class NearnessFigure:
    """How near outputs are to the dense model's: the agreement of classes, of the worst output, or the error.

    Args:
        name: `AGREEMENT` or `ERROR`.
        model: The dense model.
        objective: The loss, which tells outputs of classes.
        examples: Examples, with labels or without.
    """

    name: str
    model: keras.Model
    objective: Objective
    examples: Examples

    @property
    def higher(self) -> bool:
        """Whether more is better."""
        return self.name == AGREEMENT

    def tally(self, run: Run) -> Tally:
        """Returns the nearness of a model, or of its file."""
        dense, axes = run_of(self.model), last_axes(self.model, self.objective.loss)
        signature, rows = signature_of(self.model), []
        whole = [OutputDistance(name, *axis) for name, axis in axes.items()]
        for inputs in flat_inputs(signature, self.examples.inputs):
            pairs = [[as_numpy(each) for each in one(inputs)] for one in (dense, run)]
            for i in range(len(pairs[0][0])):
                alone = [OutputDistance(name, *axis) for name, axis in axes.items()]
                for each, total, a, b in zip(alone, whole, *pairs, strict=True):
                    each.add(a[i : i + 1], b[i : i + 1])
                    total.add(a[i : i + 1], b[i : i + 1])
                rows.append(alone)
        judged = without_class_numbers(whole)
        if self.name == ERROR:
            spread = sum(each.spread for each in judged)
            wrong = [sum(float(each.wrong.sum()) for each in without_class_numbers(row)) for row in rows]
            return MeanTally(np.array(wrong) * len(rows) / spread, np.ones(len(rows)))
        worst = min((n for n, each in enumerate(whole) if each.agreement is not None), key=lambda n: whole[n].agreement)
        return MeanTally(*(np.array([getattr(row[worst], name).sum() for row in rows]) for name in ("same", "counts")))


def run_of(model: keras.Model) -> Run:
    """Returns a model in inference as a function from flat inputs to flat outputs, tensors with their masks."""
    signature = signature_of(model)
    return lambda inputs: keras.tree.flatten(call_operation(model, signature.pack(inputs), training=False))


def metric_figures(
    model: keras.Model, objective: Objective, examples: Examples, metric: str | Callable[..., float] | None
) -> list[Figure]:
    """Returns a user's own function, or a compiled metric by name; without either the first of every output, or the
    loss.

    Args:
        model: The dense model.
        objective: The loss and the metrics.
        examples: Labelled examples.
        metric: A key of the results of `evaluate`, or `function(model, (x, y))`, of which more is better; or `None`.

    Raises:
        PruneError: There is no such metric, or it does not say whether more is better.
    """
    if callable(metric):
        return [OwnFigure(metric, model, objective, examples)]
    judge = objective.compile(outputs_alone(model))
    batch, made = next(outputs_of_batches(run_of(model), model, examples))
    judge.evaluate([as_numpy(each) for each in made], batch.labels, verbose=0)
    compiled = compiled_metrics(judge)
    known = {} if compiled is None else metrics_by_name(compiled)
    directions = {each: more_is_better(metric) for each, metric in known.items()} | {LOSS: False}
    if metric is not None and metric not in directions:
        raise PruneError(f"Expected metric to be one of {', '.join(directions)}. Received: metric={metric!r}.")
    wanted = [metric] if metric else first_metric_of_outputs(compiled) if known else []
    if metric and directions[metric] is None:
        raise PruneError(
            f"Expected a metric that says whether more is better. Received: metric={metric!r}, which does not. "
            "Give a function metric=f(model, validation), of which more is better."
        )
    wanted = [each for each in wanted if directions[each] is not None] or [LOSS]
    return [MetricFigure(each, directions[each], model, objective, examples) for each in wanted]
