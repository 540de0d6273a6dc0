"""A user's own function that returns a `tf.data.Dataset`: `module:function`, or `FILE.py:function`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from kerasprune.backend.reader import tf
from kerasprune.data.arrays import arrays
from kerasprune.data.held_out import same_again
from kerasprune.data.splits import SPLIT_NAMES, SplitExamples
from kerasprune.errors import PruneError, in_own_code
from kerasprune.files.reading import import_code
from kerasprune.models.sets.lookup import own

COMPARED = 32  # elements that must be the same when they are read again
PARTS = 10  # of the examples of a function without splits: eight tenths train, one validates, one tests


def user_function(address: str) -> SplitExamples:
    """Returns the examples of a function.

    The function is called once per split with its name. A function without arguments returns all examples; the ninth
    and the tenth of every ten are for validation and test.

    Args:
        address: `module:function` or `FILE.py:function`; the module may be in the current folder.

    Raises:
        PruneError: The function cannot be imported. When a split is read: it returns no data set, or without an
            argument one whose order changes.
    """
    function = _function(address)
    try:
        takes_split = bool(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        takes_split = True
    called = cache(partial(_called, function, address))

    def make(split: str, batch: int, seed: int, scale: str) -> tf.data.Dataset:
        del batch, seed
        if scale != "none":
            raise PruneError(
                f"Expected the pixels of {address} at the scale that the model takes. Received: scale={scale!r}. "
                "Scale them in the function, and leave --scale out."
            )
        return called(*((split,) if takes_split else ()))

    return SplitExamples(address, SPLIT_NAMES, make, None if takes_split else _part)


def _function(address: str) -> Callable[..., Any]:
    module, _, name = address.rpartition(":")
    try:
        return getattr(import_code(module), name)
    except Exception as error:  # the code is the user's
        raise PruneError(
            "Expected 'module:function' or 'FILE.py:function' that can be imported. "
            f"Received: {address!r} ({type(error).__name__}: {error})."
        ) from error


def _called(function: Callable[..., Any], address: str, *arguments: str) -> tf.data.Dataset:
    try:
        data = function(*arguments)
    except Exception as error:  # the code is the user's
        raise PruneError(
            f"Expected {address} to return a tf.data.Dataset. Received: {in_own_code(error)}, when called with "
            f"{arguments}."
        ) from error
    if not isinstance(data, tf.data.Dataset):
        raise PruneError(f"Expected {address} to return a tf.data.Dataset. Received: {type(data).__name__}.")
    if not isinstance(data.element_spec, tuple):
        return data.map(lambda inputs: (inputs,))
    if len(data.element_spec) not in (1, 2, 3):
        raise PruneError(
            f"Expected elements (inputs, targets), or inputs alone, from {address}. Received: {data.element_spec}. "
            "If inputs are the targets, as in an autoencoder, give both."
        )
    if not arguments:
        _check_order(data, address)
    return data


def _check_order(data: tf.data.Dataset, address: str) -> None:
    """Raises if targets, or inputs alone, come in another order each time: training examples would be tested on."""
    if not same_again(data.map(lambda inputs, *beside: beside or (inputs,)), COMPARED):
        raise PruneError(
            f"Expected the same order from {address} each time, since its examples are divided by their places. "
            "Received: another order when read again. Leave .shuffle() out, or give it "
            "reshuffle_each_iteration=False and a seed; or take the name of the split as an argument."
        )


def _part(data: tf.data.Dataset, split: str) -> tf.data.Dataset:
    """Returns the examples of a split."""
    *train, validation, test = range(PARTS)
    places = tf.constant({"train": train, "validation": [validation], "test": [test]}[split], tf.int64)
    numbered = data.enumerate().filter(lambda n, _: tf.reduce_any(n % PARTS == places))
    return numbered.map(lambda _, example: example)


def split_examples(name: str) -> SplitExamples:
    """Returns the examples of a `.npz` or `.npy` file, or of a function `module:function` or `FILE.py:function`.

    Args:
        name: The path or the address. An address imports that code.

    Raises:
        PruneError: The file or function is missing or unsuitable.
    """
    if own(name) == "function":
        return user_function(name)
    return arrays(Path(name).expanduser())
