"""Derivatives, full precision and forward passes on torch: autograd on detached copies of the variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import torch


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a pure function as it is: torch runs operations one by one at little cost."""
    return torch.no_grad()(function)


def compiled_over(function: Callable[..., Any], variables: Sequence[Any]) -> Callable[..., Any]:
    """Returns `(*arguments) → function(values of the variables, *arguments)`, compiled."""
    program = compiled(function)
    return lambda *arguments: program([each.value for each in variables], *arguments)


def gradient(function: Callable[..., Any]) -> Callable[..., tuple[Any, list[Any]]]:
    """Returns `(values, rest, *arguments) → (value, gradients with respect to the values)`."""

    def differentiated(values: list[Any], rest: list[Any], *arguments: Any) -> tuple[Any, list[Any]]:
        with torch.enable_grad():
            leaves = [value.detach().requires_grad_() for value in values]
            result = function(leaves, rest, *arguments)
            gradients = torch.autograd.grad(result, leaves, materialize_grads=True)
        return result.detach(), list(gradients)

    return differentiated


def hessian_vector_product(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Returns `(values, rest, vectors, *arguments) → Hessian times the vectors`."""

    def product(values: list[Any], rest: list[Any], vectors: list[Any], *arguments: Any) -> list[Any]:
        with torch.enable_grad():
            leaves = [value.detach().requires_grad_() for value in values]
            result = function(leaves, rest, *arguments)
            gradients = torch.autograd.grad(result, leaves, create_graph=True, materialize_grads=True)
            along = sum((g * v).sum() for g, v in zip(gradients, vectors, strict=True))
            if not along.requires_grad:  # the function is linear
                return [torch.zeros_like(each) for each in leaves]
            return list(torch.autograd.grad(along, leaves, materialize_grads=True))

    return product


@contextmanager
def full_precision() -> Iterator[None]:
    """Computes products of float32 in float32 within the block."""
    older = _older(torch.get_float32_matmul_precision), _older(lambda: torch.backends.cudnn.allow_tf32)
    newer = [(part, part.fp32_precision) for part in _parts()]
    _set_older(*(None if before is None else full for before, full in zip(older, ("highest", False), strict=True)))
    for part, _ in newer:
        part.fp32_precision = "ieee"
    try:
        yield
    finally:
        _set_older(*older)
        for part, precision in newer:
            part.fp32_precision = precision


def _parts() -> list[Any]:
    """Returns the parts of torch with a precision of their own; none before torch 2.9, which has only the flags."""
    kinds = torch.backends.cuda, torch.backends.mkldnn, torch.backends.cudnn
    parts = [getattr(kind, name, None) for kind in kinds for name in ("matmul", "conv", "rnn")]
    return [part for part in parts if hasattr(part, "fp32_precision")]


def _older(read: Callable[[], Any]) -> Any:
    """Returns a flag that sets several precisions at once; `None` if they differ, for torch refuses to read it then."""
    try:
        return read()
    except RuntimeError:
        return None


def _set_older(matmul: str | None, convolutions: bool | None) -> None:
    if matmul is not None:
        torch.set_float32_matmul_precision(matmul)
    if convolutions is not None:
        torch.backends.cudnn.allow_tf32 = convolutions


def forward(model: Any, inputs: Any, jit: bool) -> tuple[Callable[[], Any], int | None]:
    """Returns a forward pass and its memory, see `backend.forward`."""

    def outputs(inputs: Any) -> Any:
        with torch.no_grad():
            return model(inputs, training=False)

    call, on_gpu = torch.compile(outputs) if jit else outputs, device_in_use()[0] == "cuda"

    def run() -> Any:
        found = call(inputs)
        if on_gpu:
            torch.cuda.synchronize()
        return found

    run()
    if not on_gpu:
        return run, None
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return run, torch.cuda.max_memory_allocated() - before


def device_in_use() -> tuple[str, str]:
    """Returns kind and name of the device."""
    kind = keras.ops.zeros(()).device.type
    return kind, torch.cuda.get_device_name() if kind == "cuda" else ""
