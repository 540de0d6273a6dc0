"""Labels that do not go with a loss are named, others are let through."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, losses

from kerasprune.criteria.labels import check_labels
from kerasprune.errors import PruneError

SPARSE = "sparse_categorical_crossentropy"
Y = np.array([0, 1, 2, 1])


def _heads() -> keras.Model:
    inputs = keras.Input((4,))
    kind, amount = layers.Dense(3, "softmax", name="kind")(inputs), layers.Dense(1, name="amount")(inputs)
    return keras.Model(inputs, {"kind": kind, "amount": amount})


def _segmentation() -> keras.Model:
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, layers.Conv2D(3, 1, name="kind")(inputs))


def _own(y_true, y_pred):
    return keras.ops.mean(y_pred)


GOOD = {
    "classes": ({"kind": SPARSE, "amount": None}, {"kind": Y}),
    "a column of classes, as floats": ({"kind": SPARSE, "amount": None}, {"kind": Y[:, None].astype("float32")}),
    "a tensor": ({"kind": SPARSE, "amount": None}, {"kind": keras.ops.convert_to_tensor(Y)}),
    "shares": ({"kind": "categorical_crossentropy", "amount": "mse"}, {"kind": np.eye(3)[Y], "amount": Y[:, None]}),
    "a number each": ({"kind": None, "amount": "mse"}, {"amount": Y, "unused": np.ones(9)}),
    "a loss of the user's": ({"kind": _own, "amount": None}, {"kind": np.full((4, 7), 9)}),
    "those that do not count": (
        {"kind": losses.SparseCategoricalCrossentropy(ignore_class=-1), "amount": None},
        {"kind": np.array([0, -1, 2, -1])},
    ),
}
WRONG = {
    "classes from 1": (SPARSE, Y + 1, r"from 0 to 2 for sparse.* \(n, 3\). Received: labels such as 3. Subtract 1"),
    "classes from 1, as an object": (losses.SparseCategoricalCrossentropy(from_logits=True), Y + 1, "Subtract 1"),
    "a class too many": (SPARSE, np.array([0, 3, 1, 2]), "labels such as 3. Check the labels, or give the loss ignore"),
    "below 0": (SPARSE, Y - 1, "such as -1. Check the labels"),
    "others beside those that do not count": (losses.SparseCategoricalCrossentropy(ignore_class=9), Y + 1, "as 3"),
    "no numbers": (SPARSE, np.where(Y == 0, np.nan, Y), "NaN or infinity among them"),
    "not integers": (SPARSE, Y + 0.5, "such as 0.5. Give integers; for values"),
    "shares": (SPARSE, np.eye(3)[Y], r"labels of shape \(n\).*loss='categorical_crossentropy'"),
    "classes for shares": ("categorical_crossentropy", Y, "loss='sparse_categorical_crossentropy' for class numbers"),
}


@pytest.mark.parametrize("case", GOOD)
def test_labels_that_fit(case):
    found, labels = GOOD[case]
    check_labels(_heads(), found, labels)


@pytest.mark.parametrize("case", WRONG)
def test_labels_that_do_not_fit(case):
    loss, labels, message = WRONG[case]
    with pytest.raises(PruneError, match=message):
        check_labels(_heads(), {"kind": loss, "amount": "mse"}, {"kind": labels, "amount": Y})


def test_one_array_for_two_outputs():
    with pytest.raises(PruneError, match=r"labels for each of the outputs \['amount', 'kind'\]"):
        check_labels(_heads(), {"kind": SPARSE, "amount": "mse"}, Y)


def test_a_class_for_every_pixel():
    labels = np.random.default_rng(0).integers(0, 3, (2, 5, 6))
    check_labels(_segmentation(), {"kind": SPARSE}, labels)
    with pytest.raises(PruneError, match=r"outputs \(n, n, n, 3\). Received: labels such as 255"):
        check_labels(_segmentation(), {"kind": SPARSE}, np.where(labels == 0, 255, labels))
    with pytest.raises(PruneError, match=r"labels of shape \(n, n, n\)"):
        check_labels(_segmentation(), {"kind": SPARSE}, labels[0, 0])
