"""Whether a model written out computes what the model computes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune._keras import structures
from kerasprune.errors import PruneError

_TOLERANCE = 1e-5
_SIDES = (37, 19, 13, 7, 32, 16, 4, 64, 224)  # of free axes: the first two that the model takes


def check_same(model: keras.Model, new: keras.Model) -> None:
    """Compares both on random inputs; free axes are as long as the model takes, of several lengths."""
    generator = np.random.default_rng(0)
    specs = tree.flatten(structures(new)[0])

    def draw(x: keras.KerasTensor, side: int) -> np.ndarray:
        shape = (2, *(side if size is None else size for size in x.shape[1:]))
        if "int" in str(x.dtype) or x.dtype == "bool":
            return generator.integers(0, 2, shape).astype(x.dtype)
        return generator.normal(size=shape).astype(x.dtype)

    sides = _SIDES if any(None in x.shape[1:] for x in specs) else _SIDES[:1]
    compared = 0
    for side in sides:
        inputs = tree.map_structure(lambda x, side=side: draw(x, side), structures(new)[0])
        try:
            expected = tree.flatten(model(inputs, training=False))
        except Exception:
            if side == sides[-1] and not compared:
                raise
            continue
        _compare(model, expected, tree.flatten(new(inputs, training=False)))
        compared += 1
        if compared == 2:
            return


def _compare(model: keras.Model, expected: list[Any], found: list[Any]) -> None:
    for index, (one, other) in enumerate(zip(expected, found, strict=True)):
        a, b = (keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")) for y in (one, other))
        size = max(float(np.abs(a).max(initial=0.0)), 1e-30)
        error = float(np.abs(a - b).max(initial=0.0)) / size if a.shape == b.shape else float("inf")
        if not error <= _TOLERANCE * (1 if "32" in str(one.dtype) else 1000):
            raise PruneError(
                f"Expected the model written out to compute the same. Received: output {index} of {model.name!r} has "
                f"{np.abs(a).max(initial=0.0):.6g} as its largest value, and differs by {error:.1e} of that. "
                "Its call() depends on more than its layers and arguments."
            )
