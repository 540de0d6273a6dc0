"""Handwritten digits of scikit-learn: 1,797 grey images of 8x8 pixels."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import zoom
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from kerasprune.data.scaling import DataInfo

if TYPE_CHECKING:
    from kerasprune.data.sources import Source

CLASSES = tuple("0123456789")
SPLITS = {
    "digits": {"train": 1197, "validation": 300, "test": 300},
    "digits-500": {"train": 500, "validation": 297, "test": 1000},
}
"""Examples by split: `digits-500` has few to train on, and many to tell networks apart."""
SPLIT_SEED = 0
# Mean and standard deviation of all 1,797 images in [0, 1].
MEAN, STD = 0.305, 0.376

Examples = tuple[np.ndarray, np.ndarray]


def digits(name: str = "digits") -> Source:
    """Returns the data set: stratified splits, the grey channel repeated.

    Args:
        name: One of `SPLITS`. Defaults to `"digits"`.

    Reference:
        Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998.
    """
    from kerasprune.data.sources import Source, in_memory

    info = DataInfo(name, CLASSES, SPLITS[name], (8, 8), (MEAN,) * 3, (STD,) * 3, mirror=False)
    return Source(info, lambda split: in_memory(*_splits(name)[split]))


@functools.cache
def digit_arrays(name: str, size: int) -> dict[str, Examples]:
    """Returns images and labels by split as `load(name, size=size, channels=1)` does, without TensorFlow.

    Args:
        name: One of `SPLITS`.
        size: Height and width in pixels, at least 8.

    Example:
        >>> {split: images.shape for split, (images, _) in digit_arrays("digits-500", 16).items()}
        {'train': (500, 16, 16, 1), 'validation': (297, 16, 16, 1), 'test': (1000, 16, 16, 1)}
    """

    def enlarged(images: np.ndarray) -> np.ndarray:
        scaled = (images / 255 - MEAN) / STD
        return zoom(scaled, (1, size / 8, size / 8, 1), order=1, mode="nearest", grid_mode=True).astype("float32")

    return {split: (enlarged(images), labels) for split, (images, labels) in _splits(name).items()}


@functools.cache
def _splits(name: str) -> dict[str, Examples]:
    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    rest, numbers = np.arange(len(images)), {}
    for split in ("test", "validation"):
        rest, numbers[split] = train_test_split(
            rest, test_size=SPLITS[name][split], random_state=SPLIT_SEED, stratify=bunch.target[rest]
        )
    numbers["train"] = rest
    return {split: (images[numbers[split]], bunch.target[numbers[split]]) for split in SPLITS[name]}
