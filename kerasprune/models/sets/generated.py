"""Random noise as images, to try out a recipe in seconds; nothing can be learnt from it."""

from __future__ import annotations

import numpy as np

from kerasprune.data.scaling import DataInfo
from kerasprune.data.sources import Indexed, Source, in_memory

SIDE = 32
EXAMPLES = {"train": 256, "validation": 64, "test": 64}
SEED = 0


def noise_source(classes: int) -> Source:
    """Returns uniform noise, 32x32, with cyclic labels: two training batches of 128.

    Args:
        classes: Number of classes, at least 1.
    """
    # Uniform on [0, 1]: mean 1/2, variance 1/12.
    names = map(str, range(classes))
    info = DataInfo(f"generated:{classes}", tuple(names), EXAMPLES, (SIDE, SIDE), (0.5,) * 3, (0.289,) * 3)
    return Source(info, lambda split: _noise(split, classes))


def _noise(split: str, classes: int) -> Indexed:
    random = np.random.default_rng([SEED, list(EXAMPLES).index(split)])
    images = random.integers(0, 256, (EXAMPLES[split], SIDE, SIDE, 3), dtype=np.uint8)
    return in_memory(images, np.arange(len(images)) % classes)
