"""The compiled forward pass of a model, on the device that Keras computes on."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import keras

from kerasprune.backend.engine import engine


def compiled_forward(model: keras.Model, inputs: Any, jit: bool) -> tuple[Callable[[], Any], int | None]:
    """Returns a function that computes a model's outputs and returns them once they are there, and the memory it takes.

    Inputs and weights lie on the device; nothing is copied to or from it. The model computes in the types of its own
    policies. The first call, which compiles, is made here.

    Args:
        model: The model.
        inputs: A batch, in the structure that the model takes.
        jit: Whether TensorFlow compiles by XLA, torch by `torch.compile`; JAX always compiles.

    Returns:
        The function, and the peak of the bytes on the device that a call takes beyond weights and inputs: `None` where
        the backend does not tell, as TensorFlow and torch on a CPU.

    Raises:
        PruneError: Keras runs on another backend.
    """
    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
    return engine().forward(model, tensors, jit)


def device_in_use() -> tuple[str, str]:
    """Returns kind and name of the device that Keras computes on, such as `("gpu", "NVIDIA H200")`."""
    return engine().device_in_use()


def backend_version() -> str:
    """Returns Keras and its backend with their versions."""
    name = keras.backend.backend()
    return f"keras {keras.__version__} on {name} {importlib.import_module(name).__version__}"
