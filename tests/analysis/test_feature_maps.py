"""Feature maps against the formula, with the last convolution's output taken by Keras alone."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.analysis.feature_maps import mean_feature_maps


def test_maps_are_mean_absolute_values_of_the_last_convolution():
    model = kp.testing.randomise(kp.models.resnet_cifar(8, width=0.5))
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    last = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)][-1]
    expected = np.abs(keras.Model(model.inputs, last.output).predict(images, verbose=0)).mean(axis=-1)
    assert expected.std() > 0
    np.testing.assert_allclose(mean_feature_maps(model, images), expected, rtol=1e-5, atol=1e-6)


def test_a_convolution_inside_a_nested_model_counts():
    inner = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.Conv2D(3, 3)])
    inputs = keras.Input((6, 6, 2))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inner(inputs)))
    images = np.ones((1, 6, 6, 2), "float32")
    np.testing.assert_allclose(mean_feature_maps(model, images), np.abs(inner(images)).mean(-1), rtol=1e-6)


def test_a_model_without_convolutions_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(kp.PruneError, match="convolution over two axes"):
        mean_feature_maps(model, np.ones((1, 4)))
