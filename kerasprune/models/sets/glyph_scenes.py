"""Scenes of several digits, with the box, the class and the mask of each: a `tensorflow-datasets` builder, too.

Importing this module makes `tfds.load("glyph_scenes")` work.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from kerasprune.models.sets.glyph_scene import (
    CONTRAST,
    FONTS,
    LUMINANCE,
    STENCIL,
    STREAMS,
    cover,
    photograph,
    place_stencil,
    stencil_of,
    surface,
)

DIGITS = tuple("0123456789")
_DIGITS = 8  # of a scene, at most
_APART = 0.05  # of the area of the smaller box that two may share
_TRIES = 20  # places of a digit
_STREAM = 7  # apart from those of single glyphs


class Scene(NamedTuple):
    """A scene.

    Args:
        image: uint8 of shape (side, side, 3).
        boxes: float32 of shape (digits, 4): left, top, right and bottom in pixels.
        classes: int32 of shape (digits,), 0 to 9.
        mask: uint8 of shape (side, side): 0 for the background, class + 1 where a digit is.
    """

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    mask: np.ndarray


def draw_scene(seed: int, split: str, index: int, side: int = 64) -> Scene:
    """Returns scene number `index` of a split: 1 to 8 digits that hardly overlap.

    Args:
        seed: Seed of the whole data set.
        split: `"train"`, `"validation"` or `"test"`.
        index: Number of the scene, from 0.
        side: Height and width in pixels. Defaults to 64.

    Example:
        >>> scene = draw_scene(seed=0, split="train", index=3)
        >>> scene.image.shape, len(scene.boxes) == len(scene.classes) <= 8
        ((64, 64, 3), True)
    """
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _STREAM, side, STREAMS[split], index])))
    paper = random.uniform(0, 255, 3)
    scene, mask = surface(random, paper, side), np.zeros((side, side), np.uint8)
    boxes, classes = [], []
    for _ in range(int(random.integers(1, _DIGITS + 1))):
        label = int(random.integers(len(DIGITS)))
        ink, found = _ink(random, paper), None
        for _ in range(_TRIES):
            glyph = _digit(random, label, side)
            box = _box(np.asarray(glyph) > 127)
            if box is not None and all(_shared(box, other) < _APART for other in boxes):
                found = glyph, box
                break
        if found is None:
            continue
        scene.paste(surface(random, ink, side), mask=found[0])
        mask[np.asarray(found[0]) > 127] = label + 1
        boxes.append(found[1])
        classes.append(label)
    for _ in range(int(random.integers(0, 3))):
        cover(random, scene)
    return Scene(photograph(random, scene), np.array(boxes, np.float32), np.array(classes, np.int32), mask)


def _ink(random: np.random.Generator, paper: np.ndarray) -> np.ndarray:
    """Returns a colour that stands out from the paper."""
    while True:
        colour = random.uniform(0, 255, 3)
        if abs((colour - paper) @ LUMINANCE) >= CONTRAST:
            return colour


def _digit(random: np.random.Generator, label: int, side: int) -> Any:
    """Returns the mask of a digit: a sixth to a third of the side high, tilted up to 20°, whole."""
    height = side * random.uniform(1 / 6, 1 / 3)
    return place_stencil(
        stencil_of(FONTS[random.integers(len(FONTS))], label),
        angle=math.radians(random.uniform(-20, 20)),
        shear=random.uniform(-0.2, 0.2),
        scale=(height / STENCIL * random.uniform(0.85, 1.2), height / STENCIL),
        centre=random.uniform(0.6 * height, side - 0.6 * height, 2),
        side=side,
    )


def _box(inside: np.ndarray) -> tuple[int, int, int, int] | None:
    """Returns the box around what is inside, unless it touches the rim."""
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    if not len(rows) or min(rows[0], columns[0]) == 0 or len(inside) - 1 in (rows[-1], columns[-1]):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _shared(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Returns the part of the smaller box that both share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(each[2] - each[0]) * (each[3] - each[1]) for each in (one, other)]
    return max(width, 0) * max(height, 0) / min(areas)


@dataclass(eq=False)
class ScenesConfig(tfds.core.BuilderConfig):
    """The side of the scenes, and their numbers by split."""

    side: int = 64
    train: int = 4000
    validation: int = 1000
    test: int = 1000


class GlyphScenes(tfds.core.GeneratorBasedBuilder):
    """Scenes of one to eight digits with boxes, classes and masks: `tfds.builder("glyph_scenes/128")`."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        ScenesConfig(name="64", description="64 by 64 pixels."),
        ScenesConfig(name="128", description="128 by 128 pixels.", side=128),
        ScenesConfig(name="tiny", description="For tests.", train=24, validation=8, test=8),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        side, digit = self.builder_config.side, tfds.features.ClassLabel(names=list(DIGITS))
        features = {
            "image": tfds.features.Image(shape=(side, side, 3), encoding_format="png"),
            "mask": tfds.features.Image(shape=(side, side, 1), encoding_format="png"),
            "objects": tfds.features.Sequence({"bbox": tfds.features.BBoxFeature(), "label": digit}),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Scenes of one to eight digits.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "mask"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(split, getattr(self.builder_config, split)) for split in STREAMS}

    def _generate_examples(self, split: str, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        side = self.builder_config.side
        for index in range(count):
            scene = draw_scene(0, split, index, side)
            boxes = [
                tfds.features.BBox(ymin=top / side, xmin=left / side, ymax=bottom / side, xmax=right / side)
                for left, top, right, bottom in scene.boxes
            ]
            objects = [{"bbox": box, "label": int(each)} for box, each in zip(boxes, scene.classes, strict=True)]
            yield index, {"image": scene.image, "mask": scene.mask[..., None], "objects": objects}
