"""A user's own examples, with any inputs and targets, in batches by split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kerasprune.backend.reader import tf
from kerasprune.data.refusals import check_ends, check_found
from kerasprune.data.signature import Signature, specs_of
from kerasprune.errors import PruneError, nearest, raise_faults

Counts = dict[tuple[str, int], int]
SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class SplitExamples:
    """A user's own examples by split.

    Args:
        name: Their source.
        splits: The names of the splits.
        make: Maps a split, a batch size, a seed and a scale to batches `(inputs, targets)`, or to single examples,
            which `batches_for_model` batches.
        divide: Selects a split of single examples if `make` returns all examples. Defaults to `None`.
        scales: Common scales of models for these pixels, to try. Defaults to none.
        arrays: Whether they are the arrays of a file, all of which must be used. Defaults to `False`.
        counts: Numbers of batches counted so far: `{(source, examples per batch): number}`.
    """

    name: str
    splits: Sequence[str]
    make: Callable[[str, int, int, str], tf.data.Dataset]
    divide: Callable[[tf.data.Dataset, str], tf.data.Dataset] | None = None
    scales: Sequence[str] = ()
    arrays: bool = False
    counts: Counts = field(default_factory=dict, init=False, repr=False, compare=False)

    def batches(self, split: str, batch: int, seed: int, scale: str, inputs: Sequence[Any]) -> tf.data.Dataset:
        """Returns a split in batches that fit the inputs of a model.

        Args:
            split: Name of the split.
            batch: Examples per batch, unless they come in batches.
            seed: Determines the order of the training split.
            scale: The scale of pixels, see `kerasprune.data.scaling`.
            inputs: The input tensors of the model.

        Raises:
            PruneError: The split is unknown, or the examples do not fit the inputs.
        """
        if split not in self.splits:
            raise PruneError(
                f"Expected one of the splits of {self.name}: {', '.join(self.splits)}. Received: {split!r}."
                f"{nearest(split, self.splits)}"
            )
        whole = self.name if self.divide is not None else f"{split} of {self.name}"
        made = self.make(split, batch, seed, scale)
        self._check_names(made.element_spec, Signature(specs_of(inputs), None))
        data = batches_for_model(made, inputs, batch, whole, self.counts)
        if self.divide is None:
            return data
        return batches_for_model(
            self.divide(data.unbatch(), split), inputs, batch, f"{split} of {self.name}", self.counts
        )

    def _check_names(self, spec: Any, signature: Signature) -> None:
        """Raises if arrays or labels would not be used because of their names."""
        unread, names = signature.unread(spec[0]), [each.name for each in signature.inputs]
        if self.arrays and unread:
            unread = [each for each in unread if each != "x" or len(names) > 1] or unread
            wanted = ", ".join(f"{name}=…" for name in (["x"] if len(names) == 1 else names))
            raise PruneError(
                f"Expected {'x for the input' if len(names) == 1 else 'an array for every input'} of the model, "
                f"{', '.join(map(repr, names))}, and y for the labels. Received: {self.name} with "
                f"{', '.join(spec[0])}; {', '.join(unread)} would not be used. Name them so: "
                f"np.savez(path, {wanted}, y=…). For several outputs y_<name of the output>=… stands in place of y."
            )
        if len(spec) == 1:
            signature.check_no_labels(spec[0])


def batches_for_model(
    data: tf.data.Dataset, inputs: Sequence[Any], batch: int, name: str, counts: Counts | None = None
) -> tf.data.Dataset:
    """Returns examples in batches of the shapes that a model takes.

    Single examples are batched, a missing channel axis of size 1 is added, and an unknown number of batches is counted.

    Args:
        data: Examples or batches `(inputs, targets)`, optionally with sample weights.
        inputs: The input tensors of the model.
        batch: Examples per batch.
        name: Their source, for messages.
        counts: Numbers of batches counted so far; a new one is added. Defaults to none.

    Raises:
        PruneError: The examples do not fit, or are endless.
    """
    signature = Signature(specs_of(inputs), None)
    missing = _missing_rank(data.element_spec[0], signature)
    if "batch" in missing:
        data = data.batch(batch)
    if "channel" in missing:
        data = data.map(lambda x, *rest: (tf.nest.map_structure(lambda each: each[..., None], x), *rest))
    found = zip(signature.inputs, signature.flatten(data.element_spec[0]), strict=True)
    faults = [
        each for wanted, spec in found if spec.shape.rank is not None for each in wanted.shape_faults(tuple(spec.shape))
    ]
    raise_faults(f"Invalid inputs for the model in {name}:", faults)
    check_ends(data, name)
    steps = data.cardinality()
    if steps == tf.data.UNKNOWN_CARDINALITY:
        counts, key = {} if counts is None else counts, (name, batch)
        if key not in counts:
            counts[key] = int(data.reduce(tf.constant(0, tf.int64), lambda n, *_: n + 1))
        data = data.apply(tf.data.experimental.assert_cardinality(counts[key]))
    check_found(len(data), name)
    return data.prefetch(tf.data.AUTOTUNE)


def _missing_rank(spec: Any, signature: Signature) -> set[str]:
    """Returns which of the axes `batch` and `channel` the examples lack."""
    first, wanted = signature.flatten(spec)[0].shape, (None, *signature.inputs[0].shape)
    if first.rank is None or first.rank == len(wanted):
        return set()
    grey = wanted[-1] == 1 and len(wanted) > 2 and first[-1] != 1
    if first.rank == len(wanted) - 1:
        # (height, width) in batches lacks its channel; (height, width, 1) alone lacks its batch.
        in_batches = grey and tuple(first[1:]) == tuple(wanted[1:-1])
        return {"channel"} if in_batches else {"batch"}
    return {"batch", "channel"} if first.rank == len(wanted) - 2 and grey else set()
