"""The time of a forward pass on the device that Keras computes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import keras

from kerasprune._keras import is_jitted
from kerasprune.backend.forward import compiled_forward
from kerasprune.errors import Key, PruneError, raise_faults
from kerasprune.graph.built_model import body_of, fixed_batch
from kerasprune.graph.sizes import Size, input_shapes, size_faults
from kerasprune.graph.trace import side_needed
from kerasprune.graph.walk import has_free_axes
from kerasprune.surgery.random_inputs import random_inputs


class DeviceTimer:
    """Runs a model's compiled forward pass on random inputs, and tells the milliseconds until its outputs are there.

    Args:
        model: A functional or Sequential model.
        batch: Samples in one pass.
        size: Size of the inputs, see `kp.trace`.
        jit: As for `backend.forward.compiled_forward`.
    """

    def __init__(self, model: keras.Model, batch: int, size: Size | None, jit: bool) -> None:
        self._run, self.memory = compiled_forward(model, random_inputs(model, batch, side=size), jit)

    def __call__(self) -> float:
        begin = time.perf_counter()
        self._run()
        return (time.perf_counter() - begin) * 1e3


def timer_beside(reference: keras.Model, batch: int | None, size: Size | None) -> Callable[[keras.Model], DeviceTimer]:
    """Returns a function that makes the timers of models; one that is not compiled runs by XLA if the reference does.

    Args:
        reference: The model that the others are compared with.
        batch: Samples in one pass. `None`: the batch that the reference fixes, else 1.
        size: Size of the inputs, see `kp.trace`.
    """
    number = batch or fixed_batch(reference) or 1

    def timer_of(model: keras.Model) -> DeviceTimer:
        """Raises a `PruneError` if a model fixes another batch, has free sides and no size, or no graph of layers."""
        raise_faults(f"{model.name!r} cannot be timed:", list(_model_faults(model, number, size)))
        return DeviceTimer(model, number, size, is_jitted(model if model.compiled else reference))

    return timer_of


def _model_faults(model: keras.Model, batch: int, size: Size | None) -> Iterator[PruneError]:
    body = body_of(model)
    if fixed_batch(model) not in (None, batch):
        fixed = (f"Expected the batch of {fixed_batch(model)} that the model fixes. Received: ", Key("batch"))
        yield PruneError(*fixed, f"={batch}. Leave it out, or make the model without a fixed batch.")
    yield from size_faults(input_shapes(body), size)
    if size is None and has_free_axes(body):
        yield side_needed(model)
