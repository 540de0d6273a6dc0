"""The inputs of a model: names, shapes, types and nesting, and checks of arrays against them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from keyword import iskeyword
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune.data.arrays_or_batches import as_numpy
from kerasprune.data.refusals import Shape, check_arrays, finite_faults, length_faults
from kerasprune.errors import Key, PruneError, raise_faults
from kerasprune.graph.built_model import check_built, fixed_batch

LABELS = ("label", "labels", "target", "targets", "y")  # usual names of labels


def keys_of(nest: Any) -> list[str]:
    """Returns the keys of a dict in the order in which Keras flattens it, with `/` between those of nested ones.

    Example:
        >>> keys_of({"heads": {"weight": 0, "age": 0}, "box": 0}), keys_of([0, 0])
        (['box', 'heads/age', 'heads/weight'], [])
    """
    return ["/".join(map(str, path)) for path, _ in tree.flatten_with_path(nest)] if isinstance(nest, Mapping) else []


def flat(nest: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Flattens a dict of dicts by the keys of `keys_of`; lists in it are kept."""
    found: dict[str, Any] = {}
    for key, value in nest.items():
        name = f"{before}{key}"
        found |= flat(value, f"{name}/") if isinstance(value, Mapping) else {name: value}
    return found


def by_key(nest: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arrays of a dict by the keys of `flat`, and of lists in it by those of `keys_of`."""
    return flat(nest) | dict(zip(keys_of(nest), tree.flatten(nest), strict=True))


@dataclass(frozen=True)
class InputSpec:
    """One input.

    Args:
        name: Its name.
        shape: Its shape without the batch axis; `None` for a free side.
        dtype: Its type.
        free: Its shape before a file fixed the free sides. Defaults to `()`: nothing was fixed.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    free: tuple[int | None, ...] = ()

    @property
    def holds_texts(self) -> bool:
        """Whether the input takes texts, which a layer of the model looks up."""
        return self.dtype == "string"

    def with_last_axis(self, shape: Shape) -> Shape:
        """Returns the shape of a batch with a last axis of length 1 more or less, where Keras adds or removes that.

        Example:
            >>> InputSpec("grey", (8, 8, 1), "float32").with_last_axis((32, 8, 8))
            (32, 8, 8, 1)
        """
        alone = shape[1:][-1:] == (1,)  # one example, without the batch axis
        if self.shape[-1:] == (1,) and len(shape) == len(self.shape) and not alone:
            return (*shape, 1)
        return tuple(shape[:-1] if shape[-1:] == (1,) and len(shape) == len(self.shape) + 2 else shape)

    def shape_faults(self, shape: Shape) -> list[str | PruneError]:
        """Returns the faults of the shape of a batch, any axis of which may be `None`."""
        given, shape = shape, self.with_last_axis(tuple(shape))
        if len(shape) and alike(self.shape, shape[1:]):
            return []
        if self.free and len(shape) and alike(self.free, shape[1:]):
            received = f"Received: {self.shape} and {tuple(shape[1:])} for the input {self.name!r}. "
            return [
                PruneError(
                    "A .tflite file has one size, or length, of its inputs. ", received,
                    "Pad or crop the examples to one; or give ", Key("size"), "=… and examples that have it.",
                )
            ]  # fmt: skip
        expected, remedy = (None, *self.shape), self._remedy(tuple(given))
        return [f"Expected shape {expected} for the input {self.name!r}. Received: shape {tuple(given)}. {remedy}"]

    def _remedy(self, shape: Shape) -> str:
        """Returns the remedy for the shape of a batch: another order of the axes, a missing one, or another size."""
        sides = shape[1:]
        if len(sides) > 1 and alike(self.shape, (*sides[1:], sides[0])):
            return "Its channels come first: give numpy.moveaxis(x, 1, -1)."
        if len(sides) > 1 and alike(self.shape, (sides[-1], *sides[:-1])):
            return "Its channels come last: give numpy.moveaxis(x, -1, 1)."
        if len(shape) == len(self.shape):
            return "It lacks the batch axis: give x[None] for one example, or batch them, as data.batch(32) does."
        return "Resize the data, or build the model for them."

    def faults(self, array: np.ndarray, shape: Shape | None = None) -> list[str | PruneError]:
        """Returns the faults of a batch for this input: of its shape, or that of all rows, of its dtype and values."""
        faults, name = [*self.shape_faults(array.shape if shape is None else shape)], f"the input {self.name!r}"
        if self.holds_texts and not _are_texts(array):
            faults.append(
                f"Expected texts for {name}. Received: dtype={array.dtype}. "
                "Give the inputs of the model, not the outputs of its first layer."
            )
        if not self.holds_texts and array.dtype.kind not in "biuf" and str(array.dtype) != "bfloat16":
            faults.append(f"Expected numbers for {name}. Received: dtype={array.dtype}. Convert them.")
        return faults + finite_faults(name, array, self.dtype)

    def cast(self, array: np.ndarray) -> np.ndarray:
        """Returns the array in the dtype of the input; texts as objects, which `fit` also takes."""
        return array.astype(object if self.holds_texts else self.dtype, copy=False)


@dataclass(frozen=True)
class Signature:
    """All inputs of a model.

    Args:
        inputs: The inputs in the order in which Keras flattens them.
        structure: The nest that the model is called with, e.g. a dict; its leaves are not used.
    """

    inputs: tuple[InputSpec, ...]
    structure: Any

    @property
    def names(self) -> list[str]:
        """The names of the inputs as identifiers, which exported files use."""
        return identifiers([spec.name for spec in self.inputs])

    def pack(self, flat: Sequence[Any]) -> Any:
        """Returns the flat inputs in the nest that the model is called with."""
        return keras.tree.pack_sequence_as(self.structure, list(flat))

    def flatten(self, nest: Any) -> list[Any]:
        """Returns the inputs of a nest (one array, a tuple, a dict by name) in flat order.

        Raises:
            PruneError: The inputs are not those of the model.
        """
        names = [spec.name for spec in self.inputs]
        if isinstance(nest, Mapping):
            named = by_key(nest)
            for keys in (keys_of(self.structure), names):
                if keys and set(keys) <= set(named):
                    check_arrays(named[key] for key in keys)
                    return [named[key] for key in keys]
            received = f"the keys {sorted(named)}"
        else:
            leaves = keras.tree.flatten(nest)
            check_arrays(leaves)
            if len(leaves) == len(names):
                return leaves
            received = f"{len(leaves)} arrays"
        raise PruneError(
            f"Expected data for the inputs {names}. Received: {received}. Give one array for one input, a tuple or a "
            "dict by name for several, and labels as data=(inputs, labels)."
        )

    def unread(self, nest: Any) -> list[str]:
        """Returns the keys of a dict that are not inputs of the model."""
        keys = set(flat(nest)) if isinstance(nest, Mapping) else set()
        return sorted(keys - {*keys_of(self.structure), *(spec.name for spec in self.inputs)})

    def check_no_labels(self, nest: Any) -> None:
        """Raises if a dict of inputs without labels has a key for labels.

        Raises:
            PruneError: There is such a key.
        """
        found = [name for name in self.unread(nest) if name in LABELS]
        if found:
            raise PruneError(
                f"Expected labels with the inputs. Received: a dict with {', '.join(map(repr, found))}, which is "
                "not an input of the model and would not be used. Give data=(inputs, labels), or leave it out."
            )

    def checked(self, nest: Any, shapes: Sequence[Shape] | None = None) -> list[np.ndarray]:
        """Returns the flat inputs of a nest as arrays of the model's number of axes and their own dtype, after a check.

        Args:
            nest: One array, or a tuple or a dict by name for several.
            shapes: The shapes of the arrays that these are some rows of, which are checked in place of theirs. Defaults
                to `None`: they are all.

        Raises:
            PruneError: They do not fit the model; all faults are listed.
        """
        arrays = [as_numpy(x) for x in self.flatten(nest)]
        shapes = [array.shape for array in arrays] if shapes is None else shapes
        found = zip(self.inputs, arrays, shapes, strict=True)
        faults = [fault for spec, array, shape in found for fault in spec.faults(array, shape)]
        if faults and isinstance(self.structure, Mapping) and not isinstance(nest, Mapping):
            order = keys_of(self.structure)
            faults.append(f"Expected a dict by name. Received: arrays without names, which are taken as {order}.")
        if not faults:
            faults = length_faults(shapes)
        raise_faults("Invalid inputs for the model:", faults)
        return [
            array.reshape(spec.with_last_axis(array.shape)) for spec, array in zip(self.inputs, arrays, strict=True)
        ]

    def cast(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns flat inputs in the dtypes of the model."""
        return [spec.cast(array) for spec, array in zip(self.inputs, arrays, strict=True)]

    def in_types(self, types: Mapping[str, str]) -> Signature:
        """Returns the signature with other types of inputs, by the old ones."""
        return replace(
            self, inputs=tuple(replace(each, dtype=types.get(each.dtype, each.dtype)) for each in self.inputs)
        )

    def static(self, shapes: Sequence[tuple[int, ...]]) -> Signature:
        """Returns the signature with these shapes, one for each input."""
        pairs = zip(self.inputs, shapes, strict=True)
        free = (spec.free or (spec.shape if None in spec.shape else ()) for spec in self.inputs)
        fixed = (replace(spec, shape=tuple(shape), free=was) for (spec, shape), was in zip(pairs, free, strict=True))
        return replace(self, inputs=tuple(fixed))


def signature_of(model: keras.Model, data: Any = None) -> Signature:
    """Returns the inputs of a model; those of a subclassed model are taken from one batch of data.

    Args:
        model: A built model.
        data: A nest of arrays with a batch axis, needed for a subclassed model only. Defaults to `None`.

    Raises:
        PruneError: The model is not a built Keras model, has a fixed batch size, or is subclassed and data is
            missing.
    """
    if not isinstance(model, keras.Model):
        raise PruneError(f"Expected a keras.Model. Received: model={type(model).__name__}.")
    check_built(model)
    if is_graph(model):
        for tensor in model.inputs:
            if tensor.shape[0] not in (None, 1) and fixed_batch(model):
                raise no_fixed_batch(tensor)
        return inputs_of(model)
    if data is None:
        raise PruneError(
            f"The model {model.name!r} is subclassed, so its input shapes are not written down in it. "
            "Pass data= (inputs as in fit), or rebuild it as a functional model."
        )
    arrays = [np.asarray(array) for array in keras.tree.flatten(data)]
    inputs = (InputSpec(f"input_{i}", array.shape[1:], str(array.dtype)) for i, array in enumerate(arrays))
    return Signature(tuple(inputs), data)


def no_fixed_batch(tensor: keras.KerasTensor) -> PruneError:
    """Returns the error for an input of a fixed batch size where samples are independent of each other."""
    return PruneError(
        f"The input {tensor.name!r} has a fixed batch size, so single samples do not fit. "
        f"Received: shape={tuple(tensor.shape)}. Build the model once more for any number of examples, "
        f"keras.Input({tuple(tensor.shape[1:])}), its layers without stateful=True, and take over the "
        "weights: new.set_weights(model.get_weights())."
    )


def inputs_of(model: keras.Model) -> Signature:
    """Returns the inputs of a functional or Sequential model of any batch size."""
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return Signature(specs_of(model.inputs), structure)


def specs_of(tensors: Sequence[keras.KerasTensor]) -> tuple[InputSpec, ...]:
    """Returns names, shapes and types of the input tensors of a model."""
    return tuple(InputSpec(each.name, tuple(each.shape[1:]), str(each.dtype)) for each in tensors)


def is_graph(model: keras.Model) -> bool:
    """Returns whether a model is functional or Sequential, so that its graph can be read."""
    return bool(getattr(model, "inputs", None))


def identifiers(names: Sequence[str]) -> list[str]:
    """Returns distinct names of arguments made of letters, digits and underscores, none of them a word of Python.

    Example:
        >>> identifiers(["left/image", "logits", "logits", "in", "2nd"])
        ['left_image', 'logits', 'logits_1', 'in_', 'name_2nd']
    """
    taken: list[str] = []
    for name in names:
        plain = re.sub(r"^(?=[\d_])", "name_", re.sub(r"\W", "_", name, flags=re.ASCII))
        plain = f"{plain}_" if plain == "self" or iskeyword(plain) else plain
        candidates = chain([plain], (f"{plain}_{number}" for number in count(1)))
        taken.append(next(candidate for candidate in candidates if candidate not in taken))
    return taken


def alike(one: Shape, other: Shape) -> bool:
    """Returns whether two shapes match; `None` is any size."""
    return len(one) == len(other) and all(None in pair or pair[0] == pair[1] for pair in zip(one, other, strict=True))


def _are_texts(array: np.ndarray) -> bool:
    return array.dtype.kind in "US" or array.dtype.kind == "O" and all(isinstance(x, str | bytes) for x in array.flat)
