"""Labels that have nothing to do with the inputs are told, in the same words in Python and on the command line."""

from __future__ import annotations

import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.commands import run_command
from support.digits import pixels, solved_classifier

import kerasprune as kp
from kerasprune.steps.chance_level import chance_level

SAID = (
    r"The model knows little of the data{}: it is right for \d+% of them, and \d+% are of one class. Check the pixels'"
)


@pytest.fixture(scope="module")
def solved():
    x, y = pixels()
    x, labels = (x / 255).astype("float32"), y.astype("int64")
    return solved_classifier(), x, labels, np.roll(labels, 1 + len(labels) // 3)


def told(model, data, **more) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kp.prune(model, keep=0.5, data=data, reconstruct=False, verify=False, verbose=0, **more)
    return [str(each.message) for each in caught if "knows little" in str(each.message)]


@pytest.mark.thorough
@pytest.mark.parametrize("form", ["arrays", "batches", "one-hot"])
def test_prune_tells_labels_that_have_nothing_to_do_with_the_inputs(form, solved):
    model, x, labels, others = solved
    assert np.mean(model.predict_on_batch(x).argmax(1) == others) < np.bincount(others).max() / len(others)
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    twin.compile("sgd", "categorical_crossentropy" if form == "one-hot" else model.loss, metrics=["accuracy"])
    for y, expected in ((labels, 0), (others, 1)):
        y = np.eye(10)[y] if form == "one-hot" else y
        data = tf.data.Dataset.from_tensor_slices((x, y)).batch(300) if form == "batches" else (x, y)
        found = told(twin, data, batch=900)
        assert len(found) == expected
    assert re.match(SAID.format(""), found[0])


@pytest.mark.experiments
@pytest.mark.thorough
def test_the_command_tells_them_in_the_same_words(solved, tmp_path):
    model, x, _, others = solved
    model.save(tmp_path / "mine.keras")
    np.savez(tmp_path / "mine.npz", x=x, y=others)
    start = ["prune", str(tmp_path / "mine.keras"), "--keep", "0.5", "--data", str(tmp_path / "mine.npz")]
    result = run_command([*start, "--no-reconstruct", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert re.search(SAID.format(r" '\S+mine.npz'"), " ".join(result.stderr.split())), result.stderr


def test_several_classes_at_once_are_no_one_hot_labels():
    several = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
    assert chance_level({"loss": 1.0, "accuracy": 0.1}, several) is None
    assert chance_level({"loss": 1.0, "accuracy": 0.1}, None) is None
    assert "its loss is nan" in chance_level({"loss": float("nan")}, None)


@pytest.mark.parametrize(("right", "of_one_class", "said"), [(13, 13, True), (14, 13, False), (30, 30, False)])
def test_an_accuracy_in_float32_is_that_of_guessing_and_one_class_that_is_always_right_tells_nothing(
    right, of_one_class, said
):
    targets = np.arange(30) * (np.arange(30) >= of_one_class)
    assert (chance_level({"accuracy": float(np.float32(right / 30))}, targets) is not None) == said
