"""Derivatives, full precision and forward passes on JAX: transformations of pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax

from kerasprune.backend.jax_layers import layer_programs as layer_programs


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a pure function as one program for each shape of its arguments."""
    return jax.jit(function)


def compiled_over(function: Callable[..., Any], variables: Sequence[Any]) -> Callable[..., Any]:
    """Returns `(*arguments) → function(values of the variables, *arguments)`, compiled."""
    program = compiled(function)
    return lambda *arguments: program([each.value for each in variables], *arguments)


def gradient(function: Callable[..., Any]) -> Callable[..., tuple[Any, list[Any]]]:
    """Returns `(values, rest, *arguments) → (value, gradients with respect to the values)`, compiled."""
    return jax.jit(jax.value_and_grad(function))


def hessian_vector_product(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Returns `(values, rest, vectors, *arguments) → Hessian times the vectors`, compiled."""

    def product(values: list[Any], rest: list[Any], vectors: list[Any], *arguments: Any) -> list[Any]:
        gradients = jax.grad(function)
        return jax.jvp(lambda point: gradients(point, rest, *arguments), (values,), (vectors,))[1]

    return jax.jit(product)


def full_precision() -> AbstractContextManager[None]:
    """Computes products of float32 in float32 within the block; a function is compiled again if it changes."""
    return jax.default_matmul_precision("highest")


def forward(model: Any, inputs: Any, jit: bool) -> tuple[Callable[[], Any], int | None]:
    """Returns a compiled forward pass and its memory, see `backend.forward`; weights are arguments, not constants."""
    del jit  # uncompiled, JAX would start every operation by itself
    variables = model.trainable_variables, model.non_trainable_variables
    values = [[variable.value for variable in each] for each in variables]

    def outputs(trainable: list[Any], others: list[Any], inputs: Any) -> Any:
        return model.stateless_call(trainable, others, inputs, training=False)[0]

    program = jax.jit(outputs).lower(*values, inputs).compile()
    found = program.memory_analysis()
    memory = None if found is None else found.temp_size_in_bytes + found.output_size_in_bytes
    return lambda: jax.block_until_ready(program(*values, inputs)), memory


def device_in_use() -> tuple[str, str]:
    """Returns kind and name of the device."""
    device = next(iter(jax.numpy.zeros(()).devices()))
    return device.platform, device.device_kind
