"""A model as it was before a fit began, to be restored where the fit cannot begin."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerasprune._keras import first_epoch, set_first_epoch
from kerasprune.attaching.optimizer import ensure_built
from kerasprune.data.epoch_counters import positions


class Snapshot:
    """The values of a model and its optimizer, the epoch that Keras begins with, and the positions of training sets.

    Args:
        model: A compiled model whose fit is about to begin.
    """

    def __init__(self, model: keras.Model) -> None:
        ensure_built(model)
        self._model = model
        variables = {id(variable): variable for variable in (*model.variables, *model.optimizer.variables)}
        self._values: list[tuple[Any, Any]] = [(v, ops.convert_to_numpy(v).copy()) for v in variables.values()]
        self._epoch = first_epoch(model)
        self._positions = positions.epochs()

    def restore(self) -> None:
        """Makes the model what it was."""
        for variable, value in self._values:
            variable.assign(value)
        set_first_epoch(self._model, self._epoch)
        positions.put_back(self._positions)
