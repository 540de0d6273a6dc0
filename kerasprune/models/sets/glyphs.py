"""Letters and digits in coloured, cluttered scenes: a `tensorflow-datasets` builder without downloads.

Importing this module makes `tfds.load("glyphs")` work.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow_datasets as tfds
from PIL import Image

from kerasprune.data.scaling import DataInfo
from kerasprune.data.sources import Indexed, Source
from kerasprune.models.sets.glyph_scene import CLASSES, SIDE, draw
from kerasprune.models.sets.tfds_source import read_whole

SEED = 0
# Mean and standard deviation by channel of the 20,000 training images in [0, 1].
MEAN, STD = (0.50, 0.50, 0.50), (0.29, 0.31, 0.28)


@dataclass(eq=False)
class GlyphsConfig(tfds.core.BuilderConfig):
    """Numbers of images. The images of a smaller training split are the first of a larger one."""

    train: int = 20_000
    validation: int = 2_000
    test: int = 4_000

    @property
    def examples(self) -> dict[str, int]:
        """The number of images by split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


class Glyphs(tfds.core.GeneratorBasedBuilder):
    """36 classes (0-9, A-Z) of 64x64 RGB scenes; see `kerasprune.models.sets.glyph_scene`.

    The configuration is part of the name: `tfds.builder("glyphs/small")`.
    """

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {"1.0.0": "First drawing.", "1.1.0": "Larger glyphs, more contrast, less noise."}
    BUILDER_CONFIGS = [
        GlyphsConfig(name="full", description="20,000 images to train on."),
        GlyphsConfig(name="small", description="10,000 images to train on.", train=10_000),
        GlyphsConfig(name="tiny", description="For tests.", train=360, validation=72, test=72),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Letters and digits, tilted, sheared, textured, partly covered, blurred and noisy.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 3), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=list(CLASSES)),
                }
            ),
            supervised_keys=("image", "label"),
            # The classes are cyclic; in this order a smaller training split begins a larger one.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # nothing is downloaded
        counts = self.builder_config.examples
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
    """Returns the data set in one configuration; its files are made once and then reused.

    Args:
        config: `"full"`, `"small"` or `"tiny"`.
        data_dir: Folder of tfds; `None` means `$TFDS_DATA_DIR`, or else `~/tensorflow_datasets`.
    """
    builder = Glyphs(config=config, data_dir=data_dir)
    name = "glyphs" if config == "full" else f"glyphs/{config}"
    info = DataInfo(name, CLASSES, builder.builder_config.examples, (SIDE, SIDE), MEAN, STD, mirror=False)
    return Source(info, lambda split: _images(config, builder.data_dir_root, split))


# Cached, since several pipelines of different sizes often share a split: 245 MB for the largest.
@functools.lru_cache(maxsize=3)
def _images(config: str, data_dir: str, split: str) -> Indexed:
    return read_whole(prepare(config, data_dir), split)


def prepare(config: str, data_dir: str | None) -> Glyphs:
    """Returns a builder whose files exist; they are drawn now if necessary.

    tfds writes into a temporary folder and renames it when it is complete. If another process was faster, renaming
    fails, and this process uses the other's files, which hold the same images.
    """
    try:
        builder = Glyphs(config=config, data_dir=data_dir)
        builder.download_and_prepare()
    except OSError:
        builder = Glyphs(config=config, data_dir=data_dir)
        if not builder.info.splits:
            raise
    return builder
