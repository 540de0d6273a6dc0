"""Statistics of BatchNorm anew, against a loop in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp


def normed(x, scale):
    """A batch normalised by its own statistics."""
    return scale * (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)


def test_statistics_are_the_averages_over_batches():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5,))
    x = layers.BatchNormalization(name="first", momentum=0.9)(inputs)
    x = layers.Dropout(0.5)(layers.Dense(4, use_bias=False, name="dense")(x))
    model = keras.Model(inputs, layers.BatchNormalization(name="second")(x))
    model.get_layer("first").gamma.assign(np.arange(1.0, 6.0))
    data = np.random.default_rng(0).normal(2.0, 3.0, size=(300, 5)).astype("float32")
    before = model.get_weights()
    new = kp.recalibrate(model, data)
    assert all(map(np.array_equal, before, model.get_weights()))
    kernel = keras.ops.convert_to_numpy(model.get_layer("dense").kernel)
    batches = [data[:128], data[128:256], data[256:]]
    seen = {"first": batches, "second": [normed(b, np.arange(1.0, 6.0)) @ kernel for b in batches]}
    for name, inside in seen.items():
        layer = new.get_layer(name)
        for variable, of in ((layer.moving_mean, np.mean), (layer.moving_variance, np.var)):
            expected = sum(len(b) * of(b, axis=0) for b in inside) / len(data)
            np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), expected, rtol=1e-3, atol=1e-4)
        assert layer.momentum == model.get_layer(name).momentum


def test_frozen_layers_keep_theirs_and_none_is_said():
    inputs = keras.Input((5,))
    frozen = layers.BatchNormalization(name="frozen")
    model = keras.Model(inputs, layers.BatchNormalization(name="free")(frozen(inputs)))
    frozen.trainable = False
    new = kp.recalibrate(model, np.full((8, 5), 3.0))
    assert not keras.ops.convert_to_numpy(new.get_layer("frozen").moving_mean).any()
    assert keras.ops.convert_to_numpy(new.get_layer("free").moving_mean).all()
    with pytest.raises(kp.PruneError, match="which has none"):
        kp.recalibrate(keras.Sequential([keras.Input((5,)), layers.Dense(2)]), np.zeros((8, 5)))


def test_a_norm_that_is_called_by_keyword():
    inputs = keras.Input((8,))
    norm = layers.BatchNormalization(name="norm")(inputs=layers.Dense(4, name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(norm))
    x = np.random.default_rng(0).normal(size=(130, 8)).astype("float32")
    made = keras.ops.convert_to_numpy(model.get_layer("first")(x))
    new = kp.recalibrate(model, x).get_layer("norm")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(new.moving_mean), made.mean(axis=0), atol=1e-5)
    plan = kp.Plan({"first": range(4)})
    same = kp.reconstruct(kp.rebuild(model, plan), model, plan, x)  # which takes statistics, too
    np.testing.assert_allclose(*(keras.ops.convert_to_numpy(each(x)) for each in (same, model)), atol=1e-4)


@pytest.mark.parametrize("side", [None, 3])
def test_batches_of_one_number_have_no_variance(side):
    shape = (5,) if side is None else (side, 5)
    model = keras.Sequential([keras.Input(batch_shape=(1, *shape)), layers.BatchNormalization(name="norm")])
    x = np.random.default_rng(0).normal(size=(8, *shape)).astype("float32")
    if side is None:
        with pytest.raises(kp.PruneError, match="norm"):
            kp.recalibrate(model, x)
    else:
        variance = keras.ops.convert_to_numpy(kp.recalibrate(model, x).get_layer("norm").moving_variance)
        np.testing.assert_allclose(variance, x.var(axis=1).mean(axis=0), rtol=1e-4)
    free = keras.Sequential([keras.Input(shape), layers.BatchNormalization(name="norm")])
    variance = keras.ops.convert_to_numpy(kp.recalibrate(free, x).get_layer("norm").moving_variance)
    np.testing.assert_allclose(variance, x.var(axis=tuple(range(x.ndim - 1))), rtol=1e-4)
