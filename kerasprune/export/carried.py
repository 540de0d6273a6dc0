"""Models of JAX and torch, carried as `.keras` files into the process that has Keras on TensorFlow."""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune._keras import inner_layers, named_in_config
from kerasprune.data.signature import Signature, is_graph
from kerasprune.errors import PruneError, check_installed, first_of, reason_of
from kerasprune.export.carried_models import EXAMPLES, PARTS
from kerasprune.export.converter_process import ConverterDeath, ConverterRefusal, process
from kerasprune.export.forward_pass import WRITERS, Part, output_names
from kerasprune.graph.ranged_model import RangedModel, without_ranges
from kerasprune.surgery.copy_layer import comes_back

_SCRIPTS = ("__main__", "__mp_main__")  # the second in a process that multiprocessing has started


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
    if keras.backend.backend() == "tensorflow":
        return
    made = carriable(model, signature)
    process.start()  # its imports take seconds, while the model is computed here
    if _own(made):
        check_traced(made, signature)


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
            "Keep to keras.ops in its call; or, if it does, put it, with get_config, into a .py file that you import."
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
            own |= {(each.__module__, each.__name__, sys.modules[each.__module__].__file__) for each in _own(made)}
            if isinstance(model, RangedModel):
                np.savez(folder / f"{file}.npz", *map(keras.ops.convert_to_numpy, model.ranges))
        file, made = files[id(model)]
        inputs = [(spec.name, spec.shape, spec.dtype) for spec in signature.inputs]
        parts[name] = file, inputs, output_names(model, len(made.outputs))
    (folder / PARTS).write_text(json.dumps([parts, sorted(own)]), encoding="utf-8")


def check_traced(model: keras.Model, signature: Signature) -> None:
    """Raises if Keras on TensorFlow does not read a model, or does not trace code of the user's."""
    with tempfile.TemporaryDirectory() as carried:
        _carry({"traced": (model, signature)}, Path(carried))
        try:
            process.trace(Path(carried))
        except (ConverterRefusal, ConverterDeath) as error:
            raise PruneError(
                "Expected layers and functions that Keras can read and run on TensorFlow, too: a process with it "
                f"writes the file. Received: backend={keras.backend.backend()!r}, and from that process: "
                f"{reason_of(str(error)).removesuffix('.')}. Keep to keras.ops in them, and let get_config return all "
                "arguments of the constructor."
            ) from error


def _absent(model: keras.Model) -> list[str]:
    """Returns the classes and functions of a model that another process cannot import, with their layers."""
    try:
        own = _own(model)
    except _Unwritten as error:
        return [str(error)]
    names = Counter(map(keras.saving.get_registered_name, own))
    absent = (each for each in own if not _is_importable(each) or names[keras.saving.get_registered_name(each)] > 1)
    return [f"{each.__name__!r} of the layer {own[each]!r}" for each in absent]


def _own(model: keras.Model) -> dict[Any, str]:
    """Returns the classes and functions in a model's config that Keras does not know, and the layer that each is in.

    Raises:
        _Unwritten: A layer has no config.
    """
    found: dict[Any, str] = {}
    for layer in reversed(inner_layers(model)):  # those inside others first
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of functions without a name, which are written out
                named = named_in_config(layer)
        except Exception as error:  # whatever get_config raises
            raise _Unwritten(f"no config of the layer {layer.name!r} ({reason_of(str(error))})") from error
        found = dict.fromkeys(named, layer.name) | found
    return {each: name for each, name in found.items() if not _is_known(each)}


class _Unwritten(Exception):
    """A layer cannot write its config."""


def _is_known(each: Any) -> bool:
    of_keras = each.__module__.partition(".")[0] in ("builtins", "keras")
    return of_keras and (isinstance(each, type) or comes_back(each))


def _is_importable(own: Any) -> bool:
    """Returns whether another process finds a class or function by its module and name, and Keras that one alone."""
    module = sys.modules.get(own.__module__)
    of_a_file = bool(getattr(module, "__file__", None)) and own.__module__ not in _SCRIPTS
    return of_a_file and vars(module).get(own.__name__) is own and own.__name__ not in vars(keras.activations)
