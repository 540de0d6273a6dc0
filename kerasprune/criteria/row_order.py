"""Whether the loss of a batch depends on the order of its rows, as that of ordered triplets or pairs does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasprune.backend.engine import full_precision
from kerasprune.data.arrays_or_batches import as_numpy, is_array
from kerasprune.data.batches import Batch

_ROUNDING = 1e-4  # relative difference of the same sum in another order
_FEWEST = 4  # rows: fewer may be permuted as they were


@full_precision()
def order_matters(mean_loss: Callable[[Any, Any, Any], Any], batch: Batch) -> bool:
    """Returns whether the loss of a batch changes with the order of its rows: then they belong together.

    `L(x_π, y_π, w_π) ≠ L(x, y, w)` for a permutation π drawn at random. Means over rows, over pairs of all rows, and
    over the steps of sequences that are not masked do not change. Neither does a loss that is random, or not finite.

    Args:
        mean_loss: The loss, `(inputs, labels, weights) → scalar`.
        batch: The rows; of fewer than four nothing can be told.

    Example:
        >>> import numpy as np
        >>> from kerasprune.data.batches import Batch
        >>> rows = Batch(np.arange(30.0) ** 2, np.zeros(30))
        >>> order_matters(lambda x, y, w: np.mean(x), rows), order_matters(lambda x, y, w: np.mean(x[::3]), rows)
        (False, True)
    """
    if batch.size < _FEWEST:
        return False
    order = np.random.default_rng(0).permutation(batch.size)
    permuted = keras.tree.map_structure(
        lambda x: as_numpy(x)[order] if is_array(x) and len(x.shape) else x, tuple(batch), none_is_leaf=False
    )
    first, other = float(mean_loss(*batch)), float(mean_loss(*permuted))
    return np.isfinite(first) and not _equal(first, other) and _equal(first, float(mean_loss(*batch)))


def _equal(a: float, b: float) -> bool:
    return abs(a - b) <= _ROUNDING * max(abs(a), abs(b), 1e-3)
