"""Letters and digits in coloured, cluttered scenes, drawn on the spot: a `tensorflow-datasets` builder without download.

Importing this module makes `tfds.load("glyphs")` work, as with any other tfds builder.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow_datasets as tfds
from PIL import Image

from kerasprune.data.drawing import CLASSES, SIDE, draw
from kerasprune.data.sources import DataInfo, Indexed, Source, in_memory

SEED = 0


@dataclass(eq=False)
class GlyphsConfig(tfds.core.BuilderConfig):
    """How many pictures are drawn. The pictures of a smaller training split are the first of a larger one."""

    train: int = 20_000
    validation: int = 2_000
    test: int = 4_000


class Glyphs(tfds.core.GeneratorBasedBuilder):
    """36 classes (0-9, A-Z) of 64x64 RGB scenes; see `kerasprune.data.drawing`.

    The name spells what a tfds builder spells by its class: `tfds.builder("glyphs/small")`.
    """

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {"1.0.0": "First drawing.", "1.1.0": "Larger glyphs, more contrast, less noise."}
    BUILDER_CONFIGS = [
        GlyphsConfig(name="full", description="20,000 pictures to train on."),
        GlyphsConfig(name="small", description="10,000 pictures to train on.", train=10_000),
        GlyphsConfig(name="tiny", description="For tests.", train=360, validation=72, test=72),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Letters and digits in many fonts, tilted, sheared, textured, partly covered, blurred, noisy.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 3), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=list(CLASSES)),
                }
            ),
            supervised_keys=("image", "label"),
            # The classes take turns already; keeping the order makes a smaller config a prefix of a larger one.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # nothing is downloaded
        config = self.builder_config
        counts = {"train": config.train, "validation": config.validation, "test": config.test}
        return {split: self._generate_examples(split, count) for split, count in counts.items()}

    def _generate_examples(self, split: str, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for index in range(count):
            image, label = draw(SEED, split, index)
            yield index, {"image": _png(image), "label": label}


def _png(image: Any) -> io.BytesIO:
    # The least compression: noise hardly compresses, and encoding would take longer than drawing.
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="png", compress_level=1)
    file.seek(0)
    return file


def glyphs(config: str, data_dir: str | None) -> Source:
    """Returns the data set in one configuration; it is drawn at the first need and reused from `data_dir` then."""
    builder = Glyphs(config=config, data_dir=data_dir)
    settings = builder.builder_config
    return Source(
        DataInfo(
            name="glyphs" if config == "full" else f"glyphs/{config}",
            classes=CLASSES,
            examples={"train": settings.train, "validation": settings.validation, "test": settings.test},
            size=(SIDE, SIDE),
            mean=(0.50, 0.50, 0.50),
            std=(0.29, 0.30, 0.28),
            mirror=False,
        ),
        lambda split: _read(prepare(builder), split),
    )


def prepare(builder: Glyphs) -> Glyphs:
    """Returns a builder whose files exist, drawing them if need be.

    tfds writes into a folder of its own and renames it when it is complete. Where another process was quicker, that
    rename fails and this process takes the other's files: they hold the same pictures.
    """
    try:
        builder.download_and_prepare()
        return builder
    except OSError:
        finished = Glyphs(config=builder.builder_config.name, data_dir=builder._data_dir_root)
        if not finished.info.splits:
            raise
        return finished


def _read(builder: Glyphs, split: str) -> Indexed:
    images, labels = builder.as_dataset(split=split, batch_size=-1, as_supervised=True)
    return in_memory(images.numpy(), labels.numpy())
