"""Smoothed labels: beside the sum written out, beside Keras's own for one-hot labels, and in a recipe."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest

from kerasprune import PruneError
from kerasprune.steps.objective import Objective
from kerasprune.training.distillation.label_smoothing import SmoothedSparseCategoricalCrossentropy, smooth_labels

LOGITS = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
CLASSES = np.array([0, 4, 2, 2, 1, 3])


def by_hand(smoothing: float) -> float:
    logarithms = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    wanted = np.full(LOGITS.shape, smoothing / 5)
    wanted[np.arange(6), CLASSES] += 1 - smoothing
    return float(-(wanted * logarithms).sum(axis=1).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_it_is_the_sum_over_all_classes(smoothing, shape):
    loss = smooth_labels(keras.losses.SparseCategoricalCrossentropy(from_logits=True), smoothing)
    assert float(loss(CLASSES.reshape(shape), LOGITS)) == pytest.approx(by_hand(smoothing), abs=1e-6)
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    for name in ("sparse_categorical_crossentropy", keras.losses.SparseCategoricalCrossentropy()):
        found = float(smooth_labels(name, smoothing)(CLASSES.reshape(shape), probabilities))
        assert found == pytest.approx(by_hand(smoothing), abs=1e-6)


def test_one_hot_labels_and_several_outputs_take_those_of_keras():
    found = smooth_labels({"a": keras.losses.CategoricalCrossentropy(from_logits=True, name="mine")}, 0.1)["a"]
    assert (found.label_smoothing, found.from_logits, found.name) == (0.1, True, "mine")
    assert float(found(np.eye(5)[CLASSES], LOGITS)) == pytest.approx(by_hand(0.1), abs=1e-6)


def test_one_label_for_every_position():
    loss = smooth_labels(keras.losses.SparseCategoricalCrossentropy(from_logits=True), 0.1)
    assert float(loss(CLASSES.reshape(2, 3), LOGITS.reshape(2, 3, 5))) == pytest.approx(by_hand(0.1), abs=1e-6)


def test_its_config_makes_the_same_loss():
    loss = SmoothedSparseCategoricalCrossentropy(0.2, from_logits=True)
    again = type(loss).from_config(loss.get_config())
    assert float(again(CLASSES, LOGITS)) == float(loss(CLASSES, LOGITS)) == pytest.approx(by_hand(0.2), abs=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        "mean_squared_error",
        keras.losses.BinaryCrossentropy(),
        keras.losses.SparseCategoricalCrossentropy(ignore_class=0),
        {"a": "categorical_crossentropy", "b": keras.losses.MeanAbsoluteError()},
        partial(keras.losses.categorical_crossentropy, axis=1),
    ],
)
def test_other_losses_are_refused(loss):
    with pytest.raises(PruneError, match="Expected a cross-entropy of classes with label_smoothing"):
        smooth_labels(loss, 0.1)


def test_a_compiled_objective_has_smoothed_labels():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Identity()])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = (
        Objective(loss, ("accuracy",), label_smoothing=0.1)
        .compile(model)
        .evaluate(LOGITS, CLASSES, verbose=0, return_dict=True)
    )
    assert found["loss"] == pytest.approx(by_hand(0.1), abs=1e-5)
    assert found["accuracy"] == pytest.approx(np.mean(LOGITS.argmax(axis=1) == CLASSES))
    with pytest.raises(PruneError, match="^Expected a cross-entropy of classes with label_smoothing"):
        Objective("mean_squared_error", label_smoothing=0.1).compile(model)


@pytest.mark.experiments
@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.label_smoothing=1.0", "Expected a number < 1"),
        ("loss=mean_squared_error", "with label_smoothing. Received: loss: mean_squared_error"),
    ],
)
def test_a_recipe_that_cannot_smooth_is_refused_before_it_runs(setting, words):
    from kerasprune.recipes import loader

    recipe = """
        name: smooth
        why: A test.
        model: {name: resnet_cifar, depth: 8}
        data: {name: digits, size: 16}
        train: {epochs: 1, optimizer: {name: sgd, learning_rate: 0.1}, label_smoothing: 0.1}
    """
    assert loader.parse(recipe).train.label_smoothing == 0.1
    with pytest.raises(PruneError, match=words):
        loader.parse(recipe, [setting])


def test_an_output_without_a_loss_stays_without_one():
    found = smooth_labels({"a": "categorical_crossentropy", "b": None}, 0.1)
    assert found["b"] is None and found["a"].label_smoothing == 0.1
