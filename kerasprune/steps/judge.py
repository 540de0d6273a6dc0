"""Measures models after a step: loss, metrics and the error of the outputs; chooses the nearer of two models."""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np

from kerasprune._keras import first_metric, structures
from kerasprune.backend.tracing import traced_for_each_model
from kerasprune.criteria.labels import check_labels
from kerasprune.criteria.objective import losses_by_output
from kerasprune.data.examples import Examples
from kerasprune.data.forms import as_numpy
from kerasprune.data.signature import inputs_of, is_graph
from kerasprune.defaults import JUDGED
from kerasprune.errors import PruneError, warn
from kerasprune.graph.built_model import functional
from kerasprune.steps.objective import Objective
from kerasprune.steps.report import Measure, StepReport
from kerasprune.surgery.comparison import outputs_of, relative_error
from kerasprune.surgery.random_inputs import looked_up

_BATCHES = 50  # of a data set, whose tokens are looked at


class Judge:
    """Measures models, and compares them with the dense one, on the same examples.

    `measure` is set when a model is measured: the first compiled metric if its direction is known, else the loss;
    without labels the error of the outputs.

    Args:
        dense: The dense model; if `None`, outputs are not compared.
        objective: The loss and the metrics.
        examples: The examples; if `None`, nothing is measured.
    """

    def __init__(self, dense: keras.Model | None, objective: Objective, examples: Examples | None) -> None:
        self.dense, self.objective, self.examples = dense, objective, examples
        self.measure = Measure("error")
        self._twins: WeakKeyDictionary[keras.Model, keras.Model] = WeakKeyDictionary()  # over the same layers

    def step(self, name: str, model: keras.Model) -> StepReport:
        """Returns the report of the model after a step; the error of the dense model itself is 0."""
        if self.examples is None:
            return StepReport(name, None, {})
        return StepReport(name, self._error(model), self.metrics(model))

    def _error(self, model: keras.Model) -> float | None:
        if self.dense is None or model is self.dense:
            return None if self.dense is None else 0.0
        return relative_error(self._outputs(model), self._wanted)

    def metrics(self, model: keras.Model) -> dict[str, float]:
        """Returns loss and metrics; empty without labels or a loss.

        Raises:
            PruneError: The labels do not fit the loss.
        """
        if not self.examples.labelled or self.objective.loss is None:
            return {}
        if model not in self._twins:
            self._twins[model] = self.objective.compile(keras.Model(*structures(functional(model))))
        twin = self._twins[model]
        try:
            with traced_for_each_model():
                found = twin.evaluate(**self.examples.fit_arguments(), verbose=0, return_dict=True)
            first, higher = first_metric(twin) or ("loss", False)
            self.measure = Measure("loss") if higher is None else Measure(first, higher)
            return found
        except Exception:
            losses, _ = losses_by_output(twin)
            for batch in self.examples.batches():  # if labels are the reason, these name them
                check_labels(twin, losses, batch[1])
            raise

    def prepare(self, model: keras.Model) -> None:
        """Traces the evaluation of a model in its present state, unless it was measured before."""
        if model not in self._twins:
            self.metrics(model)

    def worth(self, model: keras.Model) -> float:
        """Returns the value of a model by the measure, higher = better."""
        step = StepReport("", None, self.metrics(model))
        return self.measure.worth(step if step.metrics else self.step("", model))

    @cached_property
    def _first(self) -> list[Any]:
        """The first examples in batches, read once, since a data set may shuffle."""
        return list(self.examples.first(self.dense, JUDGED))

    @cached_property
    def _wanted(self) -> list[Any]:
        return self._outputs(self.dense)

    def _outputs(self, model: keras.Model) -> list[Any]:
        """Returns the outputs of a model on the same examples, batch by batch."""
        given = structures(functional(model))[0]
        return [outputs_of(model, keras.tree.pack_sequence_as(given, batch)) for batch in self._first]


def check_examples(model: keras.Model, objective: Objective, *given: Examples | None) -> None:
    """Checks labels against the loss.

    Args:
        model: The dense model.
        objective: The loss.
        given: Examples; of unlabelled ones only names and tokens are checked.

    Raises:
        PruneError: The shape of labels does not fit the loss, they are classes that the model does not have, or they
            are among the inputs; or a token is not in the table of its `Embedding`.
    """
    found = [each for each in dict.fromkeys(given) if each is not None]
    labelled = [each for each in found if each.labelled]
    for each in found:
        if not is_graph(model):
            continue
        if not each.labelled:
            inputs_of(model).check_no_labels(each.first_inputs)
        _check_tokens(model, each)
    if not labelled or objective.loss is None:
        return
    twin = objective.compile(keras.Model(*structures(functional(model))))
    losses, _ = losses_by_output(twin)
    for each in labelled:
        check_labels(twin, losses, each.labels)


def _check_tokens(model: keras.Model, examples: Examples) -> None:
    """Raises if integers that an `Embedding` looks up are not in its table."""
    tables = [entries.table for entries in looked_up(model)]
    if not any(tables):
        return
    signature = inputs_of(model)
    for batch in [examples.data] if examples.arrays else islice(examples.batches(), _BATCHES):
        inputs = batch[0] if isinstance(batch, tuple) else batch
        for spec, table, array in zip(signature.inputs, tables, signature.flatten(inputs), strict=True):
            numbers = as_numpy(array) if table else np.zeros(0)
            if numbers.size and numbers.dtype.kind in "iuf" and not 0 <= numbers.min() <= numbers.max() < table:
                raise PruneError(
                    f"Expected numbers from 0 to {table - 1} for the input {spec.name!r}, which an Embedding looks up. "
                    f"Received: {numbers.min():g} to {numbers.max():g}. Give the unknown ones a number of the table."
                )


NO_GAIN = (
    "Reconstruction has led away from the outputs of the dense model: the kernels are not changed. Give more examples."
)


def nearer(
    judge: Judge, slim: keras.Model, solved: keras.Model, before: StepReport | None = None
) -> tuple[keras.Model, StepReport | None]:
    """Returns the solved model and its report, unless its outputs are further from the dense model's.

    Args:
        judge: Measures both.
        slim: The model after removal.
        solved: The reconstructed model.
        before: The report of `slim`. Defaults to `None`: it is measured here.

    Returns:
        The solved model and its report; or `slim` and `None`, with a warning.
    """
    found = judge.step("reconstructed", solved)
    if not found.is_further_than(before or judge.step("removed", slim)):
        return solved, found
    warn(NO_GAIN)
    return slim, None
