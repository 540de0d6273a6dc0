"""Arguments of factories: a factory by its name, and one sentence per fault before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kerasprune.errors import PruneError, fraction_faults, interval_faults, raise_faults
from kerasprune.registry import models

InputShape = Sequence[int | None]


def argument_faults(classes: int, input_shape: InputShape, seed: int | None, *, smallest_side: int = 1) -> list[str]:
    """Returns what is wrong with the three arguments that every factory takes.

    Args:
        classes: Number of logits.
        input_shape: `(height, width, channels)`; a side may be `None`, channels may not.
        seed: A whole number, or `None` for fresh weights.
        smallest_side: Shortest side, in pixels, that reaches the classifier. Defaults to 1.

    Returns:
        One sentence per fault.
    """
    faults = [fault for fault in [count_fault("classes", classes)] if fault]
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
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        faults.append(f"Expected seed to be a whole number or None. Received: seed={seed!r}.")
    return faults


def check(
    family: str,
    classes: int,
    input_shape: InputShape,
    seed: int | None,
    *more: str,
    smallest_side: int = 1,
) -> None:
    """Raises one `PruneError` with all faults of a factory's arguments; `more` are the family's own."""
    faults = [fault for fault in more if fault]
    faults += argument_faults(classes, input_shape, seed, smallest_side=smallest_side)
    raise_faults(f"The {family} cannot be built:", faults)


def choice_fault(argument: str, value: object, choices: Sequence[object]) -> str:
    """Returns a sentence that names the choices where `value` is none of them, else an empty string."""
    if value in choices and not isinstance(value, bool):
        return ""
    return f"Expected {argument} to be one of {', '.join(map(repr, choices))}. Received: {argument}={value!r}."


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


def count_fault(argument: str, value: int) -> str:
    """Returns a sentence where `value` is not a whole number of at least 1, else an empty string."""
    if _is_count(value):
        return ""
    return f"Expected {argument} to be a whole number of at least 1. Received: {argument}={value!r}."


def fraction_fault(argument: str, value: float) -> str:
    """Returns a sentence where `value` is not in (0, 1], else an empty string."""
    return "".join(fraction_faults(**{argument: value}))


def dropout_fault(value: float) -> str:
    """Returns a sentence where `value` is not in [0, 1), else an empty string."""
    return "".join(interval_faults("[0, 1)", "a fraction", dropout=value))


def fixed_side_fault(input_shape: InputShape) -> str:
    """Returns a sentence where a side is `None`, which a dense layer on pixels cannot have."""
    if isinstance(input_shape, list | tuple) and None in input_shape[:2]:
        return (
            "Expected fixed sides: a dense layer reads the pixels. "
            f"Received: input_shape={input_shape!r}. Give the height and the width, e.g. (28, 28, 1)."
        )
    return ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def get(identifier: str | dict[str, Any] | keras.Model) -> keras.Model:
    """Returns the model that `identifier` stands for.

    Args:
        identifier: A name, a `{"name": …, **arguments}` dict, or a model, which is returned as it is.

    Returns:
        A functional model.

    Raises:
        PruneError: The name is unknown, the arguments do not fit, or it is none of the three.

    Example:
        >>> get({"name": "resnet_cifar", "depth": 32, "classes": 100}).output.shape
        (None, 100)
    """
    if not isinstance(identifier, str | dict | keras.Model):
        raise PruneError(
            "Expected the name of a model, a dict with a 'name', or a keras.Model. "
            f"Received: model={identifier!r}. Known names: {', '.join(models.names())}."
        )
    return models.get(identifier)
