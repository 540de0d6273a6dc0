"""The error of folding the constants of removed channels where images are padded."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kerasprune.plans import Plan
from kerasprune.surgery.mask import mask
from kerasprune.surgery.rebuild import rebuild


def border_error(model: keras.Model, plan: Plan, inputs: Any) -> float:
    """Measures what folding the constants of removed channels costs at the borders of padded layers.

    `max |slim(x) − weights-silenced(x)| / max |weights-silenced(x)|` over the first output.

    Args:
        model: The dense model.
        plan: What stays.
        inputs: A batch of real inputs.

    Returns:
        The largest relative difference; about 1e-6 if no folded layer is padded.

    Raises:
        PruneError: The plan does not fit the model.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> conv = keras.layers.Conv2D
        >>> layers = [conv(8, 3, bias_initializer="ones", name="first"), conv(4, 3, padding="same")]
        >>> model = keras.Sequential([keras.Input((9, 9, 3)), *layers])
        >>> error = kp.border_error(model, kp.plan(model, keep=0.5), np.ones((2, 9, 9, 3)))
        >>> 1e-4 < error < 1
        True
    """
    both = [rebuild(model, plan)(inputs), mask(model, plan, silence="weights")(inputs)]
    slim, silenced = (keras.ops.convert_to_numpy(keras.tree.flatten(y)[0]) for y in both)
    return float(np.abs(slim - silenced).max() / np.abs(silenced).max())
