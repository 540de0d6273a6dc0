"""Checks of a user's examples against a model and its losses: before they are used, or as the reason of an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import keras
import numpy as np

from kerasprune._keras import compile_arguments, structures
from kerasprune.criteria.batch_loss import losses_by_output
from kerasprune.criteria.labels import check_labels
from kerasprune.data.arrays_or_batches import as_numpy, batch_parts, batches_of
from kerasprune.data.examples import Examples
from kerasprune.data.refusals import check_arrays
from kerasprune.data.signature import Signature, by_key, flat, inputs_of, is_graph, keys_of
from kerasprune.errors import PruneError, first_of, nearest
from kerasprune.graph.built_model import body_of
from kerasprune.surgery.output_kind import output_names
from kerasprune.surgery.random_inputs import looked_up

_SEEN = 2  # batches, from which Keras takes shapes
_BATCHES = 50  # of a data set, whose tokens are looked at

Losses = Mapping[str, Any]
"""The loss of each output by its name; `None` for an output without one."""


def check_inputs(model: keras.Model, examples: Examples) -> None:
    """Checks inputs: those of arrays, and of the first batch of a data set; of more batches only tokens.

    Args:
        model: The dense model; of a subclassed one nothing is known.
        examples: The examples.

    Raises:
        PruneError: The inputs do not fit the model, hold labels by name, or a token is not in the table of its
            `Embedding`.
    """
    if not is_graph(model) or examples.first_inputs is None:
        return
    signature = inputs_of(model)
    if examples.labelled:
        check_arrays(keras.tree.flatten(examples.labels))
    else:
        signature.check_no_labels(examples.first_inputs)
    _check_form(signature, examples.first_inputs)
    signature.checked(examples.first_inputs)
    _check_tokens(model, examples)


def _check_form(signature: Signature, inputs: Any) -> None:
    """Raises if Keras would not find the inputs of a model with a dict of them whose keys are not their names."""
    keys = keys_of(signature.structure)
    by_name = isinstance(inputs, Mapping)
    if len(keys) == 1 and not by_name:
        return
    if keys and keys != [spec.name for spec in signature.inputs] and not (by_name and set(keys) <= set(by_key(inputs))):
        received = f"the keys {sorted(flat(inputs))}" if by_name else "arrays without names"
        raise PruneError(f"Expected inputs as a dict with the keys {keys}. Received: {received}. Give such a dict.")


def check_targets(model: keras.Model, losses: Losses, labels: Any) -> None:
    """Checks labels that Keras is to compute the losses of.

    Args:
        model: The model.
        losses: Its losses.
        labels: Labels of some examples, as `fit` takes them.

    Raises:
        PruneError: As for `check_labels`, or the names in a dict are not those of the outputs.
    """
    names = output_names(model)
    if isinstance(labels, Mapping):
        _check_names(list(flat(labels)), names, isinstance(structures(body_of(model))[1], Mapping))
    check_labels(model, losses, labels)


def _check_names(given: list[str], names: list[str], by_name: bool) -> None:
    """Raises if names of labels are not those of outputs, since Keras takes labels in the form of the outputs."""
    if len(names) == 1 and not by_name:
        raise PruneError(
            "Expected labels as one array, since the model has one output. Received: a dict with "
            f"{first_of(given) or 'nothing'}. Give the array alone."
        )
    unknown = [name for name in given if name not in names]
    if unknown:
        raise PruneError(
            f"Expected labels for the outputs {names}. Received: labels for {unknown[0]!r}, which is not an output."
            f"{nearest(unknown[0], names)} Leave out what is not needed."
        )


@contextmanager
def explain_errors(model: keras.Model, data: Any) -> Iterator[None]:
    """Replaces an error of Keras by the fault of the examples that caused it.

    Args:
        model: The compiled model that reads the examples.
        data: The examples, as `Examples` or as it takes them.

    Raises:
        PruneError: The inputs or the labels of a batch do not fit the model or its losses.
    """
    try:
        yield
    except PruneError:
        raise
    except Exception as error:
        try:
            _check_all(model, data if isinstance(data, Examples) else Examples(data))
        except PruneError as fault:
            raise fault from error
        raise


def _check_all(model: keras.Model, examples: Examples) -> None:
    """Checks inputs and labels of all batches."""
    judged = examples.labelled and compile_arguments(model).get("loss") is not None
    losses = losses_by_output(model)[0] if judged else None
    shapes: list[list[tuple]] = []
    for inputs, *beside in map(batch_parts, batches_of(examples.batches())):
        if is_graph(model):
            signature = inputs_of(model)
            _check_form(signature, inputs)
            signature.checked(inputs)
        if losses is not None:
            check_targets(model, losses, beside[0])
        given = (each for each in keras.tree.flatten((inputs, *beside)) if each is not None)
        shapes.append([tuple(each.shape[1:]) for each in given])
    if not hasattr(examples.data, "element_spec"):
        _check_lengths(shapes)


def _check_lengths(shapes: list[list[tuple]]) -> None:
    """Raises if Keras, which takes the shapes of all batches from the first two, would not expect those of others."""
    several = [{*map(tuple, found)} for found in (shapes[:_SEEN], shapes)]
    if len(several[0]) == 1 < len(several[1]):
        raise PruneError(
            "Expected two lengths among the first two batches, from which Keras takes the shapes of all. Received: "
            f"{shapes[0][0]} in both, {next(each[0] for each in shapes if each != shapes[0])} in another. Give a "
            "tf.data.Dataset, as from_generator makes it with None for the length, or pad them to one."
        )


def _check_tokens(model: keras.Model, examples: Examples) -> None:
    """Raises if integers that an `Embedding` looks up are not in its table."""
    tables = [entries.own for entries in looked_up(model)]
    if not any(tables):
        return
    signature = inputs_of(model)
    read = islice(batches_of(examples.data), _BATCHES)
    for inputs, *_ in [(examples.inputs,)] if examples.arrays else map(batch_parts, read):
        for spec, table, array in zip(signature.inputs, tables, signature.flatten(inputs), strict=True):
            numbers = as_numpy(array) if table else np.zeros(0)
            if numbers.size and numbers.dtype.kind in "iuf" and not 0 <= numbers.min() <= numbers.max() < table:
                raise PruneError(
                    f"Expected numbers from 0 to {table - 1} for the input {spec.name!r}, which an Embedding looks up. "
                    f"Received: {numbers.min():g} to {numbers.max():g}. Give the unknown ones a number of the table."
                )
