"""Calls in NumPy say what Keras says, and hand on what is not known."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kerasprune.surgery.constants import activation_in_numpy, in_numpy

VALUES = np.random.default_rng(0).normal(scale=5, size=(1, 1, 1, 6))


@pytest.mark.parametrize("name", ["linear", "relu", "sigmoid", "silu"])
def test_activations(name):
    expected = keras.ops.convert_to_numpy(keras.activations.get(name)(keras.ops.convert_to_tensor(VALUES, "float32")))
    np.testing.assert_allclose(activation_in_numpy(keras.activations.get(name))(VALUES), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("layer", "number"),
    [
        (layers.Activation("silu"), 1),
        (layers.ReLU(), 1),
        (layers.ReLU(max_value=2.0), 1),
        (layers.Add(), 2),
        (layers.Concatenate(), 2),
        (layers.Concatenate(axis=-2), 2),
    ],
)
def test_layers_at_all_positions(layer, number):
    given = [VALUES * (1 + n) for n in range(number)]
    wide = [np.broadcast_to(x, (1, 3, 4, 6)).astype("float32") for x in given]
    expected = keras.ops.convert_to_numpy(layer(wide if number > 1 else wide[0]))
    found = in_numpy(layer)(given, [(None, 3, 4, 6)] * number)
    np.testing.assert_allclose(np.broadcast_to(found, expected.shape), expected, rtol=1e-6)


def test_a_branch_that_is_the_same_along_its_channels_has_as_many_of_them():
    one, other = np.full((1, 1, 1, 1), 2.0), VALUES
    found = in_numpy(layers.Concatenate())([one, other], [(None, 3, 4, 5), (None, 3, 4, 6)])
    assert found.ravel().tolist() == [2.0] * 5 + VALUES.ravel().tolist()


def test_what_is_not_known_stays_so():
    unknown = np.where(np.arange(6) == 2, np.nan, VALUES)
    for layer in (layers.Activation("relu"), layers.ReLU(max_value=1.0)):
        assert np.isnan(in_numpy(layer)([unknown], [(None, 3, 4, 6)])).ravel().tolist() == [n == 2 for n in range(6)]
    assert np.isnan(in_numpy(layers.Add())([unknown, VALUES], [(None, 3, 4, 6)] * 2)).sum() == 1


@pytest.mark.parametrize(
    "layer",
    [
        layers.ReLU(negative_slope=0.1),
        layers.ReLU(threshold=1.0),
        layers.Activation("gelu"),
        layers.Activation(lambda x: x * 2),
        layers.Add(dtype="mixed_bfloat16"),
        layers.Multiply(),
    ],
)
def test_the_rest_is_for_keras(layer):
    assert in_numpy(layer) is None
