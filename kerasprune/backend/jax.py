"""Derivatives and full precision on JAX: transformations of pure functions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax


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
