"""Handwritten digits of scikit-learn: 1,797 grey images of 8x8 pixels."""

from __future__ import annotations

import functools

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from kerasprune.data.scaling import DataInfo
from kerasprune.data.sources import Source, in_memory

CLASSES = tuple("0123456789")
EXAMPLES = {"train": 1197, "validation": 300, "test": 300}
SPLIT_SEED = 0
# Mean and standard deviation of all 1,797 images in [0, 1].
MEAN, STD = 0.305, 0.376


def digits() -> Source:
    """Returns the data set: stratified splits, the grey channel repeated.

    Reference:
        Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998.
    """
    info = DataInfo("digits", CLASSES, EXAMPLES, (8, 8), (MEAN,) * 3, (STD,) * 3, mirror=False)
    return Source(info, lambda split: in_memory(*_splits()[split]))


@functools.cache
def _splits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    rest, numbers = np.arange(len(images)), {}
    for split in ("test", "validation"):
        rest, numbers[split] = train_test_split(
            rest, test_size=EXAMPLES[split], random_state=SPLIT_SEED, stratify=bunch.target[rest]
        )
    numbers["train"] = rest
    return {split: (images[numbers[split]], bunch.target[numbers[split]]) for split in EXAMPLES}
