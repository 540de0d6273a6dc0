"""One fit: weight decay as in the papers, metrics on disk, and a model that stays as it was."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

import kerasprune as kp
from kerasprune.data.examples import Examples
from kerasprune.recipes import learning, loader, schema
from kerasprune.recipes.fit import fit, weight_decay
from kerasprune.recipes.run_folder import RunFolder
from kerasprune.recipes.stages.context import Run
from kerasprune.steps.objective import classification


def small() -> keras.Model:
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))


@pytest.fixture
def images() -> tf.data.Dataset:
    generator = np.random.default_rng(0)
    images = generator.normal(size=(8, 4, 4, 3)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((images, np.arange(8) % 2)).batch(4)


def run(model, images, folder, *, l2=0.0, epochs=2, callbacks=()):
    sgd = learning.Sgd(name="sgd", learning_rate=0.1, momentum=0.0)
    spec = schema.Fit(epochs=epochs, optimizer=sgd, l2=l2)
    fit(
        Run(loader.load("digits-greg1"), RunFolder(folder), Console(quiet=True)),
        model,
        spec,
        stage="train",
        epochs=epochs,
        training=Examples(images, 4),
        validation=Examples(images, 4),
        objective=classification(model),
        callbacks=callbacks,
    )


def test_l2_has_the_gradient_of_the_papers_weight_decay():
    model = small()
    with weight_decay(model, 0.01), tf.GradientTape() as tape:
        loss = sum(model.losses)
    conv, logits = model.get_layer("conv").kernel, model.get_layer("logits").kernel
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    by_path = dict(zip([v.path for v in model.trainable_variables], gradients, strict=True))
    for kernel in (conv, logits):  # d(½ λ w²)/dw = λ w
        np.testing.assert_allclose(by_path[kernel.path], 0.01 * kernel.numpy(), rtol=1e-5)
    others = [path for path in by_path if not path.endswith("kernel")]
    assert len(others) == 4  # two biases, γ and β: not decayed
    assert all(by_path[path] is None for path in others)


@pytest.mark.parametrize(("on", "decayed"), [("kernels", 56), ("weights", 167)])
def test_weight_decay_of_resnet56(on, decayed):
    """55 convolutions and the classifier have kernels; of 167 variables the 111 others are biases, γ and β."""
    model = kp.models.resnet_cifar(depth=56)
    with weight_decay(model, 5e-4, on):
        assert sum(v.regularizer is not None for v in model.trainable_variables) == decayed
        assert len(model.losses) == decayed
    assert not model.losses


def test_weight_decay_leaves_the_model_as_it_was():
    model = small()
    own = keras.regularizers.L1(0.5)
    model.get_layer("conv").kernel.regularizer = own
    with pytest.raises(RuntimeError), weight_decay(model, 0.01):
        raise RuntimeError
    assert model.get_layer("conv").kernel.regularizer is own
    assert model.get_layer("logits").kernel.regularizer is None


@pytest.mark.thorough
def test_fit_decays_weights_inside_the_training_step(images, tmp_path):
    free, decayed = small(), small()
    decayed.set_weights(free.get_weights())
    run(free, images, tmp_path / "a", epochs=3)
    run(decayed, images, tmp_path / "b", epochs=3, l2=1.0)
    assert np.abs(decayed.get_layer("conv").kernel).sum() < 0.8 * np.abs(free.get_layer("conv").kernel).sum()


def test_fit_writes_a_row_per_epoch_and_leaves_no_optimizer_on_the_model(images, tmp_path):
    model = small()
    run(model, images, tmp_path)
    rows = RunFolder(tmp_path).metrics()
    assert [(row["stage"], row["epoch"]) for row in rows] == [("train", "1"), ("train", "2")]
    assert all(float(row["learning_rate"]) == pytest.approx(0.1) for row in rows)
    assert all(float(row[key]) >= 0 for row in rows for key in ("loss", "accuracy", "val_loss", "seconds"))
    assert not model.compiled
    assert getattr(model, "optimizer", None) is None


def test_loss_follows_what_the_model_puts_out():
    inputs = keras.Input((3,))
    logits = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    probabilities = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inputs))
    apart = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Dense(2)(inputs)))
    assert classification(logits).loss.from_logits
    assert not classification(probabilities).loss.from_logits
    assert not classification(apart).loss.from_logits
