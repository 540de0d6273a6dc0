"""A figure of a model, or of its file, as a function of what the examples add up to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import isclose
from typing import Any

import keras
import numpy as np
from keras import metrics, ops, tree

from kerasprune._keras import compiled_loss, compiled_metrics, mask_of, metrics_by_name, put_mask, structures
from kerasprune.backend.derivatives import measurement
from kerasprune.backend.engine import full_precision
from kerasprune.data.batches import Batch, batches
from kerasprune.data.examples import Examples
from kerasprune.data.signature import signature_of
from kerasprune.graph.built_model import body_of
from kerasprune.steps.objective import Objective
from kerasprune.steps.paired_drop import MeanTally, SumsTally, Tally

LOSS = "loss"
_SAME = 1e-3  # relative difference of the figure of all examples from that of their sums

Run = Callable[[list[np.ndarray]], Sequence[Any]]
"""Flat inputs of a batch → its flat outputs: arrays, or tensors with their masks."""


def tally_figure(run: Run, model: keras.Model, objective: Objective, examples: Examples, name: str) -> Tally | None:
    """Returns a compiled metric, or the loss, as a function of sums over examples.

    What an example adds is the state of the metric after this example alone. `None` if the sums do not give the figure
    of all examples, as of a loss that compares the examples of a batch.

    Args:
        run: The model, or its exported file.
        model: The Keras model, for its inputs and outputs.
        objective: The loss and the metrics.
        examples: Labelled examples.
        name: A key of the results of `evaluate`.
    """
    judge = objective.compile(keras.Model(*structures(body_of(model))))
    structure = structures(body_of(model))[1]
    counting = (_LossStates if name == LOSS else _MetricStates)(judge, name)
    with full_precision():
        for batch, made in outputs_of_batches(run, model, examples):
            counting.add(batch, tree.pack_sequence_as(structure, [_real(each) for each in made]))
    sums = np.concatenate(counting.sums).astype("float64")
    found = MeanTally(*sums.T) if counting.figure is None else SumsTally(sums, counting.figure)
    return found if isclose(found.value, counting.value, rel_tol=_SAME, abs_tol=1e-6) else None


def outputs_of_batches(run: Run, model: keras.Model, examples: Examples) -> Iterator[tuple[Batch, Sequence[Any]]]:
    """Yields labelled batches and their flat outputs.

    Args:
        run: The model, or its exported file.
        model: The Keras model, for its inputs.
        examples: Labelled examples.
    """
    signature = signature_of(model)
    for batch in batches(examples.batches(), model):
        yield batch, run(signature.cast(signature.checked(batch.inputs)))


class _MetricStates:
    """What examples add to the state of a metric; `figure` is the metric of a state, `None` for a mean.

    Args:
        judge: A model with the outputs, compiled.
        name: The name of the metric.
    """

    def __init__(self, judge: keras.Model, name: str) -> None:
        self._compiled, self._name = compiled_metrics(judge), name
        self.sums: list[np.ndarray] = []
        self.figure: Callable[[np.ndarray], float] | None = None

    def add(self, batch: Batch, outputs: Any) -> None:
        """Adds the examples of a batch."""
        self._compiled.update_state(batch.labels, outputs, batch.weights)
        if not self.sums:
            self._prepare()
        self.sums.append(self._states(batch, outputs))

    @property
    def value(self) -> float:
        """The metric of all examples."""
        return float(self._metric.result())

    def _prepare(self) -> None:
        """Looks the metric up, which Keras makes with the first batch."""
        metric = self._metric = metrics_by_name(self._compiled)[self._name]
        mean = isinstance(metric, metrics.Mean) and type(metric).result is metrics.Mean.result

        def state(labels: Any, outputs: Any, weights: Any) -> Any:
            with keras.StatelessScope() as scope:
                self._compiled.reset_state()
                self._compiled.update_state(labels, outputs, weights)
            found = [scope.get_current_value(each) for each in metric.variables]
            return ops.concatenate([ops.reshape(ops.cast(each, "float32"), (-1,)) for each in found])

        def figure(total: np.ndarray) -> float:
            ends = np.cumsum([np.prod(each.shape, dtype=int) for each in metric.variables])[:-1]
            pairs = zip(metric.variables, np.split(total, ends), strict=True)
            state = [(v, ops.convert_to_tensor(part.reshape(v.shape), dtype=v.dtype)) for v, part in pairs]
            with keras.StatelessScope(state):
                return float(metric.result())

        self._states, self.figure = _of_examples(state), None if mean else figure


class _LossStates:
    """The loss of every example, and its weight of 1.

    Args:
        judge: A model with the outputs, compiled.
        name: Not used.
    """

    figure = None

    def __init__(self, judge: keras.Model, name: str) -> None:
        self.sums: list[np.ndarray] = []
        self._judge, self._of_batches = judge, []
        self._losses = _of_examples(partial(compiled_loss, judge))

    def add(self, batch: Batch, outputs: Any) -> None:
        """Adds the examples of a batch."""
        self._of_batches.append((float(compiled_loss(self._judge, batch.labels, outputs, batch.weights)), batch.size))
        losses = self._losses(batch, outputs)
        self.sums.append(np.stack([losses, np.ones_like(losses)], axis=1))

    @property
    def value(self) -> float:
        """The loss of all examples, as evaluation averages it over batches."""
        values, sizes = zip(*self._of_batches, strict=True)
        return float(np.average(values, weights=sizes))


def _of_examples(function: Callable[[Any, Any, Any], Any]) -> Callable[[Batch, Any], np.ndarray]:
    """Returns a function of a batch and its outputs: the results of another for every example alone, as one program.

    Args:
        function: `function(labels, outputs, weights)` returns a tensor.
    """

    def of_batch(parts: Any) -> Any:
        leaves = tree.flatten(parts)
        given = [place for place, each in enumerate(leaves) if each is not None]

        def of_one(rows: list[Any]) -> Any:
            alone = dict(zip(given, (ops.expand_dims(row, 0) for row in rows), strict=True))
            labels, outputs, weights, masks = tree.pack_sequence_as(parts, [alone.get(n) for n in range(len(leaves))])
            return function(labels, _masked(outputs, masks), weights)

        return ops.map(of_one, [leaves[place] for place in given])

    program = measurement(of_batch, [])
    return lambda batch, outputs: program(
        (batch.labels, outputs, batch.weights, [mask_of(each) for each in tree.flatten(outputs)])
    )


def _masked(outputs: Any, masks: Sequence[Any]) -> Any:
    """Returns outputs with their masks, which a slice of them has lost."""
    for output, mask in zip(tree.flatten(outputs), masks, strict=True):
        if mask is not None:
            put_mask(output, mask)
    return outputs


def _real(output: Any) -> Any:
    """Returns an output whose floats are float32, with its mask."""
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(output.dtype)):
        return output
    mask, real = mask_of(output), ops.cast(output, "float32")
    return _masked(real, [mask])
