"""Checks of the factories' arguments: one sentence per fault, before anything is built."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kerasprune.checks import whole_number_faults
from kerasprune.errors import raise_faults

InputShape = Sequence[int | None]


def checked_images(
    family: str,
    classes: int,
    input_shape: InputShape,
    seed: int | None,
    faults: Sequence[str] = (),
    *,
    smallest_side: int = 1,
    halvings: int = 0,
    halved_by: str = "",
) -> keras.KerasTensor:
    """Returns the input of a model, after a check of all arguments of its factory.

    Args:
        family: The factory.
        classes: Number of logits.
        input_shape: `(height, width, channels)`; a side may be `None`, channels may not.
        seed: An integer, or `None` for fresh weights.
        faults: Faults of the family's own arguments. Defaults to none.
        smallest_side: Shortest side, in pixels, that reaches the classifier. Defaults to 1.
        halvings: How often a side is halved without a remainder. Defaults to 0.
        halved_by: The argument that says how often, if one does.
    """
    faults = [*faults, *whole_number_faults(1, classes=classes)]
    shape = tuple(input_shape) if isinstance(input_shape, list | tuple) else ()
    sizes = {str(axis): size for axis, size in enumerate(shape) if axis == 2 or size is not None}
    if len(shape) != 3 or whole_number_faults(1, **sizes):
        faults.append(
            "Expected input_shape=(height, width, channels), where height and width may be None. "
            f"Received: input_shape={input_shape!r}."
        )
    elif any(side is not None and side < smallest_side for side in shape[:2]):
        faults.append(
            f"Expected sides of at least {smallest_side} pixels. Received: input_shape={input_shape!r}. "
            "Resize the images, or take a family with fewer strides."
        )
    elif any(side is not None and side % 2**halvings for side in shape[:2]):
        faults.append(
            f"Expected sides that are multiples of {2**halvings}, to be halved {halvings} times. Received: "
            f"input_shape={input_shape!r}. Pad the images, or give None for a side that may be any such"
            f"{halved_by and f', or fewer {halved_by}'}."
        )
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        faults.append(f"Expected seed to be an integer or None. Received: seed={seed!r}.")
    raise_faults(f"Invalid arguments for {family}:", faults)
    return keras.Input(shape, name="images")


def depth_faults(depth: int, rule: str, valid: Sequence[int]) -> list[str]:
    """Returns a fault that names the nearest valid depths if `depth` is not one of them.

    Args:
        depth: The depth given.
        rule: The valid depths in words, e.g. `"6n + 2"`.
        valid: The valid depths, ascending.
    """
    if isinstance(depth, int) and not isinstance(depth, bool) and depth in valid:
        return []
    fault = f"Expected a depth of the form {rule}. Received: depth={depth!r}."
    if isinstance(depth, int | float):
        close = sorted(sorted(valid, key=lambda candidate: abs(candidate - depth))[:2])
        fault += f" The nearest are {' and '.join(map(str, close))}."
    return [fault]


def fixed_side_faults(input_shape: InputShape) -> list[str]:
    """Returns a fault if a side is `None`, which a dense layer on pixels cannot read."""
    if not isinstance(input_shape, list | tuple) or None not in input_shape[:2]:
        return []
    return [
        "Expected fixed sides: a dense layer reads the pixels. "
        f"Received: input_shape={input_shape!r}. Give the height and the width, e.g. (28, 28, 1)."
    ]
