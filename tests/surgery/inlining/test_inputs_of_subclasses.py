"""The inputs of subclassed models: those they were built on, those that `build` takes by default, or those of data."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(16, 6, 6, 3)).astype("float32")
ROWS = RANDOM.normal(size=(16, 8)).astype("float32"), RANDOM.normal(size=(16, 3)).astype("float32")


class OfImages(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.parts = [layers.Conv2D(8, 3, activation="relu"), layers.Flatten(), layers.Dense(2)]

    def build(self, input_shape=(None, 6, 6, 3)):
        for each in self.parts:
            each.build(input_shape)
            input_shape = each.compute_output_shape(input_shape)
        self.built = True

    def call(self, x):
        for each in self.parts:
            x = each(x)
        return x


class OfRows(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = layers.Dense(16, activation="relu"), layers.Dense(16, activation="relu")
        self.last = layers.Dense(2)

    def build(self, input_shape=((None, 8), (None, 3))):
        for each, shape in zip((self.one, self.other), input_shape, strict=True):
            each.build(tuple(shape))
        self.last.build((None, 32))
        self.built = True

    def call(self, inputs):
        one, other = inputs
        return self.last(keras.ops.concatenate([self.one(one), self.other(other)], -1))


class WithoutDefault(OfRows):
    def build(self, input_shape=None):
        super().build(((None, 8), (None, 3)))


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("make", "data"), [(OfImages, IMAGES), (OfRows, ROWS), (OfRows, list(ROWS)), (WithoutDefault, list(ROWS))]
)
def test_inputs_are_found(make, data):
    model = make()
    model.build()
    model(data)
    before = np.array(model(data))
    if make is not WithoutDefault:
        assert np.allclose(kp.functional(model)(data if make is OfImages else list(data)), before, atol=1e-5)
    given = data if isinstance(data, np.ndarray) else (list(data), np.arange(16) % 2)
    found = kp.prune(model, keep=0.5, data=given, loss="sparse_categorical_crossentropy", verbose=0)
    assert found.slim.count_params() < model.count_params() and found.report.verified < 1e-5


def test_without_data_unknown_inputs_are_asked_for():
    model = WithoutDefault()
    model.build()
    with pytest.raises(kp.PruneError, match="inputs="):
        kp.prune(model, keep=0.5, verbose=0)
