"""int8 calibration: examples from which the ranges of activations are computed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasprune.data.signature import Signature
from kerasprune.errors import PruneError, warn
from kerasprune.export.samples import Samples

if TYPE_CHECKING:
    import tensorflow as tf

CALIBRATION_SAMPLES = 256  # enough for stable ranges; more only widens them by outliers
FEW_SAMPLES = 50


def representative(dataset: tf.data.Dataset, n: int) -> Iterator[list[np.ndarray]]:
    """Yields the first `n` images of a data set in the form that TFLite's converter expects: `[image]`, a batch of one.

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


def write_calibration(samples: Samples, signature: Signature, path: Path) -> None:
    """Writes the first samples as arrays by input name, and warns if they are few or all alike.

    Args:
        samples: The caller's data, or random numbers for a file that is only measured.
        signature: The inputs.
        path: The `.npz` file.
    """
    arrays = dict(zip(signature.names, samples.arrays(CALIBRATION_SAMPLES), strict=True))
    for words in complaints(arrays) if samples.source == "data" else ():
        warn(words)  # the caller of kp.export.tflite
    np.savez(path, **arrays)


def complaints(arrays: dict[str, np.ndarray]) -> list[str]:
    """Returns warnings about samples for calibration.

    Args:
        arrays: One array `(samples, …)` for each input.

    Example:
        >>> import numpy as np
        >>> [words[:46] for words in complaints({"image": np.ones((64, 2))})]
        ['Every calibration sample of these inputs is th']
    """
    found = []
    count = len(next(iter(arrays.values())))
    if count < FEW_SAMPLES:
        found.append(
            f"The ranges of activations come from {count} calibration samples, and may be too narrow for others. "
            f"Pass data= of at least {FEW_SAMPLES}, better {CALIBRATION_SAMPLES}."
        )
    same = [name for name, array in arrays.items() if count > 1 and (array == array[:1]).all()]
    if same:
        found.append(
            f"Every calibration sample of these inputs is the same: {', '.join(same)}. Ranges of activations that come "
            "from one input do not hold for others. Pass data= like the inputs in deployment."
        )
    return found
