"""Image folders: both layouts, and what is said about folders and files that are not as they should be."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerasprune import data
from kerasprune.data.folder import folder, refuse_corrupt
from kerasprune.errors import PruneError
from kerasprune.recipes.examples import examples_of
from kerasprune.recipes.schema import Data


def put(path: Path, colour: tuple[int, int, int] = (9, 9, 9), size: tuple[int, int] = (6, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def colours(images) -> list[tuple[tuple[int, ...], int]]:
    decoded = (images.decode(tf.constant(number, tf.int64)) for number in range(images.count))
    return [(tuple(image.numpy()[0, 0].tolist()), int(label)) for image, label in decoded]


def test_a_folder_with_splits(tmp_path):
    put(tmp_path / "train" / "dog" / "a.png", (1, 2, 3))
    put(tmp_path / "train" / "cat" / "b.png", (4, 5, 6))
    put(tmp_path / "train" / "cat" / "c.PNG", (7, 8, 9))
    put(tmp_path / "val" / "dog" / "d.png", (10, 11, 12))
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    source = folder(tmp_path)
    assert source.info.classes == ("cat", "dog")
    assert dict(source.info.examples) == {"train": 3, "validation": 1}
    assert colours(source.images("train")) == [((4, 5, 6), 0), ((7, 8, 9), 0), ((1, 2, 3), 1)]
    assert colours(source.images("validation")) == [((10, 11, 12), 1)]


def test_a_folder_without_splits_is_divided_once_and_for_all(tmp_path):
    for number in range(20):
        put(tmp_path / "a" / f"{number:02}.png", (number, 0, 0))
        put(tmp_path / "b" / f"{number:02}.png", (number, 1, 0))
    source = folder(tmp_path)
    assert dict(source.info.examples) == {"train": 32, "validation": 4, "test": 4}
    splits = {split: colours(source.images(split)) for split in source.info.examples}
    everything = [image for split in splits.values() for image in split]
    assert sorted(everything) == sorted(((number, label, 0), label) for number in range(20) for label in range(2))
    # Another image of one class leaves the other class where it is.
    put(tmp_path / "b" / "20.png")
    again = folder(tmp_path)
    for split, images in splits.items():
        before = [image for image in images if image[1] == 0]
        assert [image for image in colours(again.images(split)) if image[1] == 0] == before


def test_the_default_batch_is_no_larger_than_a_folder(tmp_path):
    for number in range(62):
        put(tmp_path / "ab"[number % 2] / f"{number:02}.png")
    train = data.load(tmp_path, size=8)
    assert len(train) == 1 and next(iter(train))[0].shape == (50, 8, 8, 3)
    assert next(iter(data.load(tmp_path, size=8, split="test")))[1].shape == (6,)
    assert len(data.rounds(tmp_path, sizes=[8], epochs_per_round=1)) == 1
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    assert next(iter(examples_of(Data(name=str(tmp_path)), "train", model)))[0].shape[0] == 50
    for load in (
        lambda: data.load(tmp_path, size=8, batch=128),
        lambda: examples_of(Data(name=str(tmp_path), batch=64), "train", model),
    ):  # given by the user
        with pytest.raises(PruneError, match="at most the 50 images of the split. Received: batch="):
            load()


def test_jpeg_and_grey_files_are_read_in_three_channels(tmp_path):
    put(tmp_path / "train" / "a" / "a.jpg", (200, 100, 50), size=(32, 16))
    Image.new("L", (5, 5), 77).save(tmp_path / "train" / "a" / "b.png")
    images = folder(tmp_path).images("train")
    image, _ = images.decode(tf.constant(0, tf.int64))
    np.testing.assert_allclose(image[8, 16], (200, 100, 50), atol=3)
    assert image.shape == (16, 32, 3)
    np.testing.assert_array_equal(images.decode(tf.constant(1, tf.int64))[0], np.full((5, 5, 3), 77))


def test_a_missing_folder(tmp_path):
    with pytest.raises(PruneError, match="nowhere"):
        folder(tmp_path / "nowhere")


@pytest.mark.parametrize("inside", ["", "train/cat", "cat"])
def test_a_folder_without_images(tmp_path, inside):
    (tmp_path / inside).mkdir(parents=True, exist_ok=True)
    with pytest.raises(PruneError, match="found none"):
        folder(tmp_path)


def test_images_that_would_be_left_out_are_named(tmp_path):
    for each in ("train/cat/a.png", "val/cat/a.png", "validation/cat/a.png", "dog/a.png", "train/loose.png"):
        put(tmp_path / each)
    (tmp_path / "notes").mkdir()
    with pytest.raises(PruneError) as error:
        folder(tmp_path)
    text = str(error.value)
    assert "Received: 'val' and 'validation'. Join them." in text and "'notes'" not in text
    assert "Received: 'dog' with images, next to the split 'train'. Move it into the splits" in text
    assert "a folder for each class in 'train', which is the name of a split" in text and len(error.value.faults) == 3


def test_classes_that_are_called_as_splits_are_said(tmp_path):
    for name in ("train", "test"):
        put(tmp_path / name / "a.png")
    with pytest.raises(PruneError, match="if this is the name of a class, rename it") as error:
        folder(tmp_path)
    assert len(error.value.faults) == 2


def test_a_class_without_training_images(tmp_path):
    put(tmp_path / "train" / "cat" / "a.png")
    put(tmp_path / "test" / "dog" / "a.png")
    with pytest.raises(PruneError, match="'dog'"):
        folder(tmp_path)


def test_corrupt_files_are_named_all_of_them(tmp_path):
    put(tmp_path / "train" / "cat" / "good.png")
    cut = put(tmp_path / "train" / "cat" / "cut.png", size=(90, 90))
    cut.write_bytes(cut.read_bytes()[:60])
    (tmp_path / "train" / "cat" / "text.jpg").write_text("no image")
    with pytest.raises(PruneError) as error:
        folder(tmp_path).images("train")
    assert "cut.png" in str(error.value) and "text.jpg" in str(error.value) and "good.png" not in str(error.value)


def test_a_file_beyond_the_most_pixels_is_named(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((64, 64, 3), "uint8")).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(PruneError, match=r"large\.png: Image size"):
        refuse_corrupt([tmp_path / "large.png"])
