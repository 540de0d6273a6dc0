"""Holds given masks: removed weights stay zero while the others are trained."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kerasprune.errors import raise_faults
from kerasprune.training.callback import PruningCallback
from kerasprune.training.candidates import Part, Unit
from kerasprune.training.masks import Masks, dtype_faults, masked_variables


class HoldMask(PruningCallback):
    """Holds masked weights, and their optimizer slots, at `+0.0`.

    Use it to fine-tune a sparse model: plain training would revive removed weights.

    Args:
        masks: `{variable path: boolean array, true for kept weights}`, e.g. `callback.masks`.

    Raises:
        PruneError: A mask is not boolean; in `fit`: a path is not that of a trained variable, or shapes differ.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
        >>> path = model.layers[0].kernel.path
        >>> mask = np.array([[True, False]] * 4)
        >>> model.compile("sgd", "mse")
        >>> _ = model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0, callbacks=[HoldMask({path: mask})])
        >>> model.layers[0].kernel.numpy()[:, 1].tolist()
        [0.0, 0.0, 0.0, 0.0]
    """

    follows_weights = True

    def __init__(self, masks: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        arrays = {path: np.asarray(mask) for path, mask in masks.items()}
        raise_faults("Invalid arguments for HoldMask:", dtype_faults(arrays))
        self._given = arrays

    def begin(self) -> None:
        """Holds one mask per named variable, and zeroes the removed weights."""
        pairs = zip(self._given, masked_variables(self.model, self._given, trained=True), strict=True)
        self.hold(Masks([Unit.of(name, mask.size, int(mask.sum()), (Part(v),)) for name, (v, mask) in pairs]))
        self.held.assign([~self._given[unit.name].ravel() for unit in self.held.units])
        self.held.apply()
