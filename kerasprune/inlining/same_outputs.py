"""Whether a model written out computes what the model computes."""

from __future__ import annotations

import keras
import numpy as np

from kerasprune.errors import PruneError
from kerasprune.graph.walk import has_free_axes
from kerasprune.surgery.comparison import difference, outputs_of
from kerasprune.surgery.random_inputs import random_inputs

_TOLERANCE = 1e-5
_SIDES = (37, 19, 13, 7, 32, 16, 4, 64, 224)  # of free axes: the first two that the model takes


def check_same(model: keras.Model, new: keras.Model) -> None:
    """Compares both on random inputs; free axes are as long as the model takes, of several lengths.

    Args:
        model: Any model.
        new: The functional model that is to compute the same.

    Raises:
        PruneError: It does not.
    """
    sides = _SIDES if has_free_axes(new) else _SIDES[:1]
    compared = 0
    for side in sides:
        inputs = random_inputs(new, 2, side=side)
        try:
            expected = outputs_of(model, inputs)
        except Exception:
            if side == sides[-1] and not compared:
                raise
            continue
        try:
            _compare(model, new, list(zip(expected, outputs_of(new, inputs), strict=True)))
        except PruneError:
            if all(map(np.array_equal, expected, outputs_of(model, inputs))):
                raise
            raise PruneError(
                f"Expected a model that computes the same twice. Received: {model.name!r}, whose outputs differ from "
                "call to call: it draws random numbers when it is used, or counts its calls."
            ) from None
        compared += 1
        if compared == 2:
            return


def _compare(model: keras.Model, new: keras.Model, pairs: list) -> None:
    for index, (one, other) in enumerate(pairs):
        found = difference(one, other)
        dtype = str(new.outputs[index].dtype)
        if not found.error <= _TOLERANCE * (1000 if dtype in ("float16", "bfloat16") else 1):
            raise PruneError(
                f"Expected the model written out to compute the same. Received: output {index} of {model.name!r} has "
                f"{found.size:.6g} as its largest value, and differs by {found.error:.1e} of that. "
                "Its call() depends on more than its layers and arguments."
            )
