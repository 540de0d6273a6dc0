"""Images whose size depends on the epoch: the same images as those of `load`, compiled once for each size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasprune as kp

SIZES = [16, 12, 8]


@pytest.mark.thorough
def test_every_epoch_has_the_images_of_the_plain_data_set_at_its_size():
    dataset = kp.data.rounds("digits", sizes=SIZES, epochs_per_round=2, batch=256, augment="crop", seed=3)
    assert len(dataset) == len(kp.data.load("digits", batch=256))
    assert dataset.element_spec[0].shape.as_list() == [256, None, None, 3]
    for epoch in range(7):
        side = SIZES[min(epoch // 2, 2)]
        plain = kp.data.load("digits", size=side, batch=256, augment="crop", seed=3, first_epoch=epoch)
        for (images, labels), (expected, answers) in zip(dataset, plain, strict=True):
            np.testing.assert_array_equal(labels, answers)
            np.testing.assert_allclose(images, expected, atol=1e-6)


@pytest.mark.thorough
def test_the_validation_twin_changes_with_the_training_set():
    twin = kp.data.rounds("digits", sizes=SIZES, epochs_per_round=1, split="validation", batch=100)
    for side in (*SIZES, SIZES[-1]):
        plain = kp.data.load("digits", size=side, batch=100, split="validation")
        for (images, labels), (expected, answers) in zip(twin, plain, strict=True):
            np.testing.assert_array_equal(labels, answers)
            np.testing.assert_allclose(images, expected, atol=1e-6)


class Watch(keras.layers.Layer):
    """Notes the side of what goes through it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, int]] = []

    def call(self, x, training=False):
        if x.shape[1] is not None:
            self.seen.append((bool(training), x.shape[1]))
        return x

    def compute_output_shape(self, shape):
        return shape


@pytest.mark.thorough
def test_fit_sees_the_sizes_in_training_and_validation():
    watch = Watch()
    inputs = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(watch(inputs))
    model = keras.Model(inputs, keras.layers.Dense(10)(x))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    train = kp.data.rounds("digits", sizes=SIZES, epochs_per_round=2, batch=512)
    twin = kp.data.rounds("digits", sizes=SIZES, epochs_per_round=2, batch=512, split="validation")
    watch.seen.clear()
    model.fit(train, validation_data=twin, epochs=6, shuffle=False, verbose=0)
    steps = {True: len(train), False: len(twin)}
    expected = [(t, side) for side in SIZES for _ in range(2) for t in (True, False) for _ in range(steps[t])]
    assert watch.seen[-len(expected) :] == expected


JITTED = """
import keras, kerasprune as kp
x = keras.Input((None, None, 3))
y = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, strides=2)(x))
model = keras.Model(x, keras.layers.Dense(10)(y))
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(0.01), loss, jit_compile=True)
train = kp.data.rounds("digits", sizes=[16, 12, 8], epochs_per_round=2, batch=256)
model.fit(train, epochs=6, shuffle=False, verbose=0)
"""


@pytest.mark.thorough
def test_one_compilation_for_each_size_under_xla(tmp_path):
    flags = f"--xla_dump_to={tmp_path} --xla_dump_hlo_as_text"
    subprocess.run([sys.executable, "-c", JITTED], env=os.environ | {"XLA_FLAGS": flags}, check=True)
    compiled = [path.name for path in Path(tmp_path).glob("*one_step_on_data*.before_optimizations.txt")]
    assert len(compiled) == 3, compiled


def test_bad_arguments_are_an_error():
    for arguments, message in (
        ({"sizes": []}, "one size per round"),
        ({"sizes": 16}, "one size per round. Received: sizes=16"),
        ({"sizes": [16, 0]}, "sizes=0"),
        ({"sizes": [16.5]}, "sizes=16.5"),
        ({"epochs_per_round": 0}, "epochs_per_round=0"),
        ({"split": "trian"}, "Did you mean 'train'"),
        ({"augment": "crop_flip"}, "mirroring"),
        ({"split": "test", "augment": "crop"}, "Only the training split"),
    ):
        with pytest.raises(kp.PruneError, match=message):
            kp.data.rounds("digits", **{"sizes": [16], "epochs_per_round": 1, **arguments})
