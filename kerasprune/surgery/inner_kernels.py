"""Layers inside a layer that have the kernels: the projections of attention, and what they are given in a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers

from kerasprune._keras import attention_parts, calls_of_layers
from kerasprune.surgery.program import Step, run_step

_ATTENTION = (layers.MultiHeadAttention, layers.GroupQueryAttention)


def kernel_layers(layer: Any) -> list[Any]:
    """Returns the layers that have the kernels of a layer, in the order they act: itself, where it is not attention."""
    if type(layer) not in _ATTENTION:
        return [layer]
    parts = attention_parts(layer)
    projections = (parts.query_dense, parts.key_dense, parts.value_dense, parts.gate_dense, parts.output_dense)
    return [each for each in projections if each is not None]


def given_to(layer: Any, step: Step, tensors: Sequence[Any]) -> Any:
    """Returns what a layer is given in a call: of itself, or of the layer that it is in.

    Args:
        layer: The layer.
        step: The call.
        tensors: Those that go into the call, in order.
    """
    if layer is step.operation:
        return tensors[0]
    seen: list[Any] = []

    def visit(it: Any, call: Any, args: Any, kwargs: Any) -> Any:
        if it is layer:
            seen.append(args[0])
        return call(it, *args, **kwargs)

    with calls_of_layers(visit):
        run_step(step, dict(zip(step.inputs, tensors, strict=False)))
    return seen[0]
