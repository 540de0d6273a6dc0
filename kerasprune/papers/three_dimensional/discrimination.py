"""Discrimination of blocks (DBP): the gain in accuracy of a linear classifier from a block's input to its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from kerasprune.checks import choice_faults, interval_faults, whole_number_faults
from kerasprune.data.batches import every_batch, example_batches
from kerasprune.data.refusals import check_found
from kerasprune.errors import PruneError, extras, raise_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.papers.three_dimensional.block_criterion import BlockCriterion
from kerasprune.papers.three_dimensional.block_ends import ends_of_blocks
from kerasprune.repair.reconstruction.program import Program, ProgramRun, Value

CLASSIFIERS = ("logistic", "ridge")
SAMPLES = 4096


@dataclass(frozen=True)
class Discrimination(BlockCriterion):
    """Accuracy that a block adds, by linear classifiers on the features before and after it.

    `score(block) = accuracy(output) − accuracy(input)`.

    Both tensors are averaged over their positions. A linear classifier is fitted to these features on some of the data
    and tested on `evaluation`, as in the paper, or else on a held-out part of the data. The output of a residual block
    is taken after the activation that follows the sum. The input of a block is the output of the preceding block or
    layer. All features are computed in one pass. Sample weights are not used.

    Args:
        classifier: `"logistic"` (multinomial, L2) or `"ridge"` (least squares on ±1, far quicker), on standardised
            features. Defaults to `"logistic"`.
        samples: Number of samples used, from the start of the data. Defaults to 4096.
        samples_per_class: Instead of `samples`: the number used of each class. Defaults to `None`.
        held_out: Fraction of the samples for testing, if `evaluation` is `None`. Defaults to 0.3.
        evaluation: Batches of `(inputs, labels)` for testing, such as the validation split; as many samples of them are
            used. Defaults to `None`.


    Example:
        >>> import kerasprune as kp
        >>> criterion = Discrimination(classifier="ridge", samples_per_class=50)

    Reference:
        Wang et al., DBP: Discrimination Based Block-Level Pruning, arXiv 1912.10178.
    """

    classifier: str = "logistic"
    samples: int | None = None
    samples_per_class: int | None = None
    held_out: float = 0.3
    evaluation: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        faults = [
            *choice_faults(CLASSIFIERS, classifier=self.classifier),
            *interval_faults("(0, 1)", "a fraction", held_out=self.held_out),
        ]
        for least, name in ((10, "samples"), (1, "samples_per_class")):
            if getattr(self, name) is not None:
                faults += whole_number_faults(least, **{name: getattr(self, name)})
        if self.samples is not None and self.samples_per_class is not None:
            faults.append(
                "Expected either samples or samples_per_class. "
                f"Received: samples={self.samples}, samples_per_class={self.samples_per_class}."
            )
        raise_faults("Invalid arguments for Discrimination:", faults)

    def judged_on(self, data: Any) -> Discrimination:
        """Returns the criterion with these batches for the accuracy, unless it has some of its own."""
        return self if data is None or self.evaluation is not None else replace(self, evaluation=data)

    @extras("the criterion of blocks 'discrimination'")
    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> dict[str, float]:
        """Returns the gain in accuracy of every block.

        Raises:
            PruneError: No data are given, or their batches are not `(inputs, labels)`.
        """
        if data is None:
            raise PruneError("Expected batches of (inputs, labels) to classify. Received: data=None. Pass data=.")
        program, ends, places = ends_of_blocks(graph)
        limit = _SampleLimit(self.samples or SAMPLES, self.samples_per_class, graph.model.output_shape)
        fitted = _read(graph.model, program, places, data, limit)
        if self.evaluation is not None:
            tested = _read(graph.model, program, places, self.evaluation, limit)
        else:
            order = np.random.default_rng(seed).permutation(len(fitted[0]))
            which, rest = np.split(order, [max(1, round(self.held_out * len(order)))])
            fitted, tested = [part[rest] for part in fitted], [part[which] for part in fitted]
        (labels, *seen), (answers, *unseen) = fitted, tested
        features = zip(places, seen, unseen, strict=True)
        accuracy = {place: self._accuracy(x, labels, z, answers) for place, x, z in features}
        return {name: accuracy[after] - accuracy[before] for name, (before, after) in ends.items()}

    def _accuracy(self, seen: np.ndarray, labels: np.ndarray, unseen: np.ndarray, answers: np.ndarray) -> float:
        from sklearn.linear_model import LogisticRegression, RidgeClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        linear = RidgeClassifier() if self.classifier == "ridge" else LogisticRegression(max_iter=1000)
        fit = make_pipeline(StandardScaler(), linear).fit(seen, labels)
        return float((fit.predict(unseen) == answers).mean())


@dataclass(frozen=True)
class _SampleLimit:
    """The samples that are read: the first ones, or the first ones of each class."""

    number: int
    per_class: int | None
    outputs: Any

    def taken(self, labels: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Returns the indices of the samples of a batch that are read, given the labels read before."""
        if self.per_class is None:
            return np.arange(min(len(labels), self.number - len(before)))
        rank = [int((labels[:i] == label).sum() + (before == label).sum()) for i, label in enumerate(labels)]
        return np.flatnonzero(np.array(rank) < self.per_class)

    def met(self, labels: np.ndarray) -> bool:
        """Returns whether all samples have been read: those of every class of the model."""
        if self.per_class is None:
            return len(labels) >= self.number
        classes = self.outputs[-1] if isinstance(self.outputs, tuple) and len(self.outputs) == 2 else None
        return classes is not None and len(labels) >= classes * self.per_class


def _pooled(tensor: Any, channels: int) -> np.ndarray:
    positions = tuple(axis for axis in range(1, len(tensor.shape)) if axis != channels)
    return keras.ops.convert_to_numpy(keras.ops.mean(tensor, axis=positions) if positions else tensor)


def _classes(answers: Any) -> np.ndarray:
    """Returns the class of every sample, of labels or one-hot ones."""
    given = [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(answers)]
    found = [each.argmax(axis=-1) if each.ndim > 1 and each.shape[-1] > 1 else each.ravel() for each in given]
    if len(found) != 1:
        received = f"labels of {len(found)} outputs"
    elif found[0].shape != given[0].shape[:1]:
        received = f"labels of shape {given[0].shape}"
    elif found[0].dtype.kind == "f" and (found[0] % 1).any():
        received = "numbers instead of classes"
    else:
        return found[0]
    raise PruneError(
        f"Expected one class for each sample. Received: {received}. Give such labels, or take another criterion of "
        "blocks, e.g. 'random'."
    )


def _read(
    model: keras.Model, program: Program, places: Mapping[Value, int], data: Any, limit: _SampleLimit
) -> list[np.ndarray]:
    """Returns the labels of the samples, then their features at every place, given with its channel axis."""
    parts, found = [], np.zeros(0)
    for inputs, answers, _ in every_batch(data, model):
        labels = _classes(answers)
        taken = limit.taken(labels, found)
        if len(taken):
            run = ProgramRun(program, example_batches(model, [(inputs, answers)], len(labels)))
            pooled = [list(map(_pooled, tensors, places.values())) for tensors in run.batches(*places)]
            parts.append([np.concatenate(each)[taken] for each in zip(*pooled, strict=True)])
            found = np.concatenate([found, labels[taken]])
        if limit.met(found):
            break
    check_found(len(found))
    if len(np.unique(found)) < 2:
        raise PruneError(
            f"Expected samples of several classes. Received: {len(found)} samples, of one class at most. "
            "Give data with more classes, or more samples."
        )
    return [found, *(np.concatenate(one).reshape(len(found), -1) for one in zip(*parts, strict=True))]
