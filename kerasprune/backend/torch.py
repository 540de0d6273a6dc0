"""Derivatives on torch: autograd on detached copies of the variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


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
