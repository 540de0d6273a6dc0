"""Shared weights in training: the gradient of a centroid, members that stay equal, and who is refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune import PruneError
from kerasprune.callbacks import HoldMask, TrainedQuantization
from kerasprune.callbacks.trained_quantization import Clusters

X = np.random.default_rng(0).standard_normal((32, 12)).astype("float32")
Y = np.random.default_rng(1).standard_normal((32, 1)).astype("float32")


def linear(weights=None):
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(1, use_bias=False, name="d")])
    model.layers[0].kernel.assign(np.random.default_rng(2).standard_normal((12, 1)) if weights is None else weights)
    return model


def kernel(model):
    return np.array(keras.ops.convert_to_numpy(model.layers[0].kernel))


def fitted(model, callbacks, optimizer=None, epochs=1, batch_size=8):
    model.compile(optimizer or keras.optimizers.SGD(0.01), "mse")
    model.fit(X, Y, batch_size, epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return model


def test_sums_within_clusters_are_those_of_brute_force():
    codes = np.random.default_rng(0).integers(0, 4, (3, 4)).astype(np.int32)
    weights = np.where(codes == 0, 0, 1.0).astype("float32")
    weights[0, 0] = 0  # a mask has removed it since
    gradient = np.random.default_rng(1).standard_normal((3, 4)).astype("float32")
    found = keras.ops.convert_to_numpy(Clusters(keras.Variable(weights), codes, 3).summed(gradient))
    for place in np.ndindex(3, 4):
        members = [other for other in np.ndindex(3, 4) if codes[other] == codes[place] and weights[other]]
        expected = sum(float(gradient[other]) for other in members) if weights[place] else 0
        assert found[place] == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_a_step_moves_centroids_by_the_finite_difference_of_the_loss():
    model = linear()
    shared = kp.codec.share(kernel(model), 3)
    book, codes = np.unique(shared, return_inverse=True)
    codes = codes.reshape(shared.shape)

    def loss(centroids):
        return ((X.astype(float) @ centroids[codes] - Y) ** 2).mean()

    step = 1e-4
    slopes = [(loss(book + step * unit) - loss(book - step * unit)) / (2 * step) for unit in np.eye(3)]
    callback = TrainedQuantization(2)
    model.layers[0].kernel.assign(shared)  # three values: no more than codes, so they are the clusters
    fitted(model, [callback], batch_size=32)
    moved = np.array([kernel(model)[codes == n][0] for n in range(3)]).ravel()
    np.testing.assert_allclose((book - moved) / 0.01, slopes, rtol=2e-3)
    assert np.unique(kernel(model)).size == 3 and callback.codebooks[model.layers[0].kernel.path].size == 3


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(1e-3),
    "momentum": lambda: keras.optimizers.SGD(1e-3, momentum=0.9, weight_decay=1e-2),
    "nesterov": lambda: keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(1e-3, amsgrad=True),
    "adamw": lambda: keras.optimizers.AdamW(1e-3, weight_decay=0.1),
    "rmsprop": lambda: keras.optimizers.RMSprop(1e-3, momentum=0.5, centered=True),
    "lion": lambda: keras.optimizers.Lion(1e-4),
    "accumulated": lambda: keras.optimizers.Adam(1e-3, gradient_accumulation_steps=2),
    "averaged": lambda: keras.optimizers.SGD(1e-3, use_ema=True, ema_overwrite_frequency=3),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-3)),
}


def images_model():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((9, 9, 2)), layers.Conv2D(13, 3), layers.BatchNormalization(), layers.ReLU(), layers.Flatten()]
        + [layers.Dense(7)]
    )


@pytest.mark.thorough
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_members_stay_equal_to_the_bit_and_zeros_zero(name):
    if name == "averaged" and keras.backend.backend() == "jax":
        pytest.skip("Keras fits no model with use_ema twice on JAX")
    model, draw = images_model(), np.random.default_rng(0)
    conv, dense = model.layers[0].kernel, model.layers[4].kernel
    model.compile(OPTIMIZERS[name](), "mse")
    x, y = draw.standard_normal((40, 9, 9, 2)), draw.standard_normal((40, 7))
    model.fit(x, y, 8, 1, verbose=0)  # slots have a memory
    dense.assign(np.where(draw.random(dense.shape) < 0.1, keras.ops.convert_to_numpy(dense), 0))
    before = [kp.codec.share(keras.ops.convert_to_numpy(v), 16) for v in (conv, dense)]
    model.fit(x, y, 8, 40, verbose=0, callbacks=[TrainedQuantization(4)])
    for variable, first in zip((conv, dense), before, strict=True):
        now = keras.ops.convert_to_numpy(variable)
        assert np.unique(now[now != 0]).size <= 16
        assert np.array_equal(first == 0, now == 0) and not np.array_equal(first, now)


def test_masks_hold_in_either_order(tmp_path):
    for first in (True, False):
        model = linear()
        mask = np.arange(12).reshape(12, 1) % 3 > 0
        callbacks = [HoldMask({model.layers[0].kernel.path: mask}), TrainedQuantization(2)]
        fitted(model, callbacks if first else callbacks[::-1], keras.optimizers.Adam(0.01), epochs=3)
        assert np.array_equal(kernel(model) != 0, mask) and np.unique(kernel(model)[mask]).size <= 4
        kp.codec.pack(model, tmp_path / "a.kpz", bits=2, overwrite=True)
        assert np.array_equal(kernel(kp.codec.unpack(tmp_path / "a.kpz")), kernel(model))


def test_nothing_is_left_on_the_optimizer():
    model = fitted(linear(), [TrainedQuantization(2), TrainedQuantization(1)])
    assert "apply" not in vars(model.optimizer)
    model.fit(X, Y, 8, 1, verbose=0)
    assert np.unique(kernel(model)).size == 12


def test_optimizers_that_would_part_the_members_are_refused():
    optimizers = keras.optimizers
    for optimizer, match in (
        (optimizers.Lamb(), "Lamb"), (optimizers.Adafactor(), "Adafactor"), (optimizers.Muon(), "Muon"),
        (optimizers.SGD(clipnorm=1.0), "clipnorm"), (optimizers.Adam(global_clipnorm=1.0), "global_clipnorm"),
    ):  # fmt: skip
        with pytest.raises(PruneError, match=match):
            fitted(linear(), [TrainedQuantization(2)], optimizer)
    fitted(linear(), [TrainedQuantization(2)], optimizers.SGD(0.01, clipvalue=0.1))


def test_arguments():
    for wrong in ({"bits": 9}, {"start": "none"}, {"bits": {"x": 2}}, {"bits": {"conv": 2}}):
        with pytest.raises(PruneError):
            fitted(linear(), [TrainedQuantization(**wrong)])


def test_the_memory_of_an_optimizer_is_forgotten():
    model = fitted(linear(), [], keras.optimizers.SGD(0.01, momentum=0.9))
    model.optimizer.learning_rate = 0.0  # only the memory would move weights
    shared = kp.codec.share(kernel(model), 4)
    model.fit(X, Y, verbose=0, callbacks=[TrainedQuantization(2)])
    assert np.array_equal(kernel(model), shared)


def test_a_later_fit_begins_with_the_weights_that_were_loaded_since():
    callback = TrainedQuantization(2)
    model = fitted(linear(), [callback], keras.optimizers.SGD(0.01, momentum=0.9), epochs=2)
    model.optimizer.learning_rate = 0.0  # only the memory would move weights
    model.layers[0].kernel.assign(kernel(model)[::-1] ** 3 + np.linspace(0, 1, 12)[:, None])
    shared = kp.codec.share(kernel(model), 4)
    model.fit(X, Y, verbose=0, callbacks=[callback])
    assert np.array_equal(kernel(model), shared)


def test_a_model_without_weights_is_refused():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(PruneError, match="not built"):
        model.fit(X, Y, verbose=0, callbacks=[TrainedQuantization(2)])
