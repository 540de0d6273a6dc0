"""Criteria of the mean gradient of a loss: their base, and those of first order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np

from kerasprune.criteria.base import Criterion, Scores, channel_sums, numbers
from kerasprune.criteria.mean_loss import Gradients, MeanLoss
from kerasprune.errors import raise_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph


class GradientCriterion(Criterion):
    """Base class of criteria that use gradients: `score(c) = reduced(Σ_kernels Σ_slice saliency(w, ∂L/∂w))`.

    L is the mean loss over the data. Most subclasses define `saliency(weight, gradient)`. Gradients are taken in
    inference mode: BatchNorm uses its moving statistics, dropout is off, and penalties on weights are ignored. Models
    of half precision are differentiated in float32.

    Example:
        >>> import keras, numpy as np
        >>> class Steepness(GradientCriterion):
        ...     def saliency(self, weight, gradient=None):
        ...         return abs(gradient)
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> data = [(np.ones((4, 2), "float32"), np.zeros((4, 1), "float32"))]
        >>> [worth.tolist() for worth in Steepness().saliency_of(model, data, "mse").values()]
        [[[4.0], [4.0]]]
    """

    needs: ClassVar[frozenset[str]] = frozenset({"data", "gradients"})
    precision: ClassVar[str] = "float32"
    """`"float32"`, or `"float64"` on TensorFlow."""

    def entries(self, graph: ChannelGraph) -> list[tuple[Slice, Sequence[int]]]:
        """Returns the variables that are scored (the kernels), each with the axes along which the channels lie."""
        return [(kernel, kernel.makes) for kernel in graph.kernels]

    def totals(self, graph: ChannelGraph, worth: Callable[[Slice], Any]) -> Scores:
        """Returns the sum of saliencies over the entries, for every channel of their groups."""
        return channel_sums(graph, self.entries(graph), worth)

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the score of every channel of every prunable group.

        Args:
            graph: The graph of the model.
            data: Batches of `(inputs, labels)` or `(inputs, labels, sample_weights)`.
            loss: The loss as `compile` takes it. Defaults to the compiled one.
            seed: Random seed. Defaults to 0.

        Raises:
            PruneError: Data or loss are missing or do not fit the model, a gradient is not finite, or all
                gradients of a group are 0.
        """
        self.check(data)
        entries = self.entries(graph)
        found = self.gradients(graph.model, [entry.variable for entry, _ in entries], data, loss, seed)
        _check_reached(graph, entries, found)
        return self._scores(graph, self.totals(graph, self._by(found)))

    def gradients(
        self, model: keras.Model, variables: Sequence[keras.Variable], data: Any, loss: Any, seed: int
    ) -> Gradients:
        """Returns the second argument of `saliency` for each variable: the gradient of the mean loss.

        Raises:
            PruneError: As for `score`.
        """
        return mean_gradients(model, variables, data, loss, self.precision)

    def _worth(self, graph: ChannelGraph, data: Any, loss: Any, seed: int) -> Callable[[Slice], Any]:
        return self._by(self.gradients(graph.model, [k.variable for k in graph.weight_kernels], data, loss, seed))

    def _by(self, found: Gradients) -> Callable[[Slice], Any]:
        """Returns a function from a variable to the saliencies of its weights."""
        return lambda entry: self.saliency(numbers(entry), found[id(entry.variable)])


def mean_gradients(
    model: keras.Model,
    variables: Sequence[keras.Variable],
    data: Any,
    loss: Any = None,
    precision: str = "float32",
) -> Gradients:
    """Returns the gradients of the mean loss over all examples.

    Args:
        model: The model.
        variables: The variables to differentiate with respect to.
        data: Batches of `(inputs, labels)` or `(inputs, labels, sample_weights)`.
        loss: The loss as `compile` takes it. Defaults to the compiled one.
        precision: `"float32"` or `"float64"`; the latter on TensorFlow only. Defaults to `"float32"`.

    Returns:
        `{id(variable): gradient}`.

    Raises:
        PruneError: The loss is missing, data and model do not fit together, or a gradient is not finite.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> data = [(np.ones((4, 2), "float32"), np.zeros((4, 1), "float32"))]
        >>> [each.tolist() for each in mean_gradients(model, [model.layers[0].kernel], data, "mse").values()]
        [[[4.0], [4.0]]]
    """
    return MeanLoss(model, variables, data, loss, precision=precision).gradient()


def _check_reached(
    graph: ChannelGraph, entries: Sequence[tuple[Slice, Sequence[int]]], found: Mapping[int, np.ndarray]
) -> None:
    """Checks that every group has a gradient other than 0: else all its channels would score alike."""
    reached = channel_sums(graph, entries, lambda entry: np.abs(found[id(entry.variable)]))
    raise_faults(
        "Expected a gradient in every prunable group. Freeze dead groups with kp.trace(model, freeze=...), or score "
        "them by a criterion of weights, such as 'l1':",
        [
            f"group {name!r} is dead: it makes no difference to the loss. Received: gradients that are all 0."
            for name in graph.prunable
            if name in reached and not reached[name].any()
        ],
    )


@dataclass(frozen=True)
class GradientMagnitude(GradientCriterion):
    """Sum of absolute weight × gradient over a channel's kernels.

    `score(c) = Σ |w·∂L/∂w|` over the kernel slices that make channel c.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> data = [(np.ones((3, 4)), np.ones((3, 2)))]
        >>> kp.criteria.GradientMagnitude().score(kp.trace(model), data, loss="mse")["hidden"].shape
        (8,)

    Reference:
        Blalock et al., What is the State of Neural Network Pruning?, MLSys 2020, arXiv 2003.03033, its
        baselines.
    """

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `|w·∂L/∂w|`."""
        return abs(weight * gradient)


@dataclass(frozen=True)
class TaylorFO(GradientCriterion):
    """Sum of squared weight × gradient over a channel's kernels.

    `score(c) = Σ (w·∂L/∂w)²` over the kernel slices that make channel c: the weight form.

    Each term is the square of the first-order change of the loss when a weight is removed. The gradient is that of the
    mean loss over all data; the official code averages the squares over single batches instead.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> data = [(np.ones((3, 4)), np.ones((3, 2)))]
        >>> kp.criteria.TaylorFO().score(kp.trace(model), data, loss="mse")["hidden"].shape
        (8,)

    Reference:
        Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, arXiv 1906.10771, section 3.
    """

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `(w·∂L/∂w)²`."""
        return (weight * gradient) ** 2
