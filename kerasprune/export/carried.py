"""Models of JAX and torch, carried as `.keras` files into the process that has Keras on TensorFlow."""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.data.signature import Signature, is_graph
from kerasprune.errors import PruneError, check_installed, first_of
from kerasprune.export.carried_models import EXAMPLES, PARTS
from kerasprune.export.converter_process import process
from kerasprune.export.forward_pass import WRITERS, Part, output_names
from kerasprune.graph.ranged_model import RangedModel, without_ranges


def write(
    how: str,
    models: Mapping[str, tuple[keras.Model, Signature]],
    folder: Path,
    examples: Sequence[np.ndarray] = (),
) -> None:
    """Writes models, by the names of their signatures, as a SavedModel that Keras on TensorFlow has traced.

    On another backend a child process writes it.

    Args:
        how: A key of `WRITERS`.
        models: Each model with its inputs.
        folder: The folder to write.
        examples: A batch of inputs of the only model, see `Part`. Defaults to none.

    Raises:
        PruneError: A model cannot be carried, see `carriable`.
    """
    if keras.backend.backend() == "tensorflow":
        parts = {name: Part(*pair, partial(output_names, pair[0]), examples) for name, pair in models.items()}
        WRITERS[how](parts, folder)
        return
    with tempfile.TemporaryDirectory() as carried:
        _carry(models, Path(carried))
        np.savez(Path(carried) / EXAMPLES, *examples)
        process.write(how, Path(carried), folder)


def check_writable(model: keras.Model, signature: Signature) -> None:
    """Raises if no file of a model could be written: before anything is trained or calibrated for it.

    Raises:
        ModuleNotFoundError: As for `carriable`.
        PruneError: As for `carriable`.
    """
    if keras.backend.backend() != "tensorflow":
        carriable(model, signature)
        process.start()  # its imports take seconds, while the model is computed here


def carriable(model: keras.Model, signature: Signature) -> keras.Model:
    """Returns a model as another process can read it: itself, or written out as plain layers of Keras.

    Args:
        model: A built model.
        signature: Its inputs.

    Raises:
        ModuleNotFoundError: TensorFlow is not installed, which `extras` explains.
        PruneError: It has a class or function that can be neither imported nor written out.
    """
    check_installed("tensorflow")
    if isinstance(model, RangedModel) or is_graph(model) and not _absent(model):
        model = without_ranges(model)
    else:
        from kerasprune.surgery.inlining.inline import functional

        inputs = [keras.Input(spec.shape, dtype=spec.dtype, name=spec.name) for spec in signature.inputs]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what stays a layer, which is looked at below
            model = functional(model, None if is_graph(model) else signature.pack(inputs))
    if absent := _absent(model):
        raise PruneError(
            "Expected layers and functions of Keras, or of a module that can be imported: a process with Keras on "
            f"TensorFlow writes the file. Received: backend={keras.backend.backend()!r}, and {first_of(absent)}. "
            "Put it, with get_config, into a .py file that you import; or keep to keras.ops in its call."
        )
    return model


def _carry(models: Mapping[str, tuple[keras.Model, Signature]], folder: Path) -> None:
    """Writes models and what is to be known of them to an empty folder."""
    files: dict[int, tuple[str, keras.Model]] = {}
    parts, own = {}, set()
    for name, (model, signature) in models.items():
        if id(model) not in files:
            files[id(model)] = file, made = str(len(files)), carriable(model, signature)
            made.save(folder / f"{file}.keras")
            own |= {(module, called) for module, called, _ in _own(_config(made))}
            if isinstance(model, RangedModel):
                np.savez(folder / f"{file}.npz", *map(keras.ops.convert_to_numpy, model.ranges))
        file, made = files[id(model)]
        inputs = [(spec.name, spec.shape, spec.dtype) for spec in signature.inputs]
        parts[name] = file, inputs, output_names(model, len(made.outputs))
    (folder / PARTS).write_text(json.dumps([parts, sorted(own)]), encoding="utf-8")


def _absent(model: keras.Model) -> list[str]:
    """Returns the classes and functions of a model that another process cannot import, with their layers."""
    try:
        own = [*_own(_config(model))]
    except Exception as error:  # noqa: BLE001  whatever get_config raises
        return [f"a layer without get_config ({type(error).__name__})"]
    absent = (f"{name!r} of the layer {layer!r}" for module, name, layer in own if not _is_importable(module, name))
    return [*dict.fromkeys(absent)]


def _config(model: keras.Model) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of functions without a name, which are written out
        return keras.saving.serialize_keras_object(model)


def _own(config: Any, layer: str = "") -> Iterator[tuple[str, str, str]]:
    """Yields the module and the name of every class and function of a config that is not Keras's, and its layer."""
    if isinstance(config, list | tuple):
        for each in config:
            yield from _own(each, layer)
    if not isinstance(config, Mapping):
        return
    kind, module, inner = (config.get(key) for key in ("class_name", "module", "config"))
    layer = inner.get("name", layer) if isinstance(inner, Mapping) else layer
    if kind == "__lambda__":
        yield "__main__", "lambda", layer
    elif kind and module and module.partition(".")[0] not in ("builtins", "keras"):
        yield module, inner.rpartition(">")[2] if kind == "function" else kind, layer
    for key, each in config.items():
        if key != "compile_config":  # which is not read
            yield from _own(each, layer)


def _is_importable(module: str, name: str) -> bool:
    """Returns whether another process finds a name in a module, as this one does."""
    with suppress(ImportError, ValueError):
        return module != "__main__" and find_spec(module) is not None and hasattr(sys.modules.get(module), name)
    return False
