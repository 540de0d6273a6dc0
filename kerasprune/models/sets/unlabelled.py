"""Inputs without targets, to calibrate and check an export: a file of arrays or a folder of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kerasprune.backend.reader import tf
from kerasprune.data.arrays import inputs_without_labels, read, scaler
from kerasprune.data.folder import SUFFIXES, refuse_corrupt
from kerasprune.data.scaling import DataInfo, rescale
from kerasprune.data.sources import encoded_image
from kerasprune.data.splits import batches_for_model
from kerasprune.errors import Key, PruneError, warn
from kerasprune.models.sets.augmentation import resize
from kerasprune.models.sets.dataset import standardise


def read_unlabelled(
    path: Path, inputs: Sequence[Any], *, scale: str | None = None, size: int | None = None, batch: int = 128
) -> tf.data.Dataset:
    """Returns batches of the inputs of a model.

    Args:
        path: A `.npy` file; a `.npz` file with `x`, `x_train`, or an array by the name of each input; or a folder of
            PNG and JPEG images, also in subfolders.
        inputs: The input tensors of the model.
        scale: The scale of pixels, see `kerasprune.data.scaling`. Defaults to `"standardise"` with ImageNet's constants
            for a folder, `"none"` for arrays.
        size: Image side, for a folder and a model whose side is free. Defaults to the model's.
        batch: Examples per batch. Defaults to 128.

    Raises:
        PruneError: The path has no inputs, or they do not fit the model.
    """
    if path.is_dir():
        if scale is None:
            warn_of_constants(path)
        return _images(path, inputs, scale or "standardise", size, batch)
    x = inputs_without_labels(read(path))
    ready = scaler(x, scale or "none", str(path))
    data = tf.data.Dataset.from_tensor_slices((x,)).map(lambda each: (ready(_floats(each)),))
    return batches_for_model(data, inputs, batch, str(path)).map(lambda each: each)


def warn_of_constants(path: str | Path) -> None:
    """Warns that the images of a folder are standardised, since a file is not judged by its labels."""
    warn(
        f"The images in {str(path)!r} are standardised with the constants of ImageNet, since no scale is given: wrong "
        "for a model that was trained on other pixels, or begins with Rescaling. Give --scale (with --data), in "
        "a recipe data.scale; or a .npy file of inputs, which are taken as they are."
    )


def _floats(x: Any) -> Any:
    return tf.nest.map_structure(lambda each: tf.cast(each, tf.float32) if each.dtype.is_floating else each, x)


def _images(path: Path, inputs: Sequence[Any], scale: str, size: int | None, batch: int) -> tf.data.Dataset:
    files = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    shape = tuple(inputs[0].shape)
    if not files:
        raise PruneError(f"Expected PNG or JPEG files in the folder. Received: {str(path)!r}, which has none.")
    if len(inputs) != 1 or len(shape) != 4 or shape[3] not in (1, 3) or shape[1] != shape[2]:
        raise PruneError(f"Expected a model of square images for a folder of images. Received: inputs {shape}.")
    side = shape[1] or size
    if not isinstance(side, int):
        found = f"Expected an image side, a number, since that of the model is free. Received: size={side}. "
        raise PruneError(found, "Give ", Key("size"), "=32, or another side.")
    refuse_corrupt([Path(file) for file in files])
    facts = DataInfo(name=str(path), classes=(), examples={}, size=None)

    def image(file: tf.Tensor) -> tf.Tensor:
        pixels = encoded_image(tf.io.read_file(file))
        return rescale(resize(standardise(pixels, facts), side), scale, shape[3], facts)

    return tf.data.Dataset.from_tensor_slices(files).map(image, num_parallel_calls=tf.data.AUTOTUNE).batch(batch)
