"""The module of this package for the backend that Keras runs on."""

from __future__ import annotations

import importlib
from types import ModuleType

import keras

from kerasprune.backend import BACKENDS
from kerasprune.errors import PruneError


def engine() -> ModuleType:
    """Returns the module of the backend.

    Raises:
        PruneError: Keras runs on a backend that has none.
    """
    name = keras.backend.backend()
    if name not in BACKENDS:
        raise PruneError(
            f"Expected Keras on one of {', '.join(BACKENDS)}. Received: {name!r}. "
            "Set KERAS_BACKEND before Keras is imported."
        )
    return importlib.import_module(f"kerasprune.backend.{name}")
