"""The builder of the glyphs: what is stored is what is drawn, it is drawn once, and two may draw at a time."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from kerasprune.models.sets import glyphs as module
from kerasprune.models.sets.glyph_scene import draw


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("tfds"))


@pytest.mark.thorough
def test_the_files_hold_the_drawn_images_in_order(data_dir):
    source = module.glyphs("tiny", data_dir)
    for split, count in {"train": 360, "validation": 72, "test": 72}.items():
        images = source.images(split)
        assert images.count == source.info.examples[split] == count
        for index in (0, 1, count - 1):
            image, label = images.decode(tf.constant(index, tf.int64))
            expected, expected_label = draw(0, split, index)
            np.testing.assert_array_equal(image, expected)
            assert label == expected_label
        np.testing.assert_array_equal(np.bincount(images.labels), count // 36)


def test_the_constants_standardise(data_dir):
    source = module.glyphs("tiny", data_dir)
    drawn = source.images("train")
    images = np.stack([drawn.decode(tf.constant(index, tf.int64))[0] for index in range(360)]) / 255
    np.testing.assert_allclose(images.mean(axis=(0, 1, 2)), source.info.mean, atol=0.02)
    np.testing.assert_allclose(images.std(axis=(0, 1, 2)), source.info.std, atol=0.02)


def test_they_are_drawn_once(data_dir, monkeypatch):
    module.prepare("tiny", data_dir)
    monkeypatch.setattr(module, "draw", lambda *numbers: pytest.fail("drawn again"))
    assert module.prepare("tiny", data_dir).info.splits["train"].num_examples == 360


def test_tfds_knows_the_builder(data_dir):
    assert tfds.builder("glyphs/small", data_dir=data_dir).builder_config.train == 10_000
    assert tfds.builder("glyphs", data_dir=data_dir).builder_config.train == 20_000


@pytest.mark.thorough
def test_another_process_that_finishes_first_is_no_harm(tmp_path, monkeypatch):
    # Before the first image is drawn, somebody else draws all of them.
    others = []

    def interrupted(seed, split, index):
        if not others:
            others.append("at work")
            others.append(module.prepare("tiny", str(tmp_path)))
        return draw(seed, split, index)

    monkeypatch.setattr(module, "draw", interrupted)
    builder = module.prepare("tiny", str(tmp_path))
    assert others[1].info.splits["train"].num_examples == 360
    assert len(list(builder.as_dataset(split="train"))) == 360
    assert [path.name for path in (tmp_path / "glyphs" / "tiny").iterdir()] == [str(module.Glyphs.VERSION)]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        module.prepare("tiny", str(tmp_path / "file"))
