"""The inputs of a model: names, shapes and types of the flat ones, and their nesting."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from kerasprune.errors import PruneError


@dataclass(frozen=True)
class InputSpec:
    """One input: its name, its shape without the batch axis (`None` where a side is free) and its type."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def free(self) -> bool:
        """Whether a side is not fixed by the model."""
        return None in self.shape

    @property
    def holds_texts(self) -> bool:
        """Whether words go in, which a layer of the model looks up."""
        return self.dtype == "string"

    def faults(self, array: np.ndarray) -> list[str]:
        """Returns what keeps a batch from being given to this input: its shape, or what it holds."""
        sides = array.shape[1:]
        fits = [want in (None, have) for want, have in zip(self.shape, sides, strict=False)]
        faults = []
        if array.ndim == 0 or len(sides) != len(self.shape) or not all(fits):
            faults.append(
                f"Expected shape {('examples', *self.shape)} for the input {self.name!r}. Received: shape "
                f"{array.shape}. Resize the data, or batch them where the first axis is missing."
            )
        if self.holds_texts and not _are_texts(array):
            faults.append(
                f"Expected texts for the input {self.name!r}. Received: dtype={array.dtype}. "
                "Give what goes into the model, not what its first layer makes of it."
            )
        if not self.holds_texts and array.dtype.kind not in "biuf" and str(array.dtype) != "bfloat16":
            faults.append(f"Expected numbers for the input {self.name!r}. Received: dtype={array.dtype}.")
        return faults

    def cast(self, array: np.ndarray) -> np.ndarray:
        """Returns the array in the type that the input takes; texts as objects, which `fit` takes too."""
        return array.astype(object if self.holds_texts else self.dtype, copy=False)


@dataclass(frozen=True)
class Signature:
    """All inputs of a model.

    Args:
        inputs: The inputs in the order in which Keras flattens them.
        structure: The nest the model is called with, e.g. a dict; its leaves do not matter.
    """

    inputs: tuple[InputSpec, ...]
    structure: Any

    @property
    def names(self) -> list[str]:
        """The names of the inputs as identifiers, as exported files call them."""
        return identifiers([spec.name for spec in self.inputs])

    def pack(self, flat: Sequence[Any]) -> Any:
        """Returns the flat inputs in the nest the model is called with."""
        return keras.tree.pack_sequence_as(self.structure, list(flat))

    def flatten(self, nest: Any) -> list[Any]:
        """Returns the inputs of a nest (one array, a tuple, a dict by name) in flat order.

        Raises:
            PruneError: Other inputs were given than the model takes.
        """
        names = [spec.name for spec in self.inputs]
        if isinstance(nest, Mapping):
            for keys in (names_in(self.structure), names):
                if keys and set(keys) == set(nest):
                    return [nest[key] for key in keys]
            received = f"keys {sorted(nest)}"
        else:
            flat = keras.tree.flatten(nest)
            if len(flat) == len(names):
                return flat
            received = f"{len(flat)} arrays"
        raise PruneError(
            f"Expected data for the inputs {names}. Received: data with {received}. Pass one array for one "
            "input, a tuple or a dict by input name for several; leave labels out, or use a tf.data.Dataset."
        )

    def static(self, shapes: Sequence[tuple[int, ...]]) -> Signature:
        """Returns the signature with these shapes, one for each input."""
        fixed = (replace(spec, shape=tuple(shape)) for spec, shape in zip(self.inputs, shapes, strict=True))
        return replace(self, inputs=tuple(fixed))


def signature_of(model: keras.Model, data: Any = None) -> Signature:
    """Returns the inputs of a model; those of a subclassed model are read from one batch of data.

    Args:
        model: A built model.
        data: A nest of arrays with a batch axis, needed for a subclassed model only. Defaults to `None`.

    Raises:
        PruneError: The model is not a built Keras model, has a fixed batch size, or is subclassed and there
            is no data.
    """
    if not isinstance(model, keras.Model):
        raise PruneError(f"Expected a keras.Model. Received: model={type(model).__name__}.")
    if not model.built:
        raise PruneError(
            f"The model {model.name!r} is not built, so it has no weights yet. "
            "Call it on one batch, or model.build(input_shape), first."
        )
    if is_graph(model):
        structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        return Signature(tuple(_spec_of(tensor) for tensor in model.inputs), structure)
    if data is None:
        raise PruneError(
            f"The model {model.name!r} is subclassed, so its input shapes are not written down in it. "
            "Pass data= (inputs as in fit), or rebuild it as a functional model."
        )
    arrays = [np.asarray(array) for array in keras.tree.flatten(data)]
    inputs = (InputSpec(f"input_{i}", array.shape[1:], str(array.dtype)) for i, array in enumerate(arrays))
    return Signature(tuple(inputs), data)


def is_graph(model: keras.Model) -> bool:
    """Returns whether a model is functional or sequential, so that its inputs and layers can be read."""
    return bool(getattr(model, "inputs", None))


def leaves_side_free(model: keras.Model) -> bool:
    """Says whether an axis of a model's input has no size of its own."""
    return None in model.inputs[0].shape[1:]


def identifiers(names: Sequence[str]) -> list[str]:
    """Returns distinct names made of letters, digits and underscores.

    Example:
        >>> identifiers(["left/image", "logits", "logits"])
        ['left_image', 'logits', 'logits_1']
    """
    taken: list[str] = []
    for name in names:
        plain = candidate = re.sub(r"\W", "_", name, flags=re.ASCII)
        number = 0
        while candidate in taken:
            number += 1
            candidate = f"{plain}_{number}"
        taken.append(candidate)
    return taken


def _are_texts(array: np.ndarray) -> bool:
    return array.dtype.kind in "US" or array.dtype.kind == "O" and all(isinstance(x, str | bytes) for x in array.flat)


def names_in(structure: Any) -> list[str]:
    """Returns the keys of a flat dict in the order in which Keras flattens it; of anything else, nothing."""
    if not isinstance(structure, Mapping):
        return []
    paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
    return [path[0] for path in paths] if all(len(path) == 1 for path in paths) else []


def _spec_of(tensor: keras.KerasTensor) -> InputSpec:
    batch, *sides = tensor.shape
    if batch not in (None, 1):
        raise PruneError(
            f"The input {tensor.name!r} has a fixed batch size, so single samples do not fit. "
            f"Received: shape={tuple(tensor.shape)}. Build the model with keras.Input(shape=...) instead."
        )
    return InputSpec(tensor.name, tuple(sides), str(tensor.dtype))
