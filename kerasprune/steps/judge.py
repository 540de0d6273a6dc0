"""Measures models after a step: loss, metrics and the error of the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import keras

from kerasprune._keras import first_metric, structures
from kerasprune.backend.devices import with_remainders
from kerasprune.backend.engine import full_precision
from kerasprune.backend.tracing import traced_for_each_model
from kerasprune.criteria.batch_loss import losses_by_output
from kerasprune.criteria.data_checks import check_inputs, check_targets, explain_errors
from kerasprune.data.arrays_or_batches import row_count
from kerasprune.data.examples import Examples
from kerasprune.defaults import JUDGED
from kerasprune.graph.built_model import body_of
from kerasprune.steps.objective import Objective
from kerasprune.steps.report import BALANCED, Measure, StepReport
from kerasprune.surgery.comparison import fresh_states, outputs_of
from kerasprune.surgery.output_distance import distances, error_of_quantities, least_agreement
from kerasprune.surgery.output_kind import gives_class_numbers, last_axes

if TYPE_CHECKING:
    from kerasprune.steps.judged_figures import Figure

_BATCHES = 50  # of a data set, whose tokens are looked at


class Judge:
    """Measures models, and compares them with the dense one, on the same examples.

    `measure` is set when a model is measured: the first compiled metric if its direction is known, else the loss;
    without labels the balanced agreement, if an output is classes, else the error of the outputs.

    Args:
        dense: The dense model; if `None`, outputs are not compared.
        objective: The loss and the metrics.
        examples: The examples; if `None`, nothing is measured.
        figure: What models of labelled examples are compared by. Defaults to `None`: see above.
    """

    def __init__(
        self,
        dense: keras.Model | None,
        objective: Objective,
        examples: Examples | None,
        figure: Figure | None = None,
    ) -> None:
        self.dense, self.objective, self.examples, self._figure = dense, objective, examples, figure
        self._axes = {} if dense is None else last_axes(dense, objective.loss)
        self._chooses = (
            any(axis.classes for axis in self._axes.values()) or dense is not None and gives_class_numbers(dense)
        )
        self.measure = Measure(BALANCED, True) if self._chooses else Measure("error")
        self._twins: WeakKeyDictionary[keras.Model, keras.Model] = WeakKeyDictionary()  # over the same layers

    def step(self, name: str, model: keras.Model) -> StepReport:
        """Returns the report of the model after a step; the error of the dense model itself is 0."""
        if self.examples is None:
            return StepReport(name, None, {})
        if self.dense is None or model is self.dense:
            same = None if self.dense is None else 0.0
            return StepReport(name, same, self.metrics(model), balanced=1.0 if self._chooses else None)
        made = self._outputs(model)
        found = tuple(distances(zip(self._wanted, made, strict=True), self._axes))
        least = least_agreement(found)
        error, balanced = error_of_quantities(found), least and least.balanced
        return StepReport(name, error, self.metrics(model), balanced=balanced, outputs=found)

    def metrics(self, model: keras.Model) -> dict[str, float]:
        """Returns loss and metrics, in full precision; empty without labels, or without a loss and a figure.

        Raises:
            PruneError: The labels do not fit the loss.
        """
        found = self._evaluated(model)
        if self._figure is None:
            return found
        name, higher = self._figure.name, self._figure.higher
        if name not in found:
            from kerasprune.steps.judged_figures import run_of  # functions of users are rare

            found[name] = self._figure.tally(run_of(model)).value
        self.measure = Measure(name, higher, self._example if higher and "acc" in name else 0.0)
        return found

    def _evaluated(self, model: keras.Model) -> dict[str, float]:
        """Returns loss and metrics as compiled."""
        if not self.examples.labelled or self.objective.loss is None:
            return {}
        if model not in self._twins:
            self._twins[model] = self.objective.compile(keras.Model(*structures(body_of(model))))
        twin = self._twins[model]
        explained = explain_errors(twin, self.examples)
        with explained, traced_for_each_model(), with_remainders(), full_precision(), fresh_states(twin):
            found = twin.evaluate(**self.examples.fit_arguments(), verbose=0, return_dict=True)
        first, higher = first_metric(twin) or ("loss", False)
        example = self._example if higher and "acc" in first else 0.0
        self.measure = Measure("loss") if higher is None else Measure(first, higher, example)
        return found

    def prepare(self, model: keras.Model) -> None:
        """Traces the evaluation of a model in its present state, unless it was measured before."""
        if model not in self._twins:
            self.metrics(model)

    def worth(self, model: keras.Model, metrics: Mapping[str, float] | None = None) -> float:
        """Returns the value of a model by the measure, higher = better; its `metrics` are measured if not given."""
        step = StepReport("", None, self.metrics(model) if metrics is None else metrics)
        return self.measure.worth(step if step.metrics else self.step("", model))

    @cached_property
    def _example(self) -> float:
        """The share of one example; of batches, as if all were as large as the first."""
        count, unit = self.examples.count()
        return 1 / (count if unit == "examples" else count * row_count(self.examples.first_inputs))

    @cached_property
    def _first(self) -> list[Any]:
        """Some examples in batches, read once, since a data set may shuffle."""
        return list(self.examples.spread(self.dense, JUDGED))

    @cached_property
    def _wanted(self) -> list[Any]:
        return self._outputs(self.dense)

    def _outputs(self, model: keras.Model) -> list[Any]:
        """Returns the outputs of a model on the same examples, batch by batch."""
        given = structures(body_of(model))[0]
        return [outputs_of(model, keras.tree.pack_sequence_as(given, batch)) for batch in self._first]


def check_examples(model: keras.Model, objective: Objective, *given: Examples | None) -> None:
    """Checks inputs against the model, and labels against the loss.

    Args:
        model: The dense model.
        objective: The loss.
        given: Examples.

    Raises:
        PruneError: As `check_inputs`, and for labels with a loss as `check_targets`.
    """
    found = [each for each in dict.fromkeys(given) if each is not None]
    for each in found:
        check_inputs(model, each)
    labelled = [each for each in found if each.labelled]
    if not labelled or objective.loss is None:
        return
    twin = objective.compile(keras.Model(*structures(body_of(model))))
    losses, _ = losses_by_output(twin)
    for each in labelled:
        check_targets(twin, losses, each.labels)
