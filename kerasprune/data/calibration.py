"""Single images for finding the value ranges of an int8 model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from kerasprune.errors import PruneError


def representative(dataset: tf.data.Dataset, n: int) -> Iterator[list[np.ndarray]]:
    """Yields the first `n` images of a data set as TFLite asks for them: `[image]`, a batch of one.

    Args:
        dataset: Batches of (images, labels) from `load`.
        n: Number of images, at least 1.

    Yields:
        A list with one float32 array of shape (1, size, size, 3).

    Raises:
        PruneError: `n` is below 1, or the data set holds fewer images.

    Example:
        >>> from kerasprune.data import load
        >>> images = list(representative(load("digits", split="test"), 3))
        >>> len(images), images[0][0].shape
        (3, (1, 32, 32, 3))
    """
    if type(n) is not int or n < 1:
        raise PruneError(f"Expected at least one image. Received: n={n!r}.")
    singles = dataset.unbatch().batch(1).take(n).as_numpy_iterator()
    found = 0
    for found, (image, _) in enumerate(singles, start=1):  # noqa: B007
        yield [image]
    if found < n:
        raise PruneError(f"Expected a data set of at least n images. Received: n={n}, and {found} images.")
