"""The module of this package for the backend that Keras runs on, full precision there, and programs.

Where models are compared, or solved for, products keep every bit of their type on every device.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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


@contextmanager
def full_precision() -> Iterator[None]:
    """Computes products and convolutions of float32 in float32 within the block, or the function that it decorates.

    A GPU rounds their inputs to 10 bits of mantissa (TF32), a TPU to 7 (bfloat16), unless told otherwise: two equal
    models differ by 1e-4 to 5e-3 then. Training and predictions keep the precision that they have outside.

    What is compiled must be called in such blocks only, and always: TensorFlow compiles the precision into a program,
    and does not compile it again where another holds.

    Example:
        >>> import keras
        >>> with full_precision():
        ...     float(keras.ops.matmul([[1.0001]], [[1.0]])[0, 0]) > 1
        True
    """
    if keras.backend.backend() not in BACKENDS:  # those compute on a CPU
        yield
        return
    with engine().full_precision():
        yield


def layer_programs() -> AbstractContextManager[None]:
    """Runs layers of Keras as one program each within the block where each operation is compiled else: on JAX.

    Example:
        >>> import keras
        >>> layer = keras.layers.Dense(2, kernel_initializer="ones")
        >>> with layer_programs():
        ...     keras.ops.convert_to_numpy(layer(keras.ops.ones((1, 3)))).tolist()
        [[3.0, 3.0]]
    """
    return engine().layer_programs() if keras.backend.backend() == "jax" else nullcontext()
