"""Without data, on models of every form of inputs and outputs: what is drawn goes through the reader of users' data."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.repair.synthesis.drawing import Drawing
from kerasprune.steps import drawn_examples

RANDOM = np.random.default_rng(0)


def dense(x, width=12):
    return layers.ReLU()(layers.BatchNormalization()(layers.Dense(width)(x)))


def numbers(nest, *arrays):
    """A model of two inputs, and data that it was trained on."""
    left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right")
    x = dense(layers.Concatenate()([dense(left), dense(right)]))
    return keras.Model(nest(left, right), layers.Dense(3)(x)), nest(*(RANDOM.normal(size=(200, n)) for n in (4, 6)))


def outputs(nest):
    inputs = keras.Input((6,))
    x = dense(dense(inputs))
    return keras.Model(inputs, nest(layers.Dense(3)(x), layers.Dense(2)(x))), RANDOM.normal(size=(200, 6))


def tokens_beside_numbers():
    tokens, inputs = keras.Input((5,), dtype="int32"), keras.Input((6,))
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(layers.Embedding(9, 4)(tokens)), dense(inputs)])
    data = [RANDOM.integers(0, 9, (200, 5)), RANDOM.normal(size=(200, 6))]
    return keras.Model([tokens, inputs], layers.Dense(3)(dense(x))), data


MODELS = {
    "list": lambda: numbers(lambda a, b: [a, b]),
    "dict": lambda: numbers(lambda a, b: {"left": a, "right": b}),
    "keys": lambda: numbers(lambda a, b: {"z": a, "c": b}),
    "nested": lambda: numbers(lambda a, b: {"z": {"deep": a}, "c": [b]}),
    "outputs": lambda: outputs(lambda a, b: [a, b]),
    "outputs by name": lambda: outputs(lambda a, b: {"kind": a, "size": b}),
    "tokens": tokens_beside_numbers,
}


def trained(name):
    keras.utils.set_random_seed(0)
    model, data = MODELS[name]()
    return kp.recalibrate(model, data)


@pytest.mark.matrix
@pytest.mark.parametrize("name", MODELS)
def test_what_is_drawn_is_taken(name, monkeypatch):
    monkeypatch.setattr("kerasprune.repair.synthesis.drawing.STEPS", 20)
    model = trained(name)
    report = kp.prune(model, keep=0.5, verbose=0).report
    assert drawn_examples.REMARK in report.remarks, report.remarks
    drawn = kp.synthesise(model, 64, verbose=0)
    assert kp.prune(model, keep=0.5, data=drawn, epochs=1, verbose=0).report.steps[-1].name == "fine-tuned"


def test_a_batch_that_is_fixed_is_only_cut_and_nothing_is_drawn(monkeypatch):
    monkeypatch.setattr(Drawing, "batch", None)
    inputs = keras.Input(batch_shape=(4, 6))
    report = kp.prune(keras.Model(inputs, layers.Dense(3)(dense(inputs))), keep=0.5, verbose=0).report
    assert [step.name for step in report.steps] == ["dense", "removed"] and "only cut" in str(report)


def scaled_table(axis=-1, behind=None):
    """A model whose BatchNorm sees raw columns of a table, of scales from 1 to 10,000, and the table."""
    keras.utils.set_random_seed(0)
    x = RANDOM.normal(size=(400, 8)) * np.geomspace(0.3, 4e4, 8) + np.geomspace(0.5, 7e4, 8)
    inputs = keras.Input((8,))
    y = inputs if behind is None else behind(inputs)
    model = keras.Model(inputs, layers.Dense(3)(dense(layers.BatchNormalization(axis=axis)(y))))
    return kp.recalibrate(model, x), x


@pytest.mark.parametrize("behind", [None, layers.Dropout(0.3), layers.Identity()], ids=["at once", "dropout", "same"])
def test_drawing_starts_from_the_statistics_at_the_input(behind, monkeypatch):
    monkeypatch.setattr("kerasprune.repair.synthesis.drawing.STEPS", 20)
    model, x = scaled_table(behind=behind)
    drawn = kp.synthesise(model, 200, verbose=0)
    assert np.abs((drawn.mean(0) - x.mean(0)) / x.std(0)).max() < 0.3
    assert np.abs(drawn.std(0) / x.std(0) - 1).max() < 0.3


def test_statistics_of_channels_that_come_first():
    keras.utils.set_random_seed(0)
    x = RANDOM.normal(size=(100, 3, 8, 8)) * [[[1.0]], [[50.0]], [[1e3]]] + [[[5.0]], [[-900.0]], [[2e4]]]
    inputs = keras.Input((3, 8, 8))
    y = layers.Flatten()(layers.BatchNormalization(axis=1)(inputs))
    model = kp.recalibrate(keras.Model(inputs, layers.Dense(3)(y)), x)
    drawn = kp.synthesise(model, 100, steps=10, verbose=0)
    assert np.abs((drawn.mean((0, 2, 3)) - x.mean((0, 2, 3))) / x.std((0, 2, 3))).max() < 0.5


def test_examples_that_do_not_fit_are_not_used(monkeypatch):
    """The range of a Rescaling holds no examples of such statistics: that is said, and the model is only cut."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3)(layers.Rescaling(1 / 255)(inputs))))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    model.layers[3].moving_mean.assign(np.full(8, 1e3))
    monkeypatch.setattr("kerasprune.repair.synthesis.drawing.STEPS", 10)
    report = kp.prune(model, keep=0.5, verbose=0).report
    assert [step.name for step in report.steps] == ["dense", "removed"]
    assert any("only cut" in remark and "distance" in remark for remark in report.remarks)
    with pytest.warns(UserWarning, match="distance fell"):
        kp.synthesise(model, 16, verbose=0)
