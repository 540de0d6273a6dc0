"""Discrimination of blocks (DBP): how much better a linear classifier reads a block's output than its input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune.criteria.blocks.base import BlockCriterion, blocks_of
from kerasprune.errors import PruneError, choice_faults, extras, interval_faults, raise_faults, whole_number_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.walk import functional, walk
from kerasprune.graph.wiring import Wiring
from kerasprune.surgery.copy_layer import make_layer

CLASSIFIERS = ("logistic", "ridge")
_ACTIVATIONS = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)


@dataclass(frozen=True)
class Discrimination(BlockCriterion):
    """`score(block) = accuracy(what comes out) − accuracy(what goes in)` of linear classifiers.

    Both tensors are averaged over their positions, and a linear classifier is fitted on these features of some samples
    and tested on others. What comes out of a residual block is taken behind the activation that follows the sum, as
    what goes in is. What goes into a block is what the preceding block, or layer, put out. All features are computed
    in one pass. Sample weights in the data are not used.

    Args:
        classifier: `"logistic"` (multinomial, L2) or `"ridge"` (least squares on ±1, far quicker), on standardised
            features. Defaults to `"logistic"`.
        samples: Number of samples that are read. Defaults to 4096.
        held_out: Fraction of them on which accuracy is taken. Defaults to 0.3.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> import kerasprune as kp
        >>> criterion = Discrimination(classifier="ridge", samples=2048)

    Reference:
        Wang et al., DBP: Discrimination Based Block-Level Pruning, arXiv 1912.10178.
    """

    classifier: str = "logistic"
    samples: int = 4096
    held_out: float = 0.3

    def __post_init__(self) -> None:
        faults = [
            *choice_faults(CLASSIFIERS, classifier=self.classifier),
            *whole_number_faults(10, samples=self.samples),
            *interval_faults("(0, 1)", "a fraction", held_out=self.held_out),
        ]
        raise_faults("The criterion cannot be made:", faults)

    @extras("the criterion of blocks 'discrimination'")
    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> dict[str, float]:
        """Returns the gain in accuracy of every block.

        Raises:
            PruneError: There is no data, or it comes in other batches than `(inputs, labels)`.
        """
        if data is None:
            raise PruneError("Expected batches of (inputs, labels) to classify. Received: data=None. Give data=.")
        reader, ends = _reader(graph)
        features, labels = _read(reader, data, self.samples)
        order = np.random.default_rng(seed).permutation(len(labels))
        tested, fitted = np.split(order, [max(1, round(self.held_out * len(labels)))])
        accuracy = [self._accuracy(one, labels, fitted, tested) for one in features]
        return {name: accuracy[after] - accuracy[before] for name, (before, after) in ends.items()}

    def _accuracy(self, features: np.ndarray, labels: np.ndarray, fitted: np.ndarray, tested: np.ndarray) -> float:
        from sklearn.linear_model import LogisticRegression, RidgeClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        linear = RidgeClassifier() if self.classifier == "ridge" else LogisticRegression(max_iter=1000)
        fit = make_pipeline(StandardScaler(), linear).fit(features[fitted], labels[fitted])
        return float((fit.predict(features[tested]) == labels[tested]).mean())


def _reader(graph: ChannelGraph) -> tuple[keras.Model, dict[str, tuple[int, int]]]:
    """Returns a model of all features, and for every block which of them go in and come out.

    The model is a copy, walked through with its nested models unfolded, so that every tensor can be an output.
    """
    values: dict[int, Any] = {}
    wired = Wiring()
    made: dict[int, Any] = {}

    def visit(node: Any, *args: Any, **kwargs: Any) -> Any:
        operation = node.operation
        if id(operation) not in made:
            made[id(operation)] = operation, make_layer(operation, {})
        fed = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
        wired.add(node, node.input_tensors, node.outputs)
        values.update(zip(map(id, node.input_tensors), fed, strict=True))
        results = made[id(operation)][1](*args, **kwargs)
        values.update(zip(map(id, node.outputs), keras.tree.flatten(results), strict=True))
        return results

    body = functional(graph.model)
    inputs = [keras.Input(batch_shape=x.shape, dtype=x.dtype) for x in body.inputs]
    walk(body, inputs, visit)
    for old, new in made.values():
        for variable, copy in zip(getattr(old, "weights", ()), getattr(new, "weights", ()), strict=True):
            copy.assign(variable)
    wanted: dict[int, Any] = {}
    ends = {}
    for name, block in blocks_of(graph).items():
        indices = []
        for tensor in (block.source, _activated(block.target, wired)):
            wanted.setdefault(id(tensor), _pooled(values[id(tensor)]))
            indices.append(list(wanted).index(id(tensor)))
        ends[name] = tuple(indices)
    return keras.Model(inputs, list(wanted.values())), ends


def _activated(target: Any, wired: Wiring) -> Any:
    """Returns what the activation that alone reads a tensor makes of it, or the tensor."""
    after = wired.readers_of(target)
    alone = len(after) == 1 and isinstance(after[0].operation, _ACTIVATIONS)
    return after[0].outputs[0] if alone else target


def _pooled(tensor: Any) -> Any:
    return keras.ops.mean(tensor, axis=tuple(range(1, len(tensor.shape) - 1))) if len(tensor.shape) > 2 else tensor


def _read(model: keras.Model, data: Iterable, samples: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Returns the features at every output, `(samples, channels)` each, and the labels."""
    parts, labels, count = [], [], 0
    for batch in data:
        if not isinstance(batch, list | tuple) or len(batch) not in (2, 3):
            raise PruneError(
                "Expected batches of (inputs, labels), or (inputs, labels, sample weights). Received: a batch of type "
                f"{type(batch).__name__}. Give data= as model.fit takes it, in batches."
            )
        inputs, answers, *_ = batch
        out = model.predict_on_batch(inputs)
        parts.append(out if isinstance(out, list | tuple) else [out])
        answers = keras.ops.convert_to_numpy(answers)
        labels.append(answers.argmax(axis=-1) if answers.ndim > 1 and answers.shape[-1] > 1 else answers.ravel())
        count += len(labels[-1])
        if count >= samples:
            break
    found = np.concatenate(labels)[:samples] if labels else np.zeros(0)
    if len(np.unique(found)) < 2:
        raise PruneError(f"Expected samples of several classes. Received: {len(found)} samples, of one class at most.")
    features = [np.concatenate(one)[:samples].reshape(len(found), -1) for one in zip(*parts, strict=True)]
    return features, found
