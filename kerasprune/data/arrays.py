"""A user's own arrays: `.npz` files of inputs and targets, by split or divided here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.backend.reader import tf
from kerasprune.data import scaling
from kerasprune.data.arrays_or_batches import as_numpy
from kerasprune.data.epochs import epochs
from kerasprune.data.folder import PARTS, SPLITS, part_of
from kerasprune.data.refusals import finite_faults, label_faults, length_faults
from kerasprune.data.sources import Images
from kerasprune.data.splits import SplitExamples
from kerasprune.errors import PruneError, raise_faults
from kerasprune.files.arrays import read_array, read_arrays
from kerasprune.files.reading import existing_path

SHARE = 10  # a tenth of the training part is held out in place of each part that a file lacks
TARGETS, BY_OUTPUT = "y", "y_"  # names of labels, and what the names of those of several outputs begin with
LIKELY = ("0..1", "-1..1")  # scales that models are commonly trained on, besides raw pixels
_NUMBERS, _TEXTS = "biuf", "US"  # kinds of NumPy's types
Inputs = Targets = np.ndarray | dict[str, np.ndarray]
Tensors = tf.Tensor | dict[str, tf.Tensor]
Scaler = Callable[[Any], Any]


@dataclass(frozen=True)
class ArrayRows(Images):
    """Examples in memory, indexed by number.

    Args:
        inputs: Array of shape (count, …), or such arrays by the name of the model's input.
        targets: Array of shape (count, …), or a nest of such arrays; `None` if there are none.
    """

    inputs: Inputs | Tensors
    targets: Any

    @property
    def count(self) -> int:
        """Number of examples."""
        return len(tf.nest.flatten(self.inputs)[0])

    def part(self, numbers: np.ndarray) -> ArrayRows:
        """Returns the examples of these numbers."""
        return self.changed(lambda array: array[numbers])

    def held(self) -> ArrayRows:
        """Returns the examples as tensors, which all data sets share without copies."""
        with tf.device("CPU"):  # the memory of a GPU is for the model
            return self.changed(tf.constant)

    def decode(self, record: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """Returns the inputs and the target of a number; without targets, the number itself."""
        with tf.device("CPU"):
            found = self.changed(lambda array: tf.gather(array, record))
            return found.inputs, record if found.targets is None else found.targets

    def changed(self, change: Callable[[Any], Any]) -> ArrayRows:
        """Applies a function to every array."""
        nests = (self.inputs, self.targets)
        return ArrayRows(*keras.tree.map_structure(change, nests, none_is_leaf=False))


def batches_of(parts: tuple, batch: int, seed: int) -> tf.data.Dataset:
    """Returns training batches of arrays in memory, in the same order as those of a `.npz` file.

    Args:
        parts: Arrays, or nests of them, as `fit` takes them: inputs, and optionally targets and weights.
        batch: Examples per batch.
        seed: Determines the order of every epoch.
    """
    parts = tuple(keras.tree.map_structure(_plain, _without_lists(each), none_is_leaf=False) for each in parts)
    made = _shuffled(ArrayRows(parts[0], parts[1:] or None).held(), lambda x: x, batch, seed, "arrays")
    return made.map(lambda x, rest: (x, *rest) if len(parts) > 1 else (x,))


def _shuffled(rows: ArrayRows, scale: Scaler, batch: int, seed: int, name: str) -> tf.data.Dataset:
    batch = min(batch, rows.count or 1)
    return epochs(rows, lambda x, *_: scale(x), batch=batch, seed=seed, name=f"{name} {seed}")


def _without_lists(nest: Any) -> Any:
    """Replaces lists in a nest by tuples, since tf.data takes lists for arrays."""
    if isinstance(nest, list | tuple):
        return tuple(map(_without_lists, nest))
    return {name: _without_lists(each) for name, each in nest.items()} if isinstance(nest, Mapping) else nest


def _plain(array: Any) -> Any:
    """Returns a NumPy array, float64 as float32."""
    array = as_numpy(array)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def arrays(path: Path) -> SplitExamples:
    """Reads the examples of a `.npz` file.

    The file holds `x` and `y`; for several inputs an array by the name of each in place of `x`, for several outputs
    `y_<name>` for each in place of `y`. These are split 80 : 10 : 10 by a fixed permutation. Without labels, or in a
    `.npy` file, examples have no targets. Or it holds `x_train`, `y_train`, and optionally `x_val`, `y_val`, `x_test`,
    `y_test`, or no labels at all; a tenth of the training examples is held out in place of each.

    Args:
        path: The file.

    Raises:
        PruneError: The file cannot be read, its arrays differ in length, some would not be used, or they hold Python
            objects.
    """
    return by_split(read(path), str(path))


def by_split(found: Mapping[str, np.ndarray], name: str) -> SplitExamples:
    """Returns arrays as the examples of a `.npz` file are: see `arrays`.

    Args:
        found: The arrays by name.
        name: Their source, for messages.

    Raises:
        PruneError: As for `arrays`.
    """
    return _made(_splits(name, found), name)


def inputs_by_split(inputs: Mapping[str, np.ndarray], name: str) -> SplitExamples:
    """Returns arrays as the examples of a `.npz` file without labels are; all are inputs, also those called `y`.

    Args:
        inputs: The arrays by the name of the input.
        name: Their source, for messages.
    """
    return _made(_divided(_checked(name, dict(inputs), None)), name)


def _made(found: Mapping[str, ArrayRows], name: str) -> SplitExamples:
    splits = {split: rows.held() for split, rows in found.items()}
    training = tf.nest.map_structure(np.asarray, splits["train"].inputs)  # the same memory
    scaled = cache(lambda scale: scaler(training, scale, name))

    def make(split: str, batch: int, seed: int, scale: str) -> tf.data.Dataset:
        rows, ready = splits[split], scaled(scale)
        if split == "train":
            made = _shuffled(rows, ready, batch, seed, name)
        else:
            decoded = rows.in_order().map(rows.decode, num_parallel_calls=tf.data.AUTOTUNE)
            made = decoded.map(lambda x, y: (ready(x), y)).batch(batch)
        return made if rows.targets is not None else made.map(lambda x, _: (x,))

    scales = LIKELY if _are_pixels(training) else ()
    return SplitExamples(name, tuple(splits), make, scales=scales, arrays=True)


def read(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a `.npz` file by name; that of a `.npy` file is called `x`."""
    path = existing_path(path, "a .npz or .npy file")
    if path.suffix == ".npz":
        return read_arrays(path, "a .npz file of numbers or texts, as np.savez(path, x=…, y=…) writes it,")
    return {"x": read_array(path, "a .npy file of numbers, as np.save(path, x) writes it,")}


def _splits(source: str, found: Mapping[str, np.ndarray]) -> dict[str, ArrayRows]:
    inputs, targets = by_role(found)
    if parts := _parts(found):
        return _given(source, found, parts)
    if not inputs:
        raise PruneError(
            "Expected arrays x and y, or x_train, y_train, x_test, y_test. "
            f"Received: {source} with {', '.join(sorted(found)) or 'nothing'}. Write it with np.savez(path, x=…, y=…)."
        )
    return _divided(_checked(source, inputs["x"] if set(inputs) == {"x"} else inputs, targets))


def _parts(found: Mapping[str, np.ndarray]) -> list[str]:
    """Returns the splits that a file holds; none if `y_val` is of an output `val`."""
    parts = {name.partition("_")[2] for name in found if name.startswith(("x_", "y_"))} & set(SPLITS)
    return sorted(parts) if not by_role(found)[0] or any(f"x_{part}" in found for part in parts) else []


def inputs_without_labels(found: Mapping[str, np.ndarray]) -> Inputs:
    """Returns the inputs among arrays by name: one array, or several by the name of the input.

    Args:
        found: The arrays, of which `x_train` counts where they are given by split.
    """
    of_splits = [found[f"x_{part}"] for part in SPLITS if part in _parts(found) and f"x_{part}" in found]
    inputs, _ = by_role(found)
    return of_splits[0] if of_splits else next(iter(inputs.values())) if len(inputs) == 1 else inputs


def _divided(rows: ArrayRows) -> dict[str, ArrayRows]:
    return {split: rows.part(part_of(rows.count, *PARTS[split])) for split in PARTS}


def by_role(found: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], Targets | None]:
    """Returns inputs by name, and labels: an array, or arrays by the name of the output, or `None`.

    Args:
        found: Arrays by name.

    Example:
        >>> import numpy as np
        >>> x, y = np.zeros((4, 2)), np.zeros(4)
        >>> [(sorted(inputs), labels is y) for inputs, labels in map(by_role, ({"x": x, "y": y}, {"x": x}))]
        [(['x'], True), (['x'], False)]
        >>> inputs, labels = by_role({"x": x, "y_kind": y, "y_size": y})
        >>> sorted(inputs), sorted(labels)
        (['x'], ['kind', 'size'])
    """
    if TARGETS in found:
        return {name: array for name, array in found.items() if name != TARGETS}, found[TARGETS]
    named = {name.removeprefix(BY_OUTPUT): found[name] for name in found if name.startswith(BY_OUTPUT)}
    return {name: found[name] for name in found if not name.startswith(BY_OUTPUT)}, named or None


def _given(source: str, found: Mapping[str, np.ndarray], parts: Sequence[str]) -> dict[str, ArrayRows]:
    """Returns the examples of a file that holds them by split; a tenth of the training examples in place of others."""
    named = {SPLITS[part]: part for part in parts}
    labelled = any(name.startswith(BY_OUTPUT) for name in found)
    kinds = "xy" if labelled else "x"
    wanted = [f"{a}_{part}" for part in named.values() for a in kinds]
    lacking = [name for name in wanted if name not in found]
    lacking = lacking or ([] if "train" in named else [f"{a}_train" for a in kinds])
    unread = sorted(set(found) - set(wanted))
    if lacking or unread:
        received = (
            f"without {', '.join(lacking)}" if lacking else f"with {', '.join(unread)} next to {', '.join(wanted)}"
        )
        raise PruneError(
            "Expected either x and y, divided here, or x_train and y_train, and a pair for each other split; or no "
            f"labels at all. Received: {source} {received}. Write only the arrays that are needed."
        )
    splits = {split: _checked(source, found[f"x_{part}"], found.get(f"y_{part}")) for split, part in named.items()}
    training = splits["train"]
    held, begin = training.count // SHARE / max(training.count, 1), 0.0
    for split in [split for split in PARTS if split not in splits]:
        splits[split] = training.part(part_of(training.count, begin, begin + held))
        begin += held
    splits["train"] = training.part(part_of(training.count, begin, 1.0))
    return splits


def _checked(source: str, inputs: Inputs, targets: Targets | None) -> ArrayRows:
    given = inputs if isinstance(inputs, dict) else {"x": inputs}
    named = {f"the input {name!r}": array for name, array in given.items()}
    several = isinstance(targets, dict)
    beside = {f"labels of {name!r}": array for name, array in targets.items()} if several else {"labels": targets}
    beside = {} if targets is None else beside
    strange = [each.dtype for each in (named | beside).values() if each.dtype.kind not in _NUMBERS + _TEXTS]
    faults = [f"Expected numbers or texts. Received: an array of {dtype}." for dtype in strange]
    faults += [] if strange else [fault for name, each in beside.items() for fault in label_faults(name, each)]
    faults += length_faults([each.shape for each in named.values()], [each.shape for each in beside.values()])
    faults += [fault for name, each in named.items() for fault in finite_faults(name, each)]
    raise_faults(f"Invalid arrays in {source}:", faults)
    return ArrayRows(inputs, targets).changed(lambda x: x.astype(np.float32) if x.dtype.kind == "f" else x)


def scaler(training: Inputs, scale: str, name: str) -> Scaler:
    """Returns a function that scales pixels; inputs other than one uint8 array are not changed.

    Channels are the last axis; or the first of an example, if that has one or three entries and the last has more.

    Args:
        training: Inputs of the training examples, whose mean and standard deviation by channel `"standardise"` uses.
        scale: One of `SCALES`.
        name: The source of the inputs, for messages.

    Raises:
        PruneError: A scale is given, but the inputs are not pixels.
    """
    pixels = _are_pixels(training)
    if not pixels and scale == "none":
        return lambda x: x
    if not pixels:
        raise PruneError(
            f"Expected pixels, an array x of uint8, with --scale {scale}. Received: {name} with "
            f"{', '.join(sorted({str(each.dtype) for each in tf.nest.flatten(training)}))}. Leave --scale out: other "
            "numbers are not scaled."
        )
    first = training.ndim == 4 and training.shape[1] in scaling.CHANNELS and training.shape[3] not in scaling.CHANNELS
    if scale == "imagenet" and training.shape[1 if first else -1] != 3:
        raise PruneError(f"Expected images of three channels for --scale imagenet. Received: {training.shape}.")
    mean, std = (
        _moments(np.moveaxis(training, 1, -1) if first else training)
        if scale == "standardise"
        else scaling.constants(scale, None)
    )
    if scale not in ("standardise", "imagenet"):  # the same for any number of channels
        mean, std = mean[0], std[0]
    elif first:
        mean, std = (np.reshape(each, (-1, 1, 1)) for each in (mean, std))
    return partial(scaling.normalise, mean=np.float32(mean), std=np.float32(std))


def _are_pixels(inputs: Inputs) -> bool:
    return isinstance(inputs, np.ndarray) and inputs.dtype == np.uint8


def _moments(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation by channel of pixels / 255."""
    axes = tuple(range(pixels.ndim - 1)) if pixels.ndim == 4 else None
    return pixels.mean(axes) / 255.0, np.maximum(pixels.std(axes) / 255.0, 1e-6)
