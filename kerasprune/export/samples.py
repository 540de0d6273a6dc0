"""The inputs an export is checked on: the caller's data, or seeded random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import keras
import numpy as np

from kerasprune.data.signature import InputSpec, Signature
from kerasprune.errors import PruneError, raise_faults

BATCH = 128  # samples of an array in one batch
RANDOM_SAMPLES = 16
FREE_SIDE = 96  # of random inputs: divisible by 32, and enough for the deepest strides of known classifiers

Batch = list[np.ndarray]


@dataclass(frozen=True)
class Samples:
    """Batches of flat inputs that can be read again and again.

    Args:
        batches: Returns a new iterator over batches; one batch is one array for each input, `(batch, …)`.
        source: Whether they are the caller's `"data"` or `"random"` numbers.
    """

    batches: Callable[[], Iterator[Batch]]
    source: Literal["data", "random"]

    def first(self) -> Batch:
        """Returns the first batch.

        Raises:
            PruneError: There is none.
        """
        for batch in self.batches():
            if len(batch[0]):
                return batch
        raise PruneError("Expected at least one sample. Received: empty data.")

    def singles(self, count: int | None = None) -> Iterator[Batch]:
        """Yields the first `count` samples one by one, with a batch axis of 1. `None` yields all."""
        each = ([array[i : i + 1] for array in batch] for batch in self.batches() for i in range(len(batch[0])))
        return islice(each, count)


def samples_of(signature: Signature, data: Any = None, *, seed: int = 0) -> Samples:
    """Returns the caller's data as batches of flat inputs, or random numbers where there is none.

    Args:
        signature: The inputs of the model.
        data: An array `(samples, …)`; a tuple or dict of them for several inputs; or a batched
            `tf.data.Dataset` whose elements are inputs or `(inputs, labels, …)`. Defaults to `None`: standard
            normal numbers (0 and 1 where the type is an integer or boolean).
        seed: Seed of the random numbers. Defaults to 0.

    Returns:
        The samples, in the types the model takes.

    Raises:
        PruneError: The data do not fit the inputs, are endless, or can be read only once.
    """
    if data is None:
        arrays = [_random(spec, np.random.default_rng([seed, i])) for i, spec in enumerate(signature.inputs)]
        return Samples(lambda: iter([arrays]), "random")
    if _is_dataset(data):
        return Samples(lambda: (_fitted(signature, _inputs(element)) for element in data), "data")
    if isinstance(data, Iterator):
        raise PruneError(
            f"Expected data that can be read twice. Received: data={type(data).__name__}, which is used up "
            "by the first reading. Pass an array or a tf.data.Dataset."
        )
    arrays = _fitted(signature, data)
    starts = range(0, len(arrays[0]), BATCH)
    return Samples(lambda: ([array[s : s + BATCH] for array in arrays] for s in starts), "data")


def first_inputs(data: Any) -> Any:
    """Returns the nest of inputs that data hold: of a dataset, of its first batch."""
    if data is None or not _is_dataset(data):
        return data
    for element in data:
        return _inputs(element)
    raise PruneError("Expected at least one batch. Received: an empty dataset.")


def _is_dataset(data: Any) -> bool:
    import tensorflow as tf

    if not isinstance(data, tf.data.Dataset):
        return False
    if data.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise PruneError("Expected data with an end. Received: a dataset that repeats forever. Pass data.take(10).")
    return True


def _inputs(element: Any) -> Any:
    """Returns the inputs of `(inputs, labels, …)`, the convention of `fit`."""
    return element[0] if isinstance(element, tuple) else element


def _fitted(signature: Signature, nest: Any) -> Batch:
    """Returns the flat inputs of one nest as arrays of the right types and shapes."""
    arrays = [np.asarray(array) for array in signature.flatten(nest)]
    faults = [fault for spec, array in zip(signature.inputs, arrays, strict=True) for fault in spec.faults(array)]
    if not faults and len({len(array) for array in arrays}) > 1:
        received = {spec.name: len(array) for spec, array in zip(signature.inputs, arrays, strict=True)}
        faults.append(f"Expected the same number of samples for every input. Received: {received}.")
    raise_faults("The data do not fit the model:", faults)
    return [spec.cast(array) for spec, array in zip(signature.inputs, arrays, strict=True)]


def _random(spec: InputSpec, generator: np.random.Generator) -> np.ndarray:
    shape = (RANDOM_SAMPLES, *(FREE_SIDE if side is None else side for side in spec.shape))
    if keras.backend.is_float_dtype(spec.dtype):
        return generator.standard_normal(shape).astype(spec.dtype)
    if "int" in spec.dtype or spec.dtype == "bool":
        return generator.integers(0, 2, shape).astype(spec.dtype)
    raise PruneError(f"There are no random {spec.dtype} inputs. Received: data=None for {spec.name!r}. Pass data=.")
