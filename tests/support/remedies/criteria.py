"""Remedies of criteria that are followed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

import kerasprune as kp
from support.remedies.networks import (
    IMAGES,
    LOSS,
    SEQUENCES,
    TWO,
    X,
    Y,
    conv,
    cut,
    dense,
    head,
    linear,
    prune,
    with_state,
    words,
)
from support.remedies.places import Case


def _set(model: keras.Model, number: float, layer: str = "hidden", weight: str = "kernel") -> keras.Model:
    """Returns a model with one number in all of a weight."""
    variable = getattr(model.get_layer(layer), weight)
    variable.assign(np.full(variable.shape, number))
    return model


def _by_keys() -> keras.Model:
    """Returns a model with a dict of inputs whose keys are not their names."""
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    return head(layers.Concatenate()([left, right]), {"b": left, "a": right})


def _one_probability() -> keras.Model:
    model = keras.Sequential([keras.Input((6,)), layers.Dense(8), layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    return model


def _two_outputs() -> keras.Model:
    """Returns a model of a class and an amount."""
    x = layers.Dense(8, "relu")(inputs := keras.Input((6,)))
    model = keras.Model(inputs, [layers.Dense(3, "softmax", name="kind")(x), layers.Dense(1, name="amount")(x)])
    model.compile("sgd", {"kind": LOSS, "amount": "mse"})
    return model


def _attention() -> keras.Model:
    """Returns a model of sequences that multiplies activations."""
    inputs = keras.Input((5, 6))
    x = layers.MultiHeadAttention(2, 3)(inputs, inputs)
    return head(layers.GlobalAveragePooling1D()(x), inputs)


def _states() -> keras.Model:
    """Returns a model of sequences with a layer that is given its first state."""
    inputs = keras.Input((5, 6))
    state = layers.GlobalAveragePooling1D()(inputs)
    return head(layers.SimpleRNN(6)(inputs, initial_state=state), inputs)


def _depths() -> keras.Model:
    """Returns a model with a nested model of two inputs that is called at two depths."""
    a, b = keras.Input((6,)), keras.Input((6,))
    inner = keras.Model([a, b], layers.Dense(6)(layers.Add()([a, layers.Dense(6)(b)])))
    inputs = keras.Input((6,))
    once = inner([inputs, inputs])
    deeper = layers.Dense(6)(once)
    return head(inner([once, deeper]), inputs)


def _pairs() -> keras.Model:
    """Returns a model that looks at two rows of a batch at a time."""
    inputs = keras.Input((6,))
    two = keras.ops.mean(keras.ops.reshape(inputs, (-1, 2, 6)), axis=1, keepdims=True)
    return head(inputs - keras.ops.reshape(keras.ops.repeat(two, 2, axis=1), (-1, 6)), inputs)


def _gated() -> keras.Model:
    """Returns a model with a gate."""
    inputs = keras.Input((6,))
    return head(layers.Multiply()([layers.Dense(6)(inputs), inputs]), inputs)


def _sequences() -> keras.Model:
    """Returns a model of sequences of any length."""
    inputs = keras.Input((None, 6))
    return head(layers.GlobalAveragePooling1D()(inputs), inputs)


class _Lengths(keras.utils.PyDataset):
    """Batches of sequences, the last of another length than the others."""

    def __init__(self, lengths: tuple[int, ...]) -> None:
        super().__init__()
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        return np.ones((8, self.lengths[number], 6), "float32"), Y[:8]


def _criterion(words: str, file: str, fails: Any, follows: Any, model: Any = dense, data: Any = TWO) -> Case:
    """Returns the case of a plan by one criterion and by another."""
    return Case(
        f"criteria/{file}.py",
        words,
        lambda: cut(model(), criterion=fails, data=data),
        lambda: cut(model(), criterion=follows, data=data),
    )


CASES = [
    Case(
        "criteria/base.py",
        "Give batches of (inputs, labels)",
        lambda: cut(criterion="taylor_fo"),
        lambda: cut(criterion="taylor_fo", data=[TWO]),
    ),
    Case(
        "criteria/batch_loss.py",
        "Expected a loss to differentiate",
        lambda: cut(dense(None), criterion="taylor_fo", data=TWO),
        lambda: cut(dense(None), criterion="taylor_fo", data=TWO, loss="sparse_categorical_crossentropy"),
    ),
    Case(
        "criteria/labels.py",
        "Give class numbers",
        lambda: cut(criterion="taylor_fo", data=(X, np.eye(3)[Y])),
        lambda: (
            cut(criterion="taylor_fo", data=(X, np.eye(3)[Y]), loss="categorical_crossentropy"),
            cut(criterion="taylor_fo", data=TWO),
        ),
    ),
    Case(
        "criteria/labels.py",
        "Give ",
        lambda: cut(dense("categorical_crossentropy"), criterion="taylor_fo", data=TWO),
        lambda: cut(criterion="taylor_fo", data=TWO, loss="sparse_categorical_crossentropy"),
    ),
    Case(
        "criteria/labels.py",
        "Give one column",
        lambda: prune(_one_probability(), data=(X, np.eye(2)[Y % 2])),
        lambda: prune(_one_probability(), data=(X, np.eye(2)[Y % 2].argmax(-1))),
    ),
    Case(
        "criteria/labels.py",
        "Check the labels, or give",
        lambda: cut(criterion="taylor_fo", data=(X, np.where(Y == 2, 255, Y))),
        lambda: cut(
            criterion="taylor_fo",
            data=(X, np.where(Y == 2, 255, Y)),
            loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=255),
        ),
    ),
    Case(
        "criteria/labels.py",
        "Give integers;",
        lambda: cut(criterion="taylor_fo", data=(X, Y * 0.5)),
        lambda: cut(criterion="taylor_fo", data=TWO),
    ),
    Case(
        "criteria/data_checks.py",
        "Give the array alone",
        lambda: prune(data=(X, {"other": Y}), epochs=1),
        lambda: prune(data=TWO, epochs=1),
    ),
    Case(
        "criteria/snip.py",
        "Check that labels vary",
        lambda: cut(dense(None), criterion="snip", data=TWO, loss=lambda y, p: keras.ops.mean(p * 0)),
        lambda: cut(criterion="snip", data=TWO),
    ),
    Case(
        "criteria/apoz.py",
        "Use another criterion, or freeze",
        lambda: cut(linear(), criterion="apoz", data=X),
        lambda: cut(linear(), criterion="l1"),
    ),
    Case(
        "criteria/mean_loss.py",
        "Build the model with classifier_activation",
        lambda: kp.plan(dense(), {"name": "grasp", "temperature": 200.0}, keep=0.5, data=TWO),
        lambda: kp.plan(
            dense(activation=None),
            {"name": "grasp", "temperature": 200.0},
            keep=0.5,
            data=TWO,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ),
    ),
    Case(
        "criteria/hrank.py",
        "Use criterion='apoz'",
        lambda: cut(criterion="hrank", data=X),
        lambda: cut(criterion="apoz", data=X),
    ),
    Case(
        "criteria/base.py",
        "Use one of those, or write",
        lambda: kp.prune_at_init(dense(), "hrank", data=TWO),
        lambda: kp.prune_at_init(dense(), "snip", data=TWO),
    ),
    Case(
        "criteria/data_checks.py",
        "Give the unknown ones a number",
        lambda: prune(words(), data=np.full((32, 5), 20)),
        lambda: prune(words(), data=np.full((32, 5), 20) % 10),
    ),
    _criterion("Use criterion='l1'", "base", "bn_scale", "l1"),
    Case(
        "criteria/base.py",
        "Expected finite scores",
        lambda: cut(_set(dense(), np.nan)),
        lambda: cut(_set(dense(), 0.5)),
    ),
    _criterion(
        "Use curvature='empirical_fisher'",
        "curvature",
        {"name": "obd", "curvature": {"name": "gauss_newton", "most": 2}},
        {"name": "obd", "curvature": "empirical_fisher"},
    ),
    Case(
        "criteria/data_checks.py",
        "Give such a dict",
        lambda: prune(_by_keys(), data=((X, X), Y), epochs=1),
        lambda: prune(_by_keys(), data=({"b": X, "a": X}, Y), epochs=1),
        True,
    ),
    Case(
        "criteria/data_checks.py",
        "Expected two lengths",
        lambda: prune(_sequences(), data=_Lengths((5, 5, 4, 5, 5, 5)), epochs=1),
        lambda: prune(_sequences(), data=_Lengths((5, 5, 5, 5, 5, 5)), epochs=1),
        True,
    ),
    Case(
        "criteria/feature_maps.py",
        "Expected finite feature maps",
        lambda: cut(_set(conv(), np.nan, "conv"), criterion="hrank", data=IMAGES),
        lambda: cut(conv(), criterion="hrank", data=IMAGES),
    ),
    Case(
        "criteria/gradients.py",
        "Freeze dead groups",
        lambda: cut(_set(dense(), -1e3, weight="bias"), criterion="taylor_fo", data=TWO),
        lambda: cut(_set(dense(), -1e3, weight="bias"), criterion="l1"),
    ),
    _criterion(
        "Use members='everything'", "grouped", *({"name": "grouped", "members": x} for x in ("scales", "everything"))
    ),
    _criterion("Use 'l1' or 'l2'", "grouped", *({"name": "grouped", "criterion": x} for x in ("taylor_fo", "l2"))),
    Case(
        "criteria/inverse_hessian.py",
        "Check data and weights",
        lambda: cut(_set(dense(), np.nan, "last"), criterion={"name": "obs", "inverse": "exact"}, data=TWO),
        lambda: cut(criterion={"name": "obs", "inverse": {"name": "exact", "damping": 10.0}}, data=TWO),
    ),
    _criterion(
        "Expected a minimum of the loss",
        "inverse_hessian",
        *({"name": "obs", "inverse": x} for x in ("exact", "woodbury")),
    ),
    Case(
        "criteria/labels.py",
        "Give a list or a dict",
        lambda: cut(_two_outputs(), criterion="taylor_fo", data=TWO),
        lambda: cut(_two_outputs(), criterion="taylor_fo", data=(X, {"kind": Y, "amount": Y * 1.0})),
    ),
    Case(
        "criteria/labels.py",
        "Give them",
        lambda: cut(_two_outputs(), criterion="taylor_fo", data=(X, {"kind": Y})),
        lambda: cut(_two_outputs(), criterion="taylor_fo", data=(X, {"kind": Y, "amount": Y * 1.0})),
    ),
    _criterion(
        "Expected a network in which only weights", "linearised", "synflow", "snip", _attention, (SEQUENCES, Y[:32])
    ),
    _criterion("Expected tensors as positional", "linearised", "synflow", "snip", _states, (SEQUENCES, Y[:32])),
    _criterion("Expected a nested model", "linearised", "synflow", "snip", _depths),
    Case(
        "criteria/mean_loss.py",
        "Check data and labels for NaN",
        lambda: cut(_set(dense(), np.nan, "last"), criterion="taylor_fo", data=TWO),
        lambda: cut(criterion="taylor_fo", data=TWO),
    ),
    _criterion(
        "Expected at most",
        "mean_loss",
        {"name": "obs", "inverse": {"name": "exact", "most": 10}},
        {"name": "obs", "inverse": "woodbury"},
    ),
    _criterion(
        "Expected layers that take single",
        "mean_loss",
        {"name": "obd", "curvature": "empirical_fisher"},
        "taylor_fo",
        with_state,
        (SEQUENCES, Y[:32]),
    ),
    _criterion("whole batches, whose rows", "mean_loss", "obd", "taylor_fo", _pairs),
    Case(
        "criteria/obs.py",
        "Expected masks",
        lambda: kp.criteria.obs_update(dense(), {}, TWO),
        lambda: kp.criteria.obs_update(dense(), {"hidden/kernel": np.arange(48).reshape(6, 8) % 8 > 0}, TWO),
    ),
    _criterion("Expected a network of layers that are linear", "synflow", "synflow", "snip", _gated),
]

CANNOT_BE_RUN: list[tuple[str, str]] = []
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
