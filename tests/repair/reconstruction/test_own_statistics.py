"""BatchNorm statistics of the model's own: it computes the same in inference, and so it does where training begins."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.repair.reconstruction.recalibrate import OwnStatistics, run
from kerasprune.testing.randomness import randomise


def small(**options) -> keras.Model:
    """Two convolutions with BatchNorm, the second inside a model; statistics that fit nothing."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [keras.Input((6, 6, 4)), layers.Conv2D(5, 3), layers.BatchNormalization(name="second")], name="inner"
    )
    inputs = keras.Input((6, 6, 3))
    x = layers.BatchNormalization(name="first", **options)(layers.Conv2D(4, 3, padding="same")(inputs))
    x = inner(layers.Activation("relu")(x))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    return randomise(model)


def images(number: int = 64) -> np.ndarray:
    return np.random.default_rng(1).normal(1.0, 2.0, (number, 6, 6, 3)).astype("float32")


def take_own_statistics(model: keras.Model, examples) -> None:
    statistics = OwnStatistics(model)
    run(model, examples, statistics.visit)
    statistics.take_over()


def outputs(model: keras.Model, x: np.ndarray, training: bool = False) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(x, training=training))


def test_inference_is_as_before_and_training_begins_there():
    model, x = small(), images()
    expected = outputs(model, x)
    momenta = [each.momentum for each in (model.get_layer("first"), model.get_layer("inner").get_layer("second"))]
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    assert np.abs(outputs(copy, x, training=True) - expected).max() > 0.5  # what training would begin with
    take_own_statistics(model, [[x]])
    np.testing.assert_allclose(outputs(model, x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs(model, x, training=True), expected, rtol=1e-3, atol=1e-4)
    assert momenta == [model.get_layer("first").momentum, model.get_layer("inner").get_layer("second").momentum]


def test_statistics_are_the_averages_over_batches():
    model, x = small(), images(48)
    seen = outputs(keras.Model(model.inputs, model.layers[1].output), x)
    take_own_statistics(model, [[x[:32]], [x[32:]]])
    first, parts = model.get_layer("first"), (seen[:32], seen[32:])
    for variable, of in ((first.moving_mean, np.mean), (first.moving_variance, np.var)):
        expected = sum(len(part) * of(part, axis=(0, 1, 2)) for part in parts) / 48
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"trainable": False}, {"scale": False}, {"center": False}])
def test_layers_that_cannot_take_up_the_difference_stay(options):
    model = small(**options)
    before = [np.array(weight) for weight in model.get_layer("first").get_weights()]
    expected = outputs(model, images())
    take_own_statistics(model, [[images()]])
    assert all(map(np.array_equal, before, model.get_layer("first").get_weights()))
    np.testing.assert_allclose(outputs(model, images()), expected, rtol=1e-4, atol=1e-5)


def test_too_few_numbers_say_nothing_of_a_variance():
    inputs = keras.Input((5,))
    model = keras.Model(inputs, layers.BatchNormalization()(inputs))
    for number, same in ((99, True), (100, False)):
        before = model.get_weights()
        take_own_statistics(model, [[np.random.default_rng(0).normal(3.0, 1.0, (number, 5)).astype("float32")]])
        assert same == all(map(np.array_equal, before, model.get_weights()))


def test_masked_steps_do_not_count():
    inputs = keras.Input((4, 2))
    norm = layers.BatchNormalization(name="norm")
    model = keras.Model(inputs, norm(layers.Masking()(inputs)))
    x = np.random.default_rng(0).normal(2.0, 1.0, (60, 4, 2)).astype("float32")
    x[:, 3] = 0.0
    take_own_statistics(model, [[x]])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(norm.moving_mean), x[:, :3].mean((0, 1)), rtol=1e-4)


def test_a_reconstructed_model_trains_from_what_it_computes():
    """What least squares makes varies less than its targets: unless that is stored, training begins elsewhere."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    x = layers.Dense(24, use_bias=False, name="wide")(inputs)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.Dense(16, use_bias=False)(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    model = keras.Model(inputs, layers.Dense(4)(x))
    x = np.random.default_rng(0).normal(size=(128, 8)).astype("float32")
    model = kp.recalibrate(model, x)
    plan = kp.plan(model, keep=0.3)
    new = kp.reconstruct(kp.rebuild(model, plan), model, plan, x)
    np.testing.assert_allclose(outputs(new, x, training=True), outputs(new, x), rtol=1e-2, atol=1e-3)
