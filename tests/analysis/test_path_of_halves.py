"""The path of halves: its loss stays below the theorem's bound, and is flat between doubled nets."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp

X = np.random.default_rng(0).normal(size=(48, 3)).astype("float32")


def dense(seed: int, widths=(7, 5, 6)) -> keras.Model:
    layers = [keras.layers.Dense(width, activation="relu") for width in widths]
    return drawn(keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2)]), seed)


def drawn(model: keras.Model, seed: int) -> keras.Model:
    random = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(random.normal(size=variable.shape) * 0.5)
    model.compile(loss="mse")
    return model


def convolutional(seed: int) -> keras.Model:
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.MaxPooling2D(), keras.layers.Flatten()]
    more = [keras.layers.Dense(5, activation="relu", use_bias=False), keras.layers.Dense(2)]
    return drawn(keras.Sequential([keras.Input((6, 6, 2)), *layers, *more]), seed)


def check_bound(a: keras.Model, b: keras.Model, data) -> kp.analysis.StablePath:
    path = kp.analysis.stable_path(a, b, data, points=200, draws=1)
    bound = max(path.losses[0], path.losses[-1]) + max(each.epsilon for each in path.stability)
    assert (path.losses <= bound + 1e-5).all()
    for alpha, model in ((0, a), (1, b)):
        for at, exact in zip(path.weights(alpha), model.get_weights(), strict=True):
            np.testing.assert_array_equal(at, exact)
    return path


@pytest.mark.thorough
@pytest.mark.jax
def test_the_loss_stays_below_the_bound():
    y = np.random.default_rng(1).normal(size=(48, 2)).astype("float32")
    a, b = dense(1), dense(2)
    path = check_bound(a, b, [(X, y)])
    for place, found in enumerate(path.stability):  # the halves lie on the path
        own = dense(0)
        knots = path.knots[::-1] if place else path.knots
        for turn, i in enumerate(reversed(range(3))):
            own.set_weights(knots[2 * turn + 2])
            assert own.evaluate(X, y, verbose=0) == pytest.approx(found.losses[i], rel=1e-4)


@pytest.mark.thorough
def test_convolutions_too():
    images = np.random.default_rng(3).normal(size=(16, 6, 6, 2)).astype("float32")
    y = np.random.default_rng(1).normal(size=(16, 2)).astype("float32")
    check_bound(convolutional(1), convolutional(2), [(images, y)])


def test_it_is_flat_between_doubled_nets():
    a = dense(1, (6, 4))
    for place, layer in enumerate(a.layers):
        kernel, bias = layer.get_weights()
        kernel = np.repeat(kernel[::2], 2, axis=0) if place else kernel
        kernel, bias = (
            (np.repeat(each[..., ::2], 2, axis=-1) for each in (kernel, bias)) if place < 2 else (kernel, bias)
        )
        layer.set_weights([kernel, np.abs(bias)])
    b = dense(1, (6, 4))
    orders = [np.arange(3)], [3, 1, 0, 5, 4, 2], [2, 0, 1, 3]  # the same function, its units in another order
    for place, layer in enumerate(a.layers):
        kernel, bias = layer.get_weights()
        kernel = kernel[orders[place]] if place else kernel
        order = orders[place + 1] if place < 2 else [0, 1]
        b.layers[place].set_weights([kernel[:, order], bias[order]])
    y = keras.ops.convert_to_numpy(a(X))
    path = kp.analysis.stable_path(a, b, [(X, y)], points=60)
    assert max(each.epsilon for each in path.stability) <= 1e-6
    assert np.abs(path.losses).max() < 1e-6
    assert kp.analysis.line(a, b, [(X, y)]).barrier > 1e-3


def test_sums_and_norms_are_refused():
    inputs = keras.Input((3,))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(4)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    with pytest.raises(kp.PruneError, match="Expected a chain"):
        kp.analysis.stable_path(model, model, [(X, X[:, :2])], loss="mse")
