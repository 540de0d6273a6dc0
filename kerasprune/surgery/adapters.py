"""Adapters of LoRA, which are merged into the kernels before a model is cut."""

from __future__ import annotations

import keras

from kerasprune._keras import inner_layers, merge_adapter
from kerasprune.errors import first_of, warn
from kerasprune.graph.adapters import adapted_layers


def merge_adapters(model: keras.Model) -> None:
    """Adds the products of all adapters of a model to its kernels, in place, with a warning."""
    adapted = adapted_layers(inner_layers(model))
    for layer in adapted:
        merge_adapter(layer)
    if adapted:
        warn(
            f"The adapters of LoRA are merged, W + (α/r)·A·B is the kernel: {first_of([x.name for x in adapted])}. All "
            "of it is cut and trained from now on; the given model stays as it is."
        )


def without_adapters(model: keras.Model) -> keras.Model:
    """Returns a functional model itself, or a copy with merged adapters if it has any."""
    if adapted_layers(inner_layers(model)):
        from kerasprune.surgery.clone import copy_model  # which a plan does not need otherwise

        merge_adapters(model := copy_model(model))
    return model
