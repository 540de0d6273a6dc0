"""Sets of tensorflow-datasets, on small builders made here: in memory and streamed, and what cannot be had."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kerasprune.errors import PruneError
from kerasprune.models.sets import tfds_source as module
from kerasprune.models.sets.dataset import load

COUNT = 24


def image(index: int, channels: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (10, 10, channels), dtype=np.uint8)


class _Made(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    CHANNELS = 3

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(10, 10, self.CHANNELS)),
            "label": tfds.features.ClassLabel(names=["a", "b"]),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for index in range(COUNT):
            yield index, {"image": image(index, self.CHANNELS), "label": index % 2}


class ColourImages(_Made):
    pass


class GreyImages(_Made):
    CHANNELS = 1


class NoImages(_Made):
    def _info(self):
        features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _generate_examples(self):
        yield 0, {"text": "no image"}


class Unreachable(_Made):
    def _split_generators(self, dl_manager):
        raise ConnectionError("no network")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("tfds"))


def contents(images) -> list[tuple[bytes, int]]:
    decoded = images.in_order().map(lambda *record: images.decode(record[0] if len(record) == 1 else record))
    return sorted((image.tobytes(), int(label)) for image, label in decoded.as_numpy_iterator())


@pytest.mark.parametrize("held", [2**30, 0])
@pytest.mark.parametrize(("name", "channels"), [("colour_images", 3), ("grey_images", 1)])
def test_images_and_labels_are_those_of_the_builder(data_dir, monkeypatch, held, name, channels):
    monkeypatch.setattr(module, "HELD_IN_MEMORY", held)
    source = module.tfds_source(name, data_dir)
    assert (source.info.classes, dict(source.info.examples), source.info.size) == (
        ("a", "b"),
        {"train": COUNT},
        (10, 10),
    )
    expected = [
        (np.repeat(image(index, channels), 3 // channels, axis=-1).tobytes(), index % 2) for index in range(COUNT)
    ]
    assert contents(source.images("train")) == sorted(expected)


def test_a_streamed_set_trains_like_one_in_memory(data_dir, monkeypatch):
    def epoch() -> dict[bytes, int]:
        dataset = load("tfds:colour_images", size=10, batch=6, data_dir=data_dir)
        assert len(dataset) == 4 and dataset.element_spec[0].shape == (6, 10, 10, 3)
        rows = ((image.numpy().round(3).tobytes(), int(label)) for image, label in dataset.unbatch())
        return dict(rows)

    in_memory = epoch()
    monkeypatch.setattr(module, "HELD_IN_MEMORY", 0)
    streamed = epoch()
    assert streamed == in_memory and len(streamed) == COUNT
    assert list(streamed) == list(epoch())


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(PruneError, match="'tfds:cifra10'.*Did you mean 'cifar10'"):
        module.tfds_source("cifra10", None)


def test_files_that_cannot_be_had_are_an_error_with_a_remedy(data_dir):
    with pytest.raises(PruneError, match="no network(.|\n)*tfds build unreachable") as error:
        module.tfds_source("unreachable", data_dir)
    assert data_dir in str(error.value)


def test_a_set_without_images(data_dir):
    with pytest.raises(PruneError, match="one image and one label"):
        module.tfds_source("no_images", data_dir)
