"""Layers that compute with a kernel plus the product of two small factors, which `enable_lora` adds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kerasprune.errors import PruneError, first_of


def adapted_layers(layers: Iterable[Any]) -> list[Any]:
    """Returns those of some layers whose float kernel, or table, is a variable plus the product of two others."""
    adapted = [each for each in layers if getattr(each, "lora_enabled", False)]
    return [each for each in adapted if not getattr(each, "quantization_mode", None)]


def check_merged(layers: Iterable[Any], otherwise: str = "") -> None:
    """Raises a `PruneError` if some layers would not compute with the kernels that are pruned in them.

    Args:
        layers: The layers.
        otherwise: Another remedy, after that to merge the adapters. Defaults to none.
    """
    names = [each.name for each in adapted_layers(layers)]
    if names:
        raise PruneError(
            "Expected layers that compute with their kernel alone: zeros in it would not be zeros of what they compute "
            f"with. Received: {first_of(names)} with LoRA, which add a product of factors to it. Merge it with "
            f"kp.functional(model), and compile and train the model that this returns{otherwise}."
        )
