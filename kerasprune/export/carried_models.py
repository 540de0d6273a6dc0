"""Models that a process on JAX or torch has carried here, where Keras is on TensorFlow."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import keras
import numpy as np

from kerasprune.data.signature import InputSpec, Signature, signature_of
from kerasprune.export.forward_pass import WRITERS, Part

PARTS, EXAMPLES = "parts.json", "examples.npz"
"""What is known of the models, and a batch of inputs, beside their files."""


def write_carried(how: str, carried: Path, folder: Path) -> None:
    """Writes the models that another process has carried into a folder, on TensorFlow; see `carried.write`."""
    parts, own = json.loads((carried / PARTS).read_text(encoding="utf-8"))
    objects = [getattr(import_module(module), name) for module, name in own]
    with keras.saving.custom_object_scope({keras.saving.get_registered_name(each): each for each in objects}):
        models = {path.stem: _carried(path) for path in carried.glob("*.keras")}
    with np.load(carried / EXAMPLES, allow_pickle=False) as arrays:
        examples = list(arrays.values())
    made = {}
    for name, (file, inputs, outputs) in parts.items():
        specs = tuple(InputSpec(name, tuple(shape), dtype) for name, shape, dtype in inputs)
        signature = Signature(specs, signature_of(models[file]).structure)
        made[name] = Part(models[file], signature, lambda _, outputs=outputs: outputs, examples)
    WRITERS[how](made, folder)


def _carried(path: Path) -> keras.Model:
    """Returns the model of a file, with the ranges beside it, if there are some."""
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    if not path.with_suffix(".npz").exists():
        return model
    from kerasprune.export.quantization.aware import quantization_aware

    aware = quantization_aware(model)
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as values:
        for variable, value in zip(aware.ranges, values.values(), strict=True):
            variable.assign(value)
    return aware
