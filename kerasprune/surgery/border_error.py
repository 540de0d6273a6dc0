"""The error of folding the constants of removed channels where images are padded."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kerasprune.plans import Plan
from kerasprune.surgery.mask import mask
from kerasprune.surgery.rebuild import rebuild


def border_error(model: keras.Model, plan: Plan, inputs: Any) -> float:
    """Measures what folding costs at the borders.

    `max |slim(x) − weights-silenced(x)| / max |weights-silenced(x)|` over the first output.

    Args:
        model: The dense model.
        plan: What stays.
        inputs: A batch of real inputs.

    Returns:
        The largest relative difference; about 1e-6 where no folded layer is padded.
    """
    both = [rebuild(model, plan)(inputs), mask(model, plan, silence="weights")(inputs)]
    slim, silenced = (keras.ops.convert_to_numpy(keras.tree.flatten(y)[0]) for y in both)
    return float(np.abs(slim - silenced).max() / np.abs(silenced).max())
