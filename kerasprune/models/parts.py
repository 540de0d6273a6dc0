"""Parts that the model families share: argument checks, seeded initialisers, convolution and BatchNorm.

Every layer is named by its family, so groups and saved plans keep their names from run to run. Convolutions
that BatchNorm follows have no bias. BatchNorm uses momentum 0.9 and epsilon 1e-5, which is what the torch
originals call momentum 0.1 and eps 1e-5.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import keras

from kerasprune.errors import PruneError, raise_faults

InputShape = Sequence[int | None]


def argument_faults(classes: int, input_shape: InputShape, *, smallest_side: int = 1) -> list[str]:
    """Returns what is wrong with the two arguments that every factory takes.

    Args:
        classes: Number of logits.
        input_shape: `(height, width, channels)`; a side may be `None`, channels may not.
        smallest_side: Shortest side, in pixels, that reaches the classifier. Defaults to 1.

    Returns:
        One sentence per fault.
    """
    faults = []
    if not _is_count(classes):
        faults.append(f"Expected classes to be a whole number of at least 1. Received: classes={classes!r}.")
    shape = tuple(input_shape) if isinstance(input_shape, list | tuple) else ()
    if len(shape) != 3 or not _is_count(shape[2]) or not all(s is None or _is_count(s) for s in shape[:2]):
        faults.append(
            "Expected input_shape=(height, width, channels), where height and width may be None. "
            f"Received: input_shape={input_shape!r}."
        )
    elif any(side is not None and side < smallest_side for side in shape[:2]):
        faults.append(
            f"Expected sides of at least {smallest_side} pixels. Received: input_shape={input_shape!r}. "
            "Resize the images, or take a family with fewer strides."
        )
    return faults


def check_arguments(
    family: str, classes: int, input_shape: InputShape, *more: str, smallest_side: int = 1
) -> None:
    """Raises one `PruneError` with all faults of a factory's arguments; `more` are the family's own."""
    faults = [fault for fault in more if fault]
    faults += argument_faults(classes, input_shape, smallest_side=smallest_side)
    raise_faults(f"The {family} cannot be built:", faults)


def choice_fault(argument: str, value: object, choices: Sequence[object]) -> str:
    """Returns a sentence that names the choices where `value` is none of them, else an empty string."""
    if value in choices and not isinstance(value, bool):
        return ""
    return (
        f"Expected {argument} to be one of {', '.join(map(repr, choices))}. Received: {argument}={value!r}."
    )


def depth_fault(depth: int, rule: str, valid: Sequence[int]) -> str:
    """Returns a sentence with the nearest valid depths where `depth` is none of them, else an empty string.

    Args:
        depth: The depth asked for.
        rule: The family's rule in words, e.g. `"6n + 2"`.
        valid: The valid depths, ascending.

    Returns:
        The fault, or an empty string.
    """
    if isinstance(depth, int) and not isinstance(depth, bool) and depth in valid:
        return ""
    if not isinstance(depth, int | float):
        return f"Expected a depth of the form {rule}. Received: depth={depth!r}."
    close = sorted(sorted(valid, key=lambda candidate: abs(candidate - depth))[:2])
    return (
        f"Expected a depth of the form {rule}. Received: depth={depth!r}. "
        f"The nearest are {' and '.join(map(str, close))}."
    )


def positive_fault(argument: str, value: float) -> str:
    """Returns a sentence where `value` is not a number above 0, else an empty string."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf"):
        return ""
    return f"Expected {argument} to be a number above 0. Received: {argument}={value!r}."


def scaled(channels: int, width: float) -> int:
    """Returns `channels · width` as a whole number of at least 1."""
    return max(1, round(channels * width))


def initializer(name: str, seed: int | None) -> keras.initializers.Initializer:
    """Returns He-normal values for the layer `name`: the same for the same seed, fresh where it is None."""
    if seed is None:
        return keras.initializers.HeNormal()
    if not isinstance(seed, int):
        raise PruneError(f"Expected seed to be a whole number or None. Received: seed={seed!r}.")
    return keras.initializers.HeNormal(seed=zlib.crc32(f"{seed}/{name}".encode()) % 2**31)


def convolution(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    *,
    name: str,
    seed: int | None,
    strides: int = 1,
    padding: str = "same",
) -> keras.KerasTensor:
    """Applies a convolution without bias to `x` of shape `(batch, height, width, channels)`."""
    layer = keras.layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer=initializer(name, seed),
        name=name,
    )
    return layer(x)


def padded_convolution(
    x: keras.KerasTensor, filters: int, kernel: int, *, name: str, seed: int | None, strides: int
) -> keras.KerasTensor:
    """Applies a strided convolution with `kernel // 2` zeros on every side, as torch does.

    Padding "same" would put no zeros above and to the left of an even-sided image, so that the windows were
    centred one pixel away from the pixels that a strided shortcut picks.
    """
    x = keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    return convolution(x, filters, kernel, name=name, seed=seed, strides=strides, padding="valid")


def batch_norm(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Applies BatchNorm with momentum 0.9 and epsilon 1e-5."""
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def relu(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Applies ReLU."""
    return keras.layers.ReLU(name=name)(x)


def classifier(x: keras.KerasTensor, classes: int, *, seed: int | None) -> keras.KerasTensor:
    """Applies the dense layer `"logits"`; there is no softmax."""
    return keras.layers.Dense(classes, kernel_initializer=initializer("logits", seed), name="logits")(x)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
