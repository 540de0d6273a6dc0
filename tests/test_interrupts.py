"""A stop at any moment of a long call, as by the stop button of a notebook, leaves the model as it was."""

from __future__ import annotations

import contextlib
import random

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp

pytestmark = [pytest.mark.thorough, pytest.mark.experiments]
X = np.random.default_rng(0).normal(size=(96, 8, 8, 3)).astype("float32")
Y = (X.mean((1, 2, 3)) > 0).astype("int32")
STOPS = 6  # of each call


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 3))
    for filters in (8, 12):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    model = keras.Model(inputs, layers.Dense(2, "softmax")(layers.GlobalAveragePooling2D()(x)))
    model.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, Y, epochs=3, verbose=0)
    return model


def reconstruct(model):
    plan = kp.plan(model, keep=0.5)
    kp.reconstruct(kp.rebuild(model, plan), model, plan, X, verbose=0)


CALLS = {
    "reconstruct": reconstruct,
    "sensitivity": lambda model: kp.sensitivity(model, X, keep=(0.5,), verbose=0),
    "synthesise": lambda model: kp.synthesise(model, 32, steps=3, verbose=0),
    "fine-tuning": lambda model: kp.prune(model, 0.5, (X, Y), 2, validation=(X, Y), verbose=0),
    "smallest": lambda model: kp.smallest(
        model, (X, Y), 0.3, epochs=1, trials=2, validation=(X, Y), plan={"round_to": 1}, verbose=0
    ),
}


def counted(monkeypatch, stop: int | None = None) -> list[int]:
    """Counts calls of layers, conversions and steps of training; the one of that number is interrupted."""
    number = [0]

    def watched(function):
        def called(*args, **kwargs):
            number[0] += 1
            if number[0] == stop:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return called

    for owner, name in (
        (keras.Operation, "__call__"),
        (keras.ops, "convert_to_numpy"),
        (keras.callbacks.CallbackList, "on_train_batch_end"),
    ):
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))
    return number


def state(model) -> tuple[list[np.ndarray], int]:
    return [each.copy() for each in model.get_weights()], int(model.optimizer.iterations)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_a_stop_leaves_the_model_as_it_was(name, model):
    before, iterations = state(model)
    with pytest.MonkeyPatch.context() as patch:
        number = counted(patch)
        CALLS[name](model)
    for stop in random.Random(0).sample(range(1, number[0]), STOPS):
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            counted(patch, stop)
            CALLS[name](model)  # fine-tuning may hand over the best model so far
        after, now = state(model)
        assert all(map(np.array_equal, before, after)) and now == iterations, stop
    assert model.predict(X, verbose=0).shape == (96, 2)
    model.evaluate(X, Y, verbose=0)
