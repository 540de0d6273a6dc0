"""Judges exported files: by labels, or without any by the outputs of the dense model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from kerasprune._keras import structures
from kerasprune.data.arrays_or_batches import as_numpy
from kerasprune.data.batches import Batches, batches
from kerasprune.data.examples import Examples
from kerasprune.data.signature import signature_of
from kerasprune.export.parity import Function, keras_function
from kerasprune.graph.built_model import body_of
from kerasprune.steps.objective import Objective
from kerasprune.surgery.output_distance import distances, error_of_quantities, least_agreement
from kerasprune.surgery.output_kind import last_axes


def metrics_of(
    run: Function, model: keras.Model, objective: Objective, examples: Examples, most: int
) -> tuple[dict[str, float], int]:
    """Returns loss and metrics of an exported file, and the number of examples that they are measured on.

    Args:
        run: The file as a function from flat inputs to flat outputs.
        model: The Keras model that was exported.
        objective: The loss and the metrics.
        examples: Labelled examples.
        most: Largest number of examples.
    """
    signature = signature_of(model)
    twin = objective.compile(outputs_alone(model))
    sizes = [batch.size for batch in batches(examples.batches(), model, most)]

    def rows() -> Iterator[tuple]:  # one batch after another, since outputs may be large
        for inputs, *beside in batches(examples.batches(), model, most):
            outputs = [_real(each) for each in run(signature.cast(signature.checked(inputs)))]
            wanted = keras.tree.map_structure(as_numpy, beside, none_is_leaf=False)
            yield tuple(outputs), *(each for each in wanted if each is not None)

    return twin.evaluate(rows(), steps=len(sizes), verbose=0, return_dict=True), sum(sizes)


def beside_dense(run: Function, dense: keras.Model, examples: Batches, loss: Any = None) -> dict[str, float | None]:
    """Returns how near the outputs of an exported file are to those of the dense Keras model.

    Args:
        run: The file as a function from flat inputs to flat outputs.
        dense: The dense model, with the same inputs.
        examples: Batches of flat inputs.
        loss: The loss, which tells outputs of classes. Defaults to the compiled one.

    Returns:
        `"dense_agreement"`, the fraction of examples of the same class (of the worst output of classes, `None` without
        one), `"dense_balanced"`, the mean of it over the classes of the dense model, and `"dense_error"`, as
        `error_of_quantities` defines it.
    """
    functions = keras_function(dense, signature_of(dense)), run
    pairs = ([function(batch) for function in functions] for batch in examples)
    found = distances(pairs, last_axes(dense, loss))
    least = least_agreement(found)
    return {
        "dense_agreement": least and least.agreement,
        "dense_balanced": least and least.balanced,
        "dense_error": error_of_quantities(found),
    }


def outputs_alone(model: keras.Model) -> keras.Model:
    """Returns a model whose inputs and outputs are the outputs of another, so that Keras judges given outputs."""
    graph = body_of(model)
    _, outputs = structures(graph)
    leaves = keras.tree.flatten(outputs)
    given = [keras.Input(each.shape[1:], dtype=_type(each.dtype)) for each in leaves]
    names = graph.output_names if len({*graph.output_names}) == len(leaves) else [None] * len(leaves)
    same = [keras.layers.Identity(name=n, dtype=x.dtype)(x) for n, x in zip(names, given, strict=True)]
    return keras.Model(given, keras.tree.pack_sequence_as(outputs, same))


def _type(dtype: Any) -> str:
    return "float32" if keras.backend.is_float_dtype(dtype) else keras.backend.standardize_dtype(dtype)


def _real(array: np.ndarray) -> np.ndarray:
    return array.astype(_type(array.dtype), copy=False)
