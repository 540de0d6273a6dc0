"""Gradients, Hessian-vector products and gradients of single examples, against closed forms and differences."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasprune.backend.derivatives import gradient, hessian_vector_product, per_example
from kerasprune.criteria.batch_loss import batch_loss
from kerasprune.testing.randomness import randomise
from kerasprune.testing.toys import toy_data

pytestmark = [pytest.mark.quick, pytest.mark.jax, pytest.mark.torch]
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def array(x):
    return np.asarray(ops.convert_to_numpy(x), "float64")


def numbers_of(model) -> list[np.ndarray]:
    """Copies of everything a model holds: weights, statistics, seeds, optimizer."""
    return [np.array(ops.convert_to_numpy(v)) for v in (*model.variables, *model.optimizer.variables)]


def smooth() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, name="conv")(inputs))
    x = layers.Dropout(0.5, seed=3)(layers.GlobalAveragePooling2D()(layers.Activation("tanh")(x)))
    return randomise(keras.Model(inputs, layers.Dense(4, name="logits")(x)))


@pytest.fixture(scope="module")
def quadratic():
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=(5, 5))
    return matrix @ matrix.T, generator.normal(size=5), generator.normal(size=5)


def test_of_a_quadratic(quadratic):
    hessian, point, vector = quadratic
    halves = tuple(keras.Variable(part, dtype="float32") for part in (point[:2], point[2:]))

    def half_form(scale):
        x = ops.concatenate(halves)
        return scale * 0.5 * ops.sum(x * ops.matmul(ops.cast(hessian, "float32"), x))

    value, slopes = gradient(half_form, halves)(np.float32(2))
    assert array(value) == pytest.approx(point @ hessian @ point, rel=1e-5)
    np.testing.assert_allclose(np.concatenate([*map(array, slopes)]), 2 * hessian @ point, rtol=1e-4)
    product = hessian_vector_product(half_form, halves)([vector[:2], vector[2:]], np.float32(2))
    np.testing.assert_allclose(np.concatenate([*map(array, product)]), 2 * hessian @ vector, rtol=1e-4)
    linear = hessian_vector_product(lambda: ops.sum(halves[0]), halves)([vector[:2], vector[2:]])
    assert not any(array(each).any() for each in linear)


@pytest.mark.thorough
def test_of_a_network_with_batchnorm_and_dropout_which_stays_as_it_is():
    model = smooth()
    model.compile("adam", LOSS)
    images, labels = toy_data(12)
    model.train_on_batch(images, labels)
    before = numbers_of(model)
    kernels = [model.get_layer(name).kernel for name in ("conv", "logits")]
    loss = batch_loss(model)

    of_batch = gradient(loss, kernels, model.variables)
    _, whole = of_batch(images, labels, None)
    singles = [each for _, each in per_example(of_batch, images, labels, None)]
    assert len(singles) == 12
    for i, slope in enumerate(whole):
        np.testing.assert_allclose(array(slope), np.mean([array(one[i]) for one in singles], axis=0), atol=1e-6)

    vectors = [np.random.default_rng(i).normal(size=kernel.shape) for i, kernel in enumerate(kernels)]
    product = hessian_vector_product(loss, kernels, model.variables)(vectors, images, labels, None)

    def training(images, labels):  # statistics and seeds move, and are dropped
        return ops.mean(LOSS.call(labels, model(images, training=True)))

    gradient(training, kernels, model.variables)(images, labels)
    assert all(map(np.array_equal, before, numbers_of(model)))

    step = 1e-3
    slopes = []
    for sign in (1, -1):
        for kernel, value, vector in zip(kernels, before_of(kernels, model, before), vectors, strict=True):
            kernel.assign(value + sign * step * vector)
        here, found = of_batch(images, labels, None)
        slopes.append((float(array(here)), [array(each) for each in found]))
    (up, above), (down, below) = slopes
    along = sum((array(g) * v).sum() for g, v in zip(whole, vectors, strict=True))
    assert (up - down) / (2 * step) == pytest.approx(along, rel=2e-2)
    for exact, a, b in zip(product, above, below, strict=True):
        np.testing.assert_allclose(array(exact), (a - b) / (2 * step), atol=2e-2 * np.abs(array(exact)).max())


def before_of(kernels, model, before):
    paths = [v.path for v in model.variables]
    return [before[paths.index(kernel.path)] for kernel in kernels]


def test_a_table_that_is_looked_up_in_has_a_dense_gradient():
    inputs = keras.Input((3,), dtype="int32")
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(layers.Embedding(6, 2)(inputs))))
    table = model.layers[1].embeddings
    batch = np.array([[0, 1, 1], [5, 1, 0]]), np.ones((2, 1), "float32"), None
    _, (slope,) = gradient(batch_loss(model, "mse"), [table], model.variables)(*batch)
    assert slope.shape == (6, 2) and (np.abs(array(slope)).sum(axis=1) > 0).tolist() == [1, 1, 0, 0, 0, 1]
    (product,) = hessian_vector_product(batch_loss(model, "mse"), [table], model.variables)([np.ones((6, 2))], *batch)
    assert product.shape == (6, 2)
