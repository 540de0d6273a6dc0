"""Models that a process on JAX or torch has carried here, where Keras is on TensorFlow."""

from __future__ import annotations

import json
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerasprune._keras import call_operation
from kerasprune.data.signature import InputSpec, Signature, signature_of
from kerasprune.export.forward_pass import WRITERS, Part
from kerasprune.export.plain_names import with_plain_names
from kerasprune.files.reading import import_code

if TYPE_CHECKING:
    import tensorflow as tf

PARTS, EXAMPLES = "parts.json", "examples.npz"
"""What is known of the models, and a batch of inputs, beside their files."""


def write_carried(how: str, carried: Path, folder: Path) -> None:
    """Writes the models that another process has carried into a folder, on TensorFlow; see `carried.write`."""
    WRITERS[how](_parts(carried), folder)


def trace_carried(carried: Path) -> None:
    """Reads models that another process has carried, and traces them for any batch; raises whatever they raise."""
    import tensorflow as tf

    for part in _parts(carried).values():
        specs = [tf.TensorSpec((None, *spec.shape), spec.dtype) for spec in part.signature.inputs]
        called = partial(_called, with_plain_names(part.model), part.signature)
        tf.function(called, input_signature=[specs]).get_concrete_function()


def _called(model: keras.Model, signature: Signature, inputs: list[tf.Tensor]) -> Any:
    return call_operation(model, signature.pack(inputs), training=False)


def _parts(carried: Path) -> dict[str, Part]:
    """Returns the models of a folder, by the names of their signatures."""
    parts, own = json.loads((carried / PARTS).read_text(encoding="utf-8"))
    objects = [getattr(_module(module, file), name) for module, name, file in own]
    with keras.saving.custom_object_scope({keras.saving.get_registered_name(each): each for each in objects}):
        models = {path.stem: _carried(path) for path in carried.glob("*.keras")}
    examples = []
    if (carried / EXAMPLES).exists():
        with np.load(carried / EXAMPLES, allow_pickle=False) as arrays:
            examples = list(arrays.values())
    made = {}
    for name, (file, inputs, outputs) in parts.items():
        specs = tuple(InputSpec(name, tuple(shape), dtype) for name, shape, dtype in inputs)
        signature = Signature(specs, signature_of(models[file]).structure)
        made[name] = Part(models[file], signature, lambda _, outputs=outputs: outputs, examples)
    return made


def _module(name: str, file: str) -> ModuleType:
    """Imports a module of the other process: by its name, or the file alone that `--import` names, say."""
    spec = find_spec(name)
    return import_module(name) if "." in name or spec is not None and spec.origin == file else import_code(file)


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
