"""Exported files judged: against NumPy, and against what Keras says of the models that they were written from."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kerasprune.data.batches import example_batches
from kerasprune.data.examples import Examples
from kerasprune.export.parity import Function
from kerasprune.export.registry import formats
from kerasprune.steps.exported import beside_dense, metrics_of
from kerasprune.steps.objective import Objective, classification

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(50, 4)).astype("float32")


def net(seed: int, classes: int = 3) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((4,)), layers.Dense(classes, bias_initializer="normal")])


def written(form: str, model: keras.Model, path) -> Function:
    """Returns the file that a model is written to, as a function."""
    known = formats.member(form)
    known.write(model, path.with_suffix(known.suffix), data=None, size=None, overwrite=False)
    return known.open(path.with_suffix(known.suffix), model)


@pytest.mark.parametrize("form", ["tflite", "saved_model", "kpz"])
def test_accuracy_and_loss_of_a_classifier(form, tmp_path):
    model, y = net(0), RANDOM.integers(0, 3, 50)
    run = written(form, model, tmp_path / "made")
    kernel, bias = model.get_weights()
    logits = X @ kernel + bias
    loss = np.log(np.exp(logits).sum(1)) - logits[np.arange(50), y]
    for number in (50, 40):  # batches of 16: the last is cut
        found = metrics_of(run, model, classification(model), Examples((X, y), 16), number)
        assert found[1] == number
        assert found[0]["accuracy"] == pytest.approx((logits.argmax(1) == y)[:number].mean())
        assert found[0]["loss"] == pytest.approx(loss[:number].mean(), rel=1e-4)


def test_several_outputs_by_name_with_weights_of_examples(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    outputs = {"a": layers.Dense(1, name="a")(inputs), "b": layers.Dense(2, name="b")(inputs)}
    model = keras.Model(inputs, outputs)
    y, weights = {name: RANDOM.normal(size=(50, size)) for name, size in (("a", 1), ("b", 2))}, RANDOM.uniform(size=50)
    data = tf.data.Dataset.from_tensor_slices((X, y, {"a": weights, "b": weights})).batch(50)
    objective = Objective({"a": "mse", "b": "mae"}, {"b": ["mse"]})
    run = written("tflite", model, tmp_path / "two")
    expected = objective.compile(model).evaluate(data, verbose=0, return_dict=True)
    found, number = metrics_of(run, model, objective, Examples(data), 1000)
    assert number == 50 and found == pytest.approx(expected, rel=1e-4)


def test_distance_from_the_dense_model(tmp_path):
    dense, other = net(0), net(1)
    dense.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = example_batches(dense, X, 50)
    same = beside_dense(written("tflite", dense, tmp_path / "dense"), dense, batches)
    assert same["dense_agreement"] == 1 and same["dense_error"] < 1e-10
    a, b = (X @ kernel + bias for kernel, bias in (dense.get_weights(), other.get_weights()))
    found = beside_dense(written("tflite", other, tmp_path / "other"), dense, batches)
    assert found["dense_agreement"] == pytest.approx((a.argmax(1) == b.argmax(1)).mean())
    assert found["dense_error"] == pytest.approx(((b - a) ** 2).sum() / ((a - a.mean(0)) ** 2).sum(), rel=1e-4)
    hits = a.argmax(1) == b.argmax(1)
    by_class = [hits[a.argmax(1) == each].mean() for each in np.unique(a.argmax(1))]
    assert found["dense_balanced"] == pytest.approx(np.mean(by_class))
    for one in (net(0, classes=1), net(0)):  # a number, and numbers that no loss calls classes
        assert beside_dense(written("tflite", one, tmp_path / "one"), one, batches)["dense_agreement"] is None
        (tmp_path / "one.tflite").unlink()
