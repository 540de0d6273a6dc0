"""The inputs an export is checked on: the caller's data, or seeded random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import keras
import numpy as np

from kerasprune.data.arrays_or_batches import batch_parts, batches_of, is_array, whole
from kerasprune.data.batches import FlatInputs, flat_inputs, uncut_rows
from kerasprune.data.refusals import check_again, check_found
from kerasprune.data.signature import InputSpec, Signature
from kerasprune.errors import PruneError
from kerasprune.graph.built_model import body_of
from kerasprune.graph.sizes import Size, shapes_at_size
from kerasprune.graph.trace import size_to_try

BATCH = 128  # samples of an array in one batch
RANDOM_SAMPLES = 16


@dataclass(frozen=True)
class Samples:
    """Batches of flat inputs that can be read again and again.

    Args:
        batches: Returns a new iterator over batches; one batch is one array for each input, `(batch, …)`.
        source: Whether they are the caller's `"data"` or `"random"` numbers.
    """

    batches: Callable[[], Iterator[FlatInputs]]
    source: Literal["data", "random"]

    def first(self) -> FlatInputs:
        """Returns the first batch.

        Raises:
            PruneError: The data are empty.
        """
        found = next((batch for batch in self.batches() if len(batch[0])), None)
        check_found(found is not None)
        return found

    def singles(self, count: int | None = None) -> Iterator[FlatInputs]:
        """Yields the first `count` samples one by one, with a batch axis of 1. `None` yields all."""
        each = ([array[i : i + 1] for array in batch] for batch in self.batches() for i in range(len(batch[0])))
        return islice(each, count)

    def arrays(self, count: int) -> FlatInputs:
        """Returns the first `count` samples as one batch."""
        return [np.concatenate(column) for column in zip(*self.singles(count), strict=True)]


def samples_of(signature: Signature, data: Any = None, *, seed: int = 0, at_once: int = BATCH) -> Samples:
    """Returns the caller's data as batches of flat inputs, or random numbers without data.

    Args:
        signature: The inputs of the model.
        data: In any form that `fit` takes: arrays `(samples, …)`, as a tuple or dict for several inputs; or batches
            that can be read again, such as a `tf.data.Dataset`. Labels are ignored. Defaults to `None`: standard normal
            numbers (0 and 1 for integers and booleans, the first of several 1).
        seed: Seed of the random numbers. Defaults to 0.
        at_once: Rows of whole arrays in a batch. Defaults to 128.

    Returns:
        The samples, in the types the model takes.

    Raises:
        PruneError: The data do not fit the inputs, are endless, or can be read only once.
    """
    if data is None:
        arrays = [_random(spec, np.random.default_rng([seed, i])) for i, spec in enumerate(signature.inputs)]
        return Samples(lambda: iter([arrays]), "random")
    check_again(data)
    found = Samples(lambda: flat_inputs(signature, data, at_once), "data")
    if whole(data, len(signature.inputs)) is not None:
        for _ in found.batches():  # faults of arrays are told before anything is made
            pass
    return found


def samples_for(model: keras.Model, signature: Signature, data: Any = None, size: Size | None = None) -> Samples:
    """Returns `samples_of` the inputs of a model; random ones have a size, or one that the model takes."""
    if data is None:
        signature = signature.static(shapes_at_size(body_of(model), size_to_try(model, size)))
    rows = uncut_rows(model, None if data is None else whole(data, len(signature.inputs)), BATCH)
    return samples_of(signature, data, at_once=rows or BATCH)


def first_inputs(data: Any) -> Any:
    """Returns the nest of inputs in data, in the first of batches, as a subclassed model takes it."""
    if data is None or is_array(data) or isinstance(data, tuple | list | Mapping):
        return data
    check_again(data)
    batch = next(iter(batches_of(data)), None)
    check_found(batch is not None)
    return batch_parts(batch)[0]


def _random(spec: InputSpec, generator: np.random.Generator) -> np.ndarray:
    shape = (RANDOM_SAMPLES, *spec.shape)
    if keras.backend.is_float_dtype(spec.dtype):
        return generator.standard_normal(shape).astype(spec.dtype)
    if "int" in spec.dtype or spec.dtype == "bool":
        drawn = generator.integers(0, 2, shape)
        drawn[(slice(None), *[slice(1)] * (drawn.ndim - 1))] |= drawn.size > len(drawn)  # none is all padding
        return drawn.astype(spec.dtype)
    raise PruneError(f"There are no random {spec.dtype} inputs. Received: data=None for {spec.name!r}. Pass data=.")
