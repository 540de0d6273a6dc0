"""The arguments of `synthesise` that are about inputs: read into `InputDraw`, and their faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerasprune._keras import inner_layers, maker
from kerasprune.checks import is_number
from kerasprune.data.signature import inputs_of
from kerasprune.errors import Key, PruneError, nearest, short
from kerasprune.graph.sizes import Size, shape_at
from kerasprune.repair.synthesis.inputs import IMAGE, InputDraw, takes_numbers
from kerasprune.repair.synthesis.noise import Noise
from kerasprune.repair.synthesis.value_range import STANDARD, UNBOUNDED, ValueRange, declared_range
from kerasprune.surgery.random_inputs import looked_up


def drawn_inputs(body: keras.Model, size: Size | None, value_range: Any, frequencies: Any) -> list[InputDraw]:
    """Returns the inputs of a model; the range of images that declare none stays open."""
    specs = inputs_of(body).inputs
    given = value_range if isinstance(value_range, Mapping) else {spec.name: value_range for spec in specs}
    found = []
    for spec, tensor, entries in zip(specs, body.inputs, looked_up(body), strict=True):
        shape = shape_at(maker(tensor).name, spec.shape, size)
        shares = None if frequencies is None else np.asarray(frequencies)
        shares = shares if shares is not None and shares.shape == (entries.table,) else None
        noise, is_open = None, False
        if takes_numbers(shape, spec.dtype, entries):
            pair = given.get(spec.name)
            own = ValueRange.between(*pair) if _is_pair(pair) else declared_range(body, tensor)
            is_open = own is None and len(shape) == IMAGE
            noise = Noise(shape, own or (STANDARD if is_open else UNBOUNDED), channels_first=_channels_first(body))
        found.append(InputDraw(spec.name, shape, spec.dtype, entries, noise, is_open, shares))
    return found


def _channels_first(body: keras.Model) -> bool:
    """Returns whether the first layer of a model that has to do with sides takes channels first."""
    formats = (getattr(layer, "data_format", None) for layer in inner_layers(body))
    return next(filter(None, formats), None) == "channels_first"


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(map(is_number, value)) and value[0] < value[1]


def argument_faults(inputs: Sequence[InputDraw], value_range: Any, frequencies: Any) -> list[str | PruneError]:
    """Returns the faults of the arguments that are about the inputs."""
    return [
        *_input_faults(inputs),
        *_range_faults(inputs, value_range),
        *_frequency_faults(inputs, frequencies),
    ]


def _input_faults(inputs: Sequence[InputDraw]) -> list[str | PruneError]:
    faults: list[str | PruneError] = [
        PruneError(
            f"Expected inputs of numbers. Received: texts for {each.name!r}. Give real examples: ", Key("data"), "."
        )
        for each in inputs
        if each.dtype == "string"
    ]
    free = [each.name for each in inputs if None in each.shape]
    if free:
        named = ", ".join(map(repr, free))
        faults.append(PruneError("Expected ", Key("size"), f", the size of the free axes of {named}."))
    return faults


def _range_faults(inputs: Sequence[InputDraw], given: Any) -> list[str]:
    names = [each.name for each in inputs]
    pairs = given if isinstance(given, Mapping) else {"value_range": given} if given is not None else {}
    faults = [f"Expected an input. Received: value_range for {name!r}.{nearest(name, names)}" for name in pairs
              if isinstance(given, Mapping) and name not in names]  # fmt: skip
    return faults + [
        f"Expected value_range=(lowest, highest). Received: {short(pair)}."
        for pair in pairs.values()
        if not _is_pair(pair)
    ]


def _frequency_faults(inputs: Sequence[InputDraw], frequencies: Any) -> list[str]:
    if frequencies is None:
        return []
    shares = np.asarray(frequencies)
    if (
        shares.dtype.kind not in "iuf"
        or shares.ndim != 1
        or not np.isfinite(shares).all()
        or (shares < 0).any()
        or not shares.any()
    ):
        return [f"Expected frequencies to be numbers ≥ 0, one for each token. Received: {short(frequencies)}."]
    if all(each.frequencies is None for each in inputs):
        tables = sorted({each.entries.table for each in inputs if each.entries.table})
        return [f"Expected as many frequencies as a table has entries, {tables}. Received: {len(shares)}."]
    return []
