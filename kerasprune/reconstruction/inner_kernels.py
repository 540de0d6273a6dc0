"""Layers inside a layer that have the kernels, and what they are given in a call.

They are the projections of attention, and what `TimeDistributed` applies at every step in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers, ops

from kerasprune._keras import attention_parts, calls_of_layers
from kerasprune.reconstruction.program import Step, run_step

_ATTENTION = (layers.MultiHeadAttention, layers.GroupQueryAttention)


def kernel_layers(layer: Any) -> list[Any]:
    """Returns the layers that have the kernels of a layer, in the order they act: itself, where it holds no others."""
    if type(layer) is layers.TimeDistributed:
        return [layer.layer]
    if type(layer) not in _ATTENTION:
        return [layer]
    parts = attention_parts(layer)
    projections = (parts.query_dense, parts.key_dense, parts.value_dense, parts.gate_dense, parts.output_dense)
    return [each for each in projections if each is not None]


def given_to(layer: Any, step: Step, tensors: Sequence[Any]) -> Any:
    """Returns what a layer is given in a call: of itself, or of the layer that it is in.

    At every step in time, these are `steps_of` examples for each one.

    Args:
        layer: The layer.
        step: The call.
        tensors: Those that go into the call, in order.
    """
    if layer is step.operation:
        return tensors[0]
    if type(step.operation) is layers.TimeDistributed:
        return ops.reshape(tensors[0], (-1, *tensors[0].shape[2:]))
    seen: list[Any] = []

    def visit(it: Any, call: Any, args: Any, kwargs: Any) -> Any:
        if it is layer:
            seen.append(args[0])
        return call(it, *args, **kwargs)

    with calls_of_layers(visit):
        run_step(step, dict(zip(step.inputs, tensors, strict=False)))
    return seen[0]


def steps_of(step: Step) -> int:
    """Returns how often the layer inside a call is applied to each example; 1 where that is not known."""
    at_every_step = type(step.operation) is layers.TimeDistributed
    return step.inputs[0].shape[1] or 1 if at_every_step else 1
