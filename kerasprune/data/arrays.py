"""A user's own arrays: `.npz` files of inputs and targets, by split or divided here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasprune.data import scaling
from kerasprune.data.epochs import epochs
from kerasprune.data.folder import PARTS, SPLITS, part_of
from kerasprune.data.refusals import finite_faults, length_faults
from kerasprune.data.sources import Images
from kerasprune.data.splits import SplitExamples
from kerasprune.errors import PruneError, raise_faults
from kerasprune.files.arrays import read_array, read_arrays
from kerasprune.files.reading import existing

SHARE = 10  # where a file has a test part but no validation part, a tenth of the training part is held out
TARGETS = "y"
LIKELY = ("0..1", "-1..1")  # what models are trained on, beside the pixels as they are
_NUMBERS, _TEXTS = "biuf", "US"  # kinds of NumPy's types
Inputs = np.ndarray | dict[str, np.ndarray]
Tensors = tf.Tensor | dict[str, tf.Tensor]
Scaler = Callable[[Any], Any]


@dataclass(frozen=True)
class ArrayRows(Images):
    """Examples in memory, reached by number.

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
        """Returns some of the examples."""
        return self.changed(lambda array: array[numbers])

    def held(self) -> ArrayRows:
        """Returns the examples as tensors, which every data set made of them shares; an array would be copied."""
        with tf.device("CPU"):  # also where there is a GPU: its memory is for the model
            return self.changed(tf.constant)

    def decode(self, record: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """Returns the inputs and the target of a number; where there are no targets, the number stands for it."""
        with tf.device("CPU"):
            found = self.changed(lambda array: tf.gather(array, record))
            return found.inputs, record if found.targets is None else found.targets

    def changed(self, change: Callable[[Any], Any]) -> ArrayRows:
        """Returns what becomes of every array; where there are no targets, there are none."""
        nests = (self.inputs, self.targets)
        return ArrayRows(*(tf.nest.map_structure(lambda x: None if x is None else change(x), nest) for nest in nests))


def batches_of(parts: tuple, batch: int, seed: int) -> tf.data.Dataset:
    """Returns batches to train on of arrays in memory, in the order that a file of them would have.

    Args:
        parts: Arrays, or nests of them, as `fit` takes them: inputs, and targets and weights if there are any.
        batch: Examples per batch.
        seed: Decides the order of every epoch.
    """
    parts = tuple(keras.tree.map_structure(_plain, _without_lists(each)) for each in parts)
    rows = ArrayRows(parts[0], parts[1:] or None).held()
    made = epochs(rows, lambda x, *_: x, batch=min(batch, rows.count or 1), seed=seed, name=f"arrays {seed}")
    return made.map(lambda x, rest: (x, *rest) if len(parts) > 1 else (x,))


def _without_lists(nest: Any) -> Any:
    """Returns a nest of arrays with tuples for lists, which tf.data would take for arrays."""
    if isinstance(nest, list | tuple):
        return tuple(map(_without_lists, nest))
    return {name: _without_lists(each) for name, each in nest.items()} if isinstance(nest, Mapping) else nest


def _plain(array: Any) -> Any:
    """Returns an array as a model takes it: real numbers in 32 bits."""
    array = keras.ops.convert_to_numpy(array) if keras.ops.is_tensor(array) else np.asarray(array)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def arrays(path: Path) -> SplitExamples:
    """Returns the examples of a `.npz` file, which is read here, once.

    It holds `x` and `y`, or for several inputs an array by the name of each and `y`: divided 80 : 10 : 10 by a fixed
    permutation; without `y`, or as a `.npy` file, they have no targets. Or it holds `x_train`, `y_train`, `x_test`,
    `y_test`, and `x_val`, `y_val` unless a tenth of the training examples is to be held out.

    Args:
        path: The file.

    Raises:
        PruneError: It is no such file, its arrays do not fit each other, some would be left out, or they hold Python
            objects.
    """
    splits = {split: rows.held() for split, rows in _splits(path, read(path)).items()}
    training = tf.nest.map_structure(np.asarray, splits["train"].inputs)  # the same memory
    scaled = cache(lambda scale: scaler(training, scale, str(path)))

    def make(split: str, batch: int, seed: int, scale: str) -> tf.data.Dataset:
        rows, ready = splits[split], scaled(scale)
        if split == "train":
            made = epochs(
                rows, lambda x, *_: ready(x), batch=min(batch, rows.count or 1), seed=seed, name=f"{path} {seed}"
            )
        else:
            decoded = rows.in_order().map(rows.decode, num_parallel_calls=tf.data.AUTOTUNE)
            made = decoded.map(lambda x, y: (ready(x), y)).batch(batch)
        return made if rows.targets is not None else made.map(lambda x, _: (x,))

    return SplitExamples(str(path), tuple(splits), make, scales=LIKELY if _are_pixels(training) else ())


def read(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a `.npz` file by name; that of a `.npy` file is called `x`.

    Raises:
        PruneError: There is no such file, or it is damaged, or it holds Python objects.
    """
    path = existing(path, "a .npz or .npy file")
    if path.suffix == ".npz":
        return read_arrays(path, "a .npz file of numbers or texts, as np.savez(path, x=…, y=…) writes it,")
    return {"x": read_array(path, "a .npy file of numbers, as np.save(path, x) writes it,")}


def _splits(path: Path, found: Mapping[str, np.ndarray]) -> dict[str, ArrayRows]:
    parts = {name.partition("_")[2] for name in found if name.startswith(("x_", "y_"))} & set(SPLITS)
    inputs = {name: array for name, array in found.items() if name != TARGETS}
    if not parts and not inputs:
        raise PruneError(
            "Expected arrays x and y, or x_train, y_train, x_test, y_test. "
            f"Received: {path} with {', '.join(sorted(found)) or 'nothing'}. Write it with np.savez(path, x=…, y=…)."
        )
    if not parts:
        rows = _checked(path, inputs["x"] if set(inputs) == {"x"} else inputs, found.get(TARGETS))
        return {split: rows.part(part_of(rows.count, *PARTS[split])) for split in PARTS}
    named = {SPLITS[part]: part for part in sorted(parts)}
    wanted = [f"{a}_{part}" for part in named.values() for a in "xy"]
    lacking = [name for name in wanted if name not in found]
    if lacking or "train" not in parts:
        raise PruneError(f"Expected x and y of every split, and of train. Received: {path} without {lacking or parts}.")
    unread = sorted(set(found) - set(wanted))
    if unread:
        raise PruneError(
            f"Expected either x and y, divided here, or one pair for each split. Received: {path} with "
            f"{', '.join(unread)} beside {', '.join(wanted)}. Write only those that are meant."
        )
    splits = {split: _checked(path, found[f"x_{part}"], found[f"y_{part}"]) for split, part in named.items()}
    if "validation" not in splits:
        training = splits["train"]
        held = training.count // SHARE / max(training.count, 1)
        splits["validation"] = training.part(part_of(training.count, 0.0, held))
        splits["train"] = training.part(part_of(training.count, held, 1.0))
    return splits


def _checked(path: Path, inputs: Inputs, targets: np.ndarray | None) -> ArrayRows:
    given = inputs if isinstance(inputs, dict) else {"x": inputs}
    named = {f"the input {name!r}": array for name, array in given.items()}
    beside = {} if targets is None else {"the labels": targets}
    strange = [each.dtype for each in (named | beside).values() if each.dtype.kind not in _NUMBERS + _TEXTS]
    faults = [f"Expected numbers or texts. Received: an array of {dtype}." for dtype in strange]
    if targets is not None and targets.dtype.kind in _TEXTS:
        faults.append(f"Expected numbers as targets. Received: an array of {targets.dtype}. Number the classes from 0.")
    faults += length_faults([each.shape for each in named.values()], [each.shape for each in beside.values()])
    faults += [fault for name, each in (named | beside).items() for fault in finite_faults(name, each)]
    raise_faults(f"The arrays of {path} cannot be taken:", faults)
    return ArrayRows(inputs, targets).changed(lambda x: x.astype(np.float32) if x.dtype.kind == "f" else x)


def scaler(training: Inputs, scale: str, name: str) -> Scaler:
    """Returns a function that brings pixels to a scale; numbers that are no pixels stay as they are.

    Args:
        training: Array or arrays of the training examples, whose pixels by channel `"standardise"` goes by; an array
            of uint8 holds pixels.
        scale: One of `SCALES`.
        name: Where they come from.

    Raises:
        PruneError: A scale is asked for where there are no pixels.
    """
    pixels = _are_pixels(training)
    if not pixels and scale == "none":
        return lambda x: x
    if not pixels:
        raise PruneError(
            f"Expected pixels, an array x of uint8, beside --scale {scale}. Received: {name} with "
            f"{', '.join(sorted({str(each.dtype) for each in tf.nest.flatten(training)}))}. Leave --scale out: other "
            "numbers are taken as they are."
        )
    if scale == "imagenet" and training.shape[-1] != 3:
        raise PruneError(f"Expected images of three channels for --scale imagenet. Received: {training.shape}.")
    mean, std = _moments(training) if scale == "standardise" else scaling.constants(scale, None)
    if scale not in ("standardise", "imagenet"):  # the same for any number of channels
        mean, std = mean[0], std[0]
    return partial(scaling.normalised, mean=np.float32(mean), std=np.float32(std))


def _are_pixels(inputs: Inputs) -> bool:
    return isinstance(inputs, np.ndarray) and inputs.dtype == np.uint8


def _moments(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation by channel of pixels / 255."""
    axes = tuple(range(pixels.ndim - 1)) if pixels.ndim == 4 else None
    return pixels.mean(axes) / 255.0, np.maximum(pixels.std(axes) / 255.0, 1e-6)
