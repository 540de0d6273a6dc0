"""Facts about a data set of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class DataInfo:
    """Facts about a data set.

    Args:
        name: The name that `load` knows it by.
        classes: Names of the classes, in the order of their labels.
        examples: Number of images by split.
        size: `(height, width)` of the originals in pixels; `None` where they differ.
        mean: Mean by colour channel of images in [0, 1]; `load` subtracts it.
        std: Standard deviation by colour channel of images in [0, 1]; `load` divides by it.
        mirror: Whether a mirrored image still belongs to its class: not so for letters. Defaults to `True`.
    """

    name: str
    classes: tuple[str, ...]
    examples: Mapping[str, int]
    size: tuple[int, int] | None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    mirror: bool = True
