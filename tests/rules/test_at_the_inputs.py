"""Layers that stand in front of a network: augmentations, words and numbers. The network behind them is pruned."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.graph.rule import table
from kerasprune.testing import compare, random_plan

ARGUMENTS = {
    "AutoContrast": (),
    "Equalization": (),
    "RandomBrightness": (0.1,),
    "RandomContrast": (0.1,),
    "RandomCrop": (8, 8),
    "RandomHue": (0.1,),
    "RandomPosterization": (4,),
    "RandomRotation": (0.1,),
    "RandomSaturation": (0.1,),
    "RandomSharpness": (0.1,),
    "RandomTranslation": (0.1, 0.1),
    "RandomZoom": (0.1,),
    "RandomColorDegeneration": (0.1,),
}
AUGMENTATIONS = sorted(kind.__name__ for kind, rule in table.load().items() if rule.function.__name__ == "augmentation")


def exact(model, inputs):
    for weight in model.weights:
        weight.assign(np.random.default_rng(1).normal(0, 0.3, weight.shape))
    graph = kp.trace(model)
    assert graph.prunable and not graph.unknown
    plan = random_plan(graph)
    assert compare(kp.mask(model, plan), kp.rebuild(model, plan, absorb=False), inputs).error < 1e-5


def test_augmentations_are_found():
    assert {"RandomFlip", "RandomRotation", "RandAugment", "CutMix", "MixUp"} <= set(AUGMENTATIONS)


@pytest.mark.matrix
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_network_behind_an_augmentation_is_pruned(name):
    inputs = keras.Input((12, 12, 3))
    x = getattr(layers, name)(*ARGUMENTS.get(name, ()))(inputs)
    x = layers.Conv2D(8, 3, name="first")(layers.Rescaling(1 / 255)(x))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3)(x))
    images = np.random.default_rng(0).uniform(0, 255, (4, 12, 12, 3)).astype("float32")
    exact(keras.Model(inputs, layers.Dense(3)(x)), images)


def test_a_network_behind_a_pipeline_is_pruned():
    inputs = keras.Input((12, 12, 3))
    x = layers.Pipeline([layers.RandomFlip(), layers.Rescaling(1 / 255)])(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, name="first")(x))
    images = np.random.default_rng(0).uniform(0, 255, (4, 12, 12, 3)).astype("float32")
    exact(keras.Model(inputs, layers.Dense(3)(x)), images)


def test_images_and_labels_in_a_dict():
    inputs = {"images": keras.Input((12, 12, 3), name="images"), "labels": keras.Input((3,), name="labels")}
    mixed = layers.MixUp()(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, name="first")(mixed["images"]))
    random = np.random.default_rng(0)
    batch = {"images": random.uniform(0, 255, (4, 12, 12, 3)), "labels": random.uniform(0, 1, (4, 3))}
    exact(
        keras.Model(inputs, [layers.Dense(3)(x), mixed["labels"]]), {k: v.astype("float32") for k, v in batch.items()}
    )


@pytest.mark.thorough
def test_the_guide_to_transfer_learning_is_pruned():
    """Keras's own: augmentation as a Sequential of its own, rescaling, a base, dropout, a head."""
    inputs = keras.Input((32, 32, 3))
    x = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])(inputs)
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    x = base(layers.Rescaling(1 / 127.5, offset=-1)(x), training=False)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, layers.Dense(1)(x))
    plan = kp.plan(model, keep=0.5)
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    slim = kp.rebuild(model, plan)
    assert slim.count_params() < 0.4 * model.count_params()
    assert kp.verify(model, slim, plan, images, reload=False).passed


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras makes these with TensorFlow")
@pytest.mark.parametrize(
    ("layer", "dtype"),
    [
        (lambda: layers.Hashing(9), "int64"),
        (lambda: layers.IntegerLookup(vocabulary=[1, 2, 3]), "int64"),
        (lambda: layers.Discretization(bin_boundaries=[0.0, 1.0, 2.0]), "float32"),
    ],
)
def test_numbers_that_are_looked_up(layer, dtype):
    inputs = keras.Input((4,), dtype=dtype)
    x = layers.Flatten()(layers.Embedding(20, 8, name="table")(layer()(inputs)))
    model = keras.Model(inputs, layers.Dense(3)(layers.Dense(6, name="hidden")(x)))
    exact(model, np.random.default_rng(0).integers(0, 5, (4, 4)).astype(dtype))


@pytest.mark.parametrize("recurrent", [layers.LSTM, layers.GRU])
def test_masked_sequences(recurrent):
    words = keras.Input((5,), dtype="int32")
    x = recurrent(6, name="units")(layers.Embedding(12, 8, mask_zero=True, name="table")(words))
    exact(keras.Model(words, layers.Dense(3)(x)), np.random.default_rng(0).integers(0, 12, (4, 5)))
    steps = keras.Input((5, 3))
    y = recurrent(6, name="units")(layers.Masking()(steps))
    data = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    data[:, 3:] = 0
    exact(keras.Model(steps, layers.Dense(3)(y)), data)
