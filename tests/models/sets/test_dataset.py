"""`load`: shapes, values against tf.image.resize, what a name means, and wrong arguments."""

from __future__ import annotations

import hashlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.processes import run_python

from kerasprune import data
from kerasprune.errors import PruneError
from kerasprune.models.sets.glyph_scene import draw


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("tfds"))


@settings(max_examples=8, deadline=None)
@given(size=st.integers(1, 64), batch=st.integers(1, 300), split=st.sampled_from(["train", "validation", "test"]))
def test_shapes_types_and_numbers_of_batches(size, batch, split):
    dataset = data.load("digits", size=size, batch=batch, split=split)
    count = data.info("digits").examples[split]
    images, labels = next(iter(dataset))
    assert images.shape[1:] == (size, size, 3) and images.dtype == tf.float32
    assert labels.shape == images.shape[:1] and labels.dtype == tf.int32
    if split == "train":
        assert dataset.element_spec[0].shape == (batch, size, size, 3)
        assert len(dataset) == count // batch
    else:
        assert len(dataset) == -(-count // batch)
        assert dataset.element_spec[0].shape[1:] == (size, size, 3)


@pytest.mark.thorough
def test_evaluation_splits_are_complete_and_in_order(data_dir):
    dataset = data.load("glyphs/tiny", split="test", batch=50, data_dir=data_dir)
    labels = np.concatenate([labels for _, labels in dataset])
    np.testing.assert_array_equal(labels, np.arange(72) % 36)
    assert [len(labels) for _, labels in dataset] == [50, 22]


@pytest.mark.parametrize("size", [13, 32, 64, 80])
def test_images_are_resized_and_standardised_originals(data_dir, size):
    facts = data.info("glyphs/tiny", data_dir=data_dir)
    images, _ = next(iter(data.load("glyphs/tiny", split="validation", size=size, batch=3, data_dir=data_dir)))
    for index, image in enumerate(images):
        original = draw(0, "validation", index)[0].astype(np.float32)
        resized = tf.image.resize(original, (size, size), method="bilinear", antialias=size < 64).numpy()
        expected = (resized / 255 - facts.mean) / facts.std
        np.testing.assert_allclose(image, expected, atol=2e-5)


def test_training_images_are_those_of_the_split_with_their_labels(data_dir):
    dataset = data.load("glyphs/tiny", size=64, batch=36, data_dir=data_dir)
    facts = data.info("glyphs/tiny", data_dir=data_dir)
    images, labels = next(iter(dataset))
    originals = {draw(0, "train", index)[0].tobytes(): index % 36 for index in range(360)}
    for image, label in zip(images.numpy(), labels.numpy(), strict=True):
        original = np.round((image * facts.std + facts.mean) * 255).astype(np.uint8)
        assert originals[original.tobytes()] == label


@pytest.mark.thorough
def test_the_order_is_the_same_in_another_process():
    script = (
        "from kerasprune import data\n"
        "import hashlib\n"
        "dataset = data.load('generated:7', size=8, batch=64, augment='crop_flip', seed=3, first_epoch=1)\n"
        "print(hashlib.sha256(b''.join(images.numpy().tobytes() for images, _ in dataset)).hexdigest())\n"
    )
    other = run_python(script)
    dataset = data.load("generated:7", size=8, batch=64, augment="crop_flip", seed=3)
    here = [hashlib.sha256(b"".join(images.numpy().tobytes() for images, _ in dataset)).hexdigest() for _ in range(2)]
    assert here[0] != here[1] == other


def test_the_first_step_takes_up_an_epoch():
    whole = [labels.numpy() for _, labels in data.load("digits", batch=100, seed=2, first_epoch=4)]
    rest = data.load("digits", batch=100, seed=2, first_epoch=4, first_step=8)
    assert len(rest) == 3
    np.testing.assert_array_equal([labels for _, labels in rest], whole[8:])


def test_a_function_can_be_the_augmentation():
    def blank(image, size, seed):
        return tf.zeros((size, size, 3))

    images, _ = next(iter(data.load("digits", size=5, augment=blank)))
    np.testing.assert_array_equal(images, np.zeros((128, 5, 5, 3)))


@pytest.mark.thorough
def test_a_model_learns_the_digits_compiled_by_xla():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(8, 3, strides=2, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((16, 16, 3)), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=True)
    model.fit(data.load("digits", size=16, batch=64), epochs=8, verbose=0, shuffle=False)
    assert model.evaluate(data.load("digits", size=16, split="test"), verbose=0)[1] > 0.85


def test_generated_images_fill_two_batches():
    facts = data.info("generated:5")
    assert (len(facts.classes), facts.size) == (5, (32, 32))
    dataset = data.load("generated:5", augment="crop_flip")
    assert len(dataset) == 2
    images, labels = next(iter(dataset))
    assert set(labels.numpy()) == set(range(5))
    assert abs(float(tf.reduce_mean(images))) < 0.05 and abs(float(tf.math.reduce_std(images)) - 1) < 0.15


def test_a_path_is_a_folder_of_images(tmp_path):
    for number in range(4):
        path = tmp_path / "train" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + number, 30), (50 * number,) * 3).save(path)
    for name in (tmp_path, str(tmp_path)):
        images, labels = next(iter(data.load(name, size=8, batch=4, augment="inception")))
        assert images.shape == (4, 8, 8, 3) and sorted(labels.numpy()) == [0, 0, 1, 1]


def test_evaluation_sees_the_middle_and_training_all(tmp_path):
    """A bright rim of a sixteenth on each side lies outside 0.875 of the image."""
    pixels = np.full((64, 64, 3), 255, np.uint8)
    pixels[4:60, 4:60] = 0
    for split in ("train", "test"):
        for label in "ab":
            (tmp_path / split / label).mkdir(parents=True)
            Image.fromarray(pixels).save(tmp_path / split / label / "0.png")
    for more in ({}, {"evaluation_crop": 0.875}):
        options = {"batch": 2, "split": "test", "antialias": False, **more}
        images, _ = next(iter(data.load(tmp_path, size=56, **options)))
        assert images.shape == (2, 56, 56, 3) and (np.ptp(images.numpy()) > 1) == (not more)
        twin, _ = next(iter(data.rounds(tmp_path, sizes=[56], epochs_per_round=1, **options)))
        np.testing.assert_allclose(twin, images, atol=1e-6)
    trained, _ = next(iter(data.load(tmp_path, size=56, batch=2, antialias=False)))
    assert np.ptp(trained.numpy()) > 1


def test_representative_images_come_one_by_one():
    dataset = data.load("digits", split="test", size=8, batch=7)
    images = list(data.representative(dataset, 9))
    expected = np.concatenate([images for images, _ in dataset])[:9]
    assert [len(image) for image in images] == [1] * 9
    np.testing.assert_array_equal(np.concatenate([image for (image,) in images]), expected)


@pytest.mark.parametrize("n", [0, -1, 2.0, True])
def test_representative_needs_a_number(n):
    with pytest.raises(PruneError, match="n="):
        next(data.representative(data.load("digits", split="test"), n))


def test_representative_says_when_there_are_too_few():
    with pytest.raises(PruneError, match="Received: n=301, and 300 images"):
        list(data.representative(data.load("digits", split="test"), 301))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "glyf"}, "Did you mean 'glyphs'"),
        ({"name": "no/such/folder"}, "existing folder"),
        ({"name": 3}, "name=3"),
        ({"name": "generated:0"}, "generated:10"),
        ({"name": "generated:many"}, "generated:10"),
        ({"size": 0}, "size=0"),
        ({"size": 32.0}, "size=32.0"),
        ({"size": True}, "size=True"),
        ({"batch": 0}, "batch=0"),
        ({"batch": 1198}, "at most the 1197 images"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**63}, "seed="),
        ({"first_epoch": -1}, "first_epoch=-1"),
        ({"first_step": 9}, "0 to 8"),
        ({"split": "trian"}, "Did you mean 'train'"),
        ({"split": ["train"]}, "split="),
        ({"augment": "crop_flop"}, "Did you mean 'crop_flip'"),
        ({"augment": 3}, "augment=3"),
        ({"augment": "crop_flip"}, "mirroring"),
        ({"augment": "inception"}, "mirroring"),
        ({"augment": "crop", "split": "test"}, "Only the training split"),
        ({"evaluation_crop": 0.875}, "Only the other splits"),
        ({"evaluation_crop": 1.5, "split": "test"}, "evaluation_crop=1.5"),
        ({"antialias": "no"}, "antialias='no'"),
        ({"antialias": False, "augment": lambda image, size, seed: image}, "a keyword antialias"),
    ],
)
def test_wrong_arguments_are_named(arguments, said):
    with pytest.raises(PruneError, match=said):
        data.load(**{"name": "digits"} | arguments)


def test_all_faults_are_told_at_once():
    with pytest.raises(PruneError) as error:
        data.load("digits", size=0, batch=-1, split="x", augment="y")
    assert all(f"{name}=" in str(error.value) for name in ("size", "batch", "split", "augment"))


@pytest.mark.thorough
def test_importing_the_package_does_not_bring_tensorflow_datasets():
    script = "import sys, kerasprune.data as data; data.names(), data.load; print('tensorflow_datasets' in sys.modules)"
    assert run_python(script) == "False"


def test_every_public_name_can_be_had():
    assert all(getattr(data, name) for name in data.__all__)
    assert set(data.__all__) <= set(dir(data))
    with pytest.raises(AttributeError, match="nothing"):
        _ = data.nothing
