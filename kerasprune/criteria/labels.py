"""Checks of labels against losses and outputs: shapes and class numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune._keras import is_of_keras, loss_object
from kerasprune.data.arrays_or_batches import as_numpy
from kerasprune.data.refusals import label_faults
from kerasprune.data.signature import alike, flat
from kerasprune.errors import Key, PruneError, first_of, raise_faults
from kerasprune.graph.built_model import body_of
from kerasprune.surgery.output_kind import output_names, pick_by_output

_OWN_SHAPES = ("ctc", "circle")  # losses whose labels are neither classes nor shaped as the outputs


def check_labels(model: keras.Model, losses: Mapping[str, Any], labels: Any) -> None:
    """Checks that labels fit the losses of a model.

    Args:
        model: The model.
        losses: The loss of each output by its name, as `compile` takes it; `None` for an output without one.
        labels: Labels of some examples, as `fit` takes them.

    Raises:
        PruneError: Labels are missing or no finite numbers, have a shape that a loss of Keras does not accept, or are
            classes that an output lacks.

    Example:
        >>> import keras, numpy as np
        >>> from kerasprune import PruneError
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "softmax", name="kind")])
        >>> loss = {"kind": "sparse_categorical_crossentropy"}
        >>> check_labels(model, loss, np.array([0, 1, 2]))
        >>> try:
        ...     check_labels(model, loss, np.array([1, 2, 3]))
        ... except PruneError as error:
        ...     print(str(error).split(". ")[-1])
        Subtract 1: classes begin with 0.
    """
    names = output_names(model)
    answers = labels_by_output(labels, names)
    for name, output in zip(names, body_of(model).outputs, strict=True):
        if losses[name] is None:
            continue
        if answers[name] is None:
            received = f"labels for {first_of(list(flat(labels)))}" if isinstance(labels, Mapping) else "none"
            raise PruneError(
                f"Expected labels for the output {name!r}, which has a loss. Received: {received}. Give them."
            )
        loss = loss_object(losses[name], answers[name], output)
        _check_numbers(loss, answers[name], "labels" if len(names) == 1 else f"labels of {name!r}")
        check_shape(loss, answers[name], output)
        _check_classes(loss, answers[name], output)


def labels_by_output(labels: Any, names: list[str]) -> dict[str, Any]:
    """Returns labels by the names of the outputs; entries of a dict without an output are dropped.

    Args:
        labels: Labels as `fit` takes them.
        names: The names of the outputs.

    Raises:
        PruneError: One array is given for several outputs, or another number of arrays.
    """
    if len(names) > 1 and not isinstance(labels, Mapping | list | tuple | None):
        in_file = ", ".join(f"y_{name}=…" for name in names)
        raise PruneError(
            f"Expected labels for each of the outputs {names}. Received: one array. Give a list or a dict of them; in "
            f"a .npz file {in_file} in place of y."
        )
    return pick_by_output(labels, names, "labels")


def check_shape(loss: keras.losses.Loss, labels: Any, outputs: Any) -> None:
    """Checks that labels have the shape that a loss of Keras expects, since some would be broadcast silently.

    Args:
        loss: The loss of an output. Losses of the user are not checked.
        labels: The labels.
        outputs: The outputs, real or symbolic.

    Raises:
        PruneError: They do not.
    """
    if loss.name in _OWN_SHAPES or not _of_keras(loss):
        return
    wanted = tuple(outputs.shape[:-1] if "sparse" in loss.name else outputs.shape)
    if isinstance(outputs, keras.KerasTensor):  # its batch may be fixed, which all labels together are not
        wanted = (None, *wanted[1:])
    given = tuple(labels.shape)
    if not any(alike(each, wanted) for each in (given, given[:-1] if given[-1:] == (1,) else given, (*given, 1))):
        remedy = ("Give class numbers, or ", Key("loss"), "='categorical_crossentropy'.")
        if wanted[1:] == (1,) and len(given) == 2:  # one probability, and a column for each of two classes
            remedy = ("Give one column: class numbers, labels.argmax(-1), if these are one-hot.",)
        elif "sparse" not in loss.name:
            of_classes = "='sparse_categorical_crossentropy' for class numbers, or labels of that shape."
            remedy = ("Give ", Key("loss"), of_classes)
        raise PruneError(
            f"Expected labels of shape {_shown(wanted)} for {loss.name} and outputs {_shown(tuple(outputs.shape))}. "
            f"Received: labels of shape {_shown(given)}. ",
            *remedy,
        )


def _check_numbers(loss: keras.losses.Loss, labels: Any, what: str) -> None:
    """Checks that labels are finite numbers, unless the loss is the user's."""
    if _of_keras(loss):
        raise_faults("Invalid data:", label_faults(what, as_numpy(labels)))


def _check_classes(loss: keras.losses.Loss, labels: Any, outputs: Any) -> None:
    """Checks that class numbers exist in an output: Keras treats others differently on each device."""
    if getattr(loss, "fn", None) is not keras.losses.sparse_categorical_crossentropy or outputs.shape[-1] is None:
        return
    numbers = ops.convert_to_numpy(labels)
    numbers = numbers[numbers != loss.get_config().get("ignore_class")]
    known = (numbers >= 0) & (numbers < outputs.shape[-1])  # NaN is neither
    strange = numbers[~known | (numbers % 1 != 0)]  # Keras would cut fractions off
    if strange.size:
        last = outputs.shape[-1] - 1
        remedy = "Check the labels, or give the loss ignore_class= for those that do not count."
        if known.all():
            remedy = "Give integers; for values that are not classes use another loss, such as mean_squared_error."
        elif numbers.min() == 1 and numbers.max() == last + 1:
            remedy = "Subtract 1: classes begin with 0."
        raise PruneError(
            f"Expected class numbers from 0 to {last} for {loss.name} and outputs {_shown(tuple(outputs.shape))}. "
            f"Received: labels such as {np.unique(strange)[0]:g}. {remedy}"
        )


def _of_keras(loss: keras.losses.Loss) -> bool:
    """Returns whether a loss, and the function that it wraps, are from Keras."""
    function = getattr(loss, "fn", type(loss))  # the wrapped function may be the user's
    return is_of_keras(type(loss)) and is_of_keras(function)


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('n' if size is None else str(size) for size in shape)})"
