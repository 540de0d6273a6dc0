"""A user's examples in any form that `fit` takes and that can be read repeatedly."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import keras
import numpy as np

from kerasprune.backend.devices import multiple_of_replicas
from kerasprune.data.arrays_or_batches import (
    batch_parts,
    batches_of,
    is_array,
    is_stored,
    row_count,
    rows_of,
    whole,
)
from kerasprune.data.batches import Batches, example_batches, free_size
from kerasprune.data.refusals import beside_faults, check_again, check_arrays, check_found, weight_faults
from kerasprune.data.stored_rows import StoredRows
from kerasprune.defaults import BATCH
from kerasprune.errors import PruneError, raise_faults, short
from kerasprune.graph.built_model import body_of
from kerasprune.graph.sizes import Size
from kerasprune.graph.walk import has_free_axes


class Examples:
    """Examples in any form that `fit` takes and that can be read repeatedly.

    Args:
        data: Arrays, or tables of pandas, `(inputs, labels, …)` or inputs; or batches of these. Arrays that lie in
            files are read batch by batch.
        batch: Examples per batch, of arrays; rounded up to a multiple of the devices that share it. Defaults to 128.
        inputs: Number of inputs of the model: as many arrays are inputs alone. Defaults to 1.
        fixed: Examples per batch that the model fixes, in place of `batch`; of arrays the remainder is left out.
            Defaults to `None`.

    Raises:
        PruneError: The data can be read only once, are endless, are lists of numbers or of batches, or differ in
            length.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> examples = Examples((np.ones((80, 2)), np.ones((80, 1))))
        >>> examples.labelled, examples.steps(), [len(inputs) for (inputs,) in examples.first(model, 40)]
        (True, 1, [40])
    """

    def __init__(self, data: Any, batch: int = BATCH, inputs: int = 1, fixed: int | None = None) -> None:
        check_again(data)
        if isinstance(data, list) and not all(map(is_array, data)):
            raise PruneError(
                "Expected data in a form that fit takes: arrays (x, y), or a data set. Received: a list of other "
                "things. Concatenate its batches, or make a tf.data.Dataset or a keras.utils.PyDataset of them."
            )
        self.arrays = isinstance(data, tuple | list | Mapping) or is_array(data)
        if self.arrays:
            check_found(len(keras.tree.flatten(data)))
        self.data = _fitting(_with_parts(data, inputs)) if self.arrays else data
        self.fixed, self.batch = fixed, fixed or multiple_of_replicas(batch)
        number = row_count(self.data) if self.arrays else 0
        if self.arrays and fixed and number < fixed:
            raise PruneError(
                f"Expected at least {fixed} examples, the batch of the model. Received: {number}. Give more."
            )
        used = number - number % (fixed or 1)
        if self.arrays and any(map(is_stored, keras.tree.flatten(self.data))):
            self.arrays, self.data = False, StoredRows(self.data, self.batch, np.arange(used))
        elif used < number:
            self.data = rows_of(self.data, slice(used))

    @property
    def reorders(self) -> bool:
        """Whether `fit` may shuffle them; a data set determines its own order."""
        return self.arrays or isinstance(self.data, keras.utils.PyDataset) and not isinstance(self.data, StoredRows)

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        if self.arrays:
            return len(_parts(self.data)) > 1
        return len(self._first) > 1

    @property
    def labels(self) -> Any:
        """The labels: all of arrays, or those of the first batch."""
        return (self.data if self.arrays else self._first)[1]

    @property
    def inputs(self) -> Any:
        """The inputs of arrays; otherwise the batches."""
        return _parts(self.data)[0] if self.arrays else self.data

    @property
    def first_inputs(self) -> Any:
        """The inputs of arrays, or of the first batch; `None` without batches."""
        return next(iter(_parts(self.data) if self.arrays else self._first), None)

    def spread(self, model: keras.Model, samples: int) -> Batches:
        """Returns examples without labels: of arrays, which may be sorted by class, from everywhere; else the first."""
        if not self.arrays or self.fixed or row_count(self.data) <= samples:
            return self.first(model, samples)
        rows = np.linspace(0, row_count(self.data) - 1, samples).astype(int)
        return example_batches(model, rows_of(self.inputs, rows), samples)

    def first(self, model: keras.Model, samples: int) -> Batches:
        """Returns the first examples, without labels: see `example_batches`."""
        return example_batches(model, self.inputs, samples)

    def free_size(self, model: keras.Model) -> Size | None:
        """Returns the size that they have along the axes that a model leaves free; `None` without any."""
        body = body_of(model)
        return free_size(body, [each.shape for each in self.first(model, 1)[0]]) if has_free_axes(body) else None

    def batches(self) -> Any:
        """Returns the batches `(inputs, labels)`, or inputs: a list for arrays, otherwise the data set."""
        if not self.arrays:
            return self.data
        starts = range(0, row_count(self.data), self.batch)
        return [rows_of(self.data, slice(start, start + self.batch)) for start in starts]

    def fit_arguments(self) -> dict[str, Any]:
        """Returns the arguments of `fit` and `evaluate`."""
        if not self.arrays:
            return {"x": self._for_keras}
        named = zip(("x", "y", "sample_weight"), _parts(self.data), strict=False)
        return {**dict(named), "batch_size": self.batch}

    def validation_arguments(self) -> dict[str, Any]:
        """Returns the arguments of `fit` that validate on these examples."""
        return {"validation_data": self._for_keras, **({"validation_batch_size": self.batch} if self.arrays else {})}

    def steps(self) -> int:
        """Returns the number of batches."""
        batches = self.batches()
        if isinstance(batches, keras.utils.PyDataset):
            return batches.num_batches
        try:
            return len(batches)
        except TypeError:  # a set of unknown length
            return sum(1 for _ in batches)

    def count(self) -> tuple[int, str]:
        """Returns the number of examples in arrays, of batches in a data set, and the word for them."""
        if isinstance(self.data, StoredRows):
            return len(self.data.rows), "examples"
        return (row_count(self.data), "examples") if self.arrays else (self.steps(), "batches")

    @cached_property
    def _for_keras(self) -> Any:
        """The data in a form that Keras takes: it knows no other iterables than those of these packages."""
        packages = {kind.__module__.partition(".")[0] for kind in type(self.data).__mro__}
        known = self.arrays or packages & {"keras", "tensorflow", "torch"}
        return self.data if known else _InTurn(self.data, self.steps())

    @cached_property
    def _first(self) -> tuple:
        """The parts of the first batch, read once, since a data set may shuffle; none without batches."""
        return next(map(batch_parts, batches_of(self.batches())), ())


class _InTurn(keras.utils.PyDataset):
    """The batches of an iterable in its own order, whatever numbers are asked for."""

    def __init__(self, batches: Any, number: int) -> None:
        super().__init__()
        self._batches, self._number, self._left = batches, number, iter(())

    def __len__(self) -> int:
        return self._number

    def __getitem__(self, index: int) -> tuple:
        batch = next(self._left, None)
        if batch is None:
            self._left = iter(self._batches)
            batch = next(self._left)
        return batch_parts(batch)


def _with_parts(data: Any, inputs: int) -> Any:
    """Returns arrays as `(inputs, labels, …)` or inputs, without missing labels."""
    if isinstance(data, list) and len(data) != inputs:
        raise PruneError(
            f"Expected a list of as many arrays as the model has inputs, {inputs}. Received: {len(data)} arrays. Give "
            "labels as data=(x, y), a tuple, and examples one by one as numpy.stack(x)."
        )
    while isinstance(data, tuple) and len(data) > 1 and data[-1] is None:
        data = data[:-1]
    if isinstance(data, tuple) and len(data) > 2 and data[1] is None:
        raise PruneError("Expected labels with sample weights. Received: data=(x, None, sample_weight). Give data=x.")
    found = whole(data, inputs) if isinstance(data, tuple | list) else None
    return data if found is None else found


def _fitting(data: Any) -> Any:
    """Returns arrays as `fit` takes them: tables as arrays, texts as a tensor."""
    check_arrays(keras.tree.flatten(data))
    data = keras.tree.map_structure(_fitting_array, data, none_is_leaf=False)
    for weights in keras.tree.flatten(_parts(data)[2:]):
        raise_faults("Invalid data:", weight_faults(weights))
    shapes = [[x.shape for x in keras.tree.flatten(part) if x is not None] for part in _parts(data)]
    check_found(min((shape[0] for shape in shapes[0] if shape), default=1))
    raise_faults("Invalid data:", beside_faults(*shapes))
    return data


def _fitting_array(x: Any) -> Any:
    x = np.asarray(x) if type(x).__module__.split(".")[0] == "pandas" else x
    if isinstance(x, np.ndarray) and x.dtype.kind == "O" and not all(isinstance(each, str | bytes) for each in x.flat):
        raise PruneError(
            f"Expected arrays of numbers or texts. Received: an array of objects such as {short(x.flat[0])}. Convert "
            "it with astype('float32'), or astype(str)."
        )
    return keras.ops.convert_to_tensor(x) if isinstance(x, np.ndarray) and x.dtype.kind in "OUS" else x


def _parts(data: Any) -> tuple:
    return data if isinstance(data, tuple) else (data,)


def inputs_only(batches: Any) -> Any:
    """Returns the inputs of batches, without their targets."""
    return batches.map(lambda inputs, *_: inputs)


def labelled(batches: Any) -> bool:
    """Returns whether batches hold targets besides inputs."""
    return isinstance(batches.element_spec, tuple) and len(batches.element_spec) > 1
