"""Structures of one element, as `fit` takes them: inputs and labels alone, in lists and in dicts."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.data.arrays_or_batches import whole

X = np.random.default_rng(0).normal(size=(48, 4)).astype("float32")
Y = np.arange(48) % 3
FORMS = {"array": lambda a, name: a, "list": lambda a, name: [a], "dict": lambda a, name: {name: a}}
MODELS = {"plain": lambda t, name: t, "list": lambda t, name: [t], "dict": lambda t, name: {name: t}}
CASES = [(ins, outs, x, y) for ins in MODELS for outs in MODELS for x in FORMS for y in FORMS]
DEFAULT = [("plain", "plain", "list", "array"), ("dict", "plain", "list", "list")]


def network(ins: str, outs: str) -> keras.Model:
    inputs = keras.Input((4,), name="signal")
    outputs = layers.Dense(3, activation="softmax", name="label")(layers.Dense(8, activation="relu")(inputs))
    model = keras.Model(MODELS[ins](inputs, "signal"), MODELS[outs](outputs, "label"))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize(
    ("ins", "outs", "x", "y"),
    [case if case in DEFAULT else pytest.param(*case, marks=pytest.mark.thorough) for case in CASES],
)
def test_criteria_take_what_fit_takes(ins, outs, x, y):
    model, data = network(ins, outs), (FORMS[x](X, "signal"), FORMS[y](Y, "label"))
    try:
        model.fit(*data, verbose=0)
    except Exception:
        pytest.skip("refused by fit")
    wanted = kp.plan(model, keep=0.5, criterion="taylor_fo", data=(X, Y) if outs != "dict" else (X, {"label": Y}))
    found = kp.plan(model, keep=0.5, criterion="taylor_fo", data=data)
    assert {name: list(kept) for name, kept in found.keep.items()} == {n: list(kept) for n, kept in wanted.keep.items()}


def test_a_list_of_one_array_beside_labels_is_whole_and_batches_are_none():
    assert len(whole(([X], Y), 1)) == 2 and len(whole(([X], [Y]), 1)) == 2
    assert whole(([X, Y], [X, Y]), 1) is None and whole([(X, Y)], 1) is None and whole([X], 1) is None


@pytest.mark.parametrize("x", [[X], X, {"s": X}], ids=["list", "array", "dict"])
def test_pruning_takes_them_for_a_model_with_a_dict_of_one_input(x):
    inputs = keras.Input((4,), name="signal")  # the key is another than the name
    model = keras.Model({"s": inputs}, layers.Dense(3)(layers.Dense(8, activation="relu")(inputs)))
    model.compile("adam", "mse")
    given = {"reconstruct": False, "verify": False, "verbose": 0}
    assert kp.prune(model, keep=0.5, data=(x, [np.eye(3)[Y]]), **given).slim.layers[1].kernel.shape[-1] == 4
