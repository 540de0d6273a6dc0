"""The contract of every criterion: from a graph to one score per channel of every prunable group. Higher = keep.

A magnitude-like criterion says only what one number of a kernel is worth (`saliency`); the base sums it over every
kernel slice that makes a channel, so coupled layers, depthwise kernels and shared layers cost the author nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from kerasprune.errors import PruneError, first_of, raise_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.trace import trace
from kerasprune.registry import criteria

Scores = dict[str, np.ndarray]
"""`{group name: one score per channel}`; higher = keep."""


class Criterion:
    """Base of all criteria: `score(c) = reduced(Σ_kernels Σ_slice saliency)`.

    Most criteria write `saliency`. One that is no sum over weights overrides `score`, and `saliency_of` where it says
    something of single weights.

    Example:
        >>> import keras, kerasprune as kp
        >>> class Cubes(Criterion):
        ...     def saliency(self, weight, gradient=None):
        ...         return abs(weight) ** 3
        >>> ones = keras.initializers.Ones()
        >>> hidden = keras.layers.Dense(2, kernel_initializer=ones, name="hidden")
        >>> model = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(2)])
        >>> Cubes().score(kp.trace(model))["hidden"].tolist()
        [4.0, 4.0]
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    """What it looks at besides the weights: `"data"`, `"gradients"`. Asked for before anything is computed."""

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns what each number of a kernel is worth, in the kernel's shape.

        Args:
            weight: The kernel, a tensor of `keras.ops` or an array. Called inside the compiled step too.
            gradient: The gradient of the loss with respect to it, where `needs` has `"gradients"`. Defaults to `None`.
        """
        base = Criterion.saliency
        members = {name: criteria.member(name) for name in criteria}
        known = [n for n, each in members.items() if getattr(each, "saliency", base) is not base and not each.needs]
        has = "neither saliency() nor" if type(self).score is Criterion.score else "only"
        raise PruneError(
            f"Expected a criterion with saliency(), which says what single weights are worth: {', '.join(known)}. "
            f"Received: {type(self).__name__}, which has {has} score(). Take one of those, or write saliency()."
        )

    def reduced(self, total: Any) -> Any:
        """Returns the score of what removes several weights at once, from the sum of their saliencies."""
        return total

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the score of every channel of every prunable group.

        Args:
            graph: The graph of the model.
            data: Batches of `(inputs, labels)`. Defaults to `None`.
            loss: The loss function. Defaults to `None`.
            seed: Of everything random. Defaults to 0.

        Returns:
            `{group name: scores of shape (channels,)}`.

        Raises:
            PruneError: Something that the criterion needs is not given.
        """
        self.check(data)
        worth = self._worth(graph, data, loss, seed)
        return self._scores(graph, channel_sums(graph, [(kernel, kernel.makes) for kernel in graph.kernels], worth))

    def saliency_of(
        self, model: keras.Model, data: Any = None, loss: Any = None, seed: int = 0
    ) -> dict[str, np.ndarray]:
        """Returns what every single weight of the kernels is worth.

        Args:
            model: The model.
            data: Batches of `(inputs, labels)`. Defaults to `None`.
            loss: The loss function. Defaults to `None`.
            seed: Of everything random. Defaults to 0.

        Returns:
            `{variable path: array of the kernel's shape}`.

        Raises:
            PruneError: Something that the criterion needs is not given, or it says nothing of single weights.

        Example:
            >>> import keras
            >>> from kerasprune.criteria import L1
            >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
            >>> [worth.tolist() for worth in L1().saliency_of(model).values()]
            [[[1.0], [1.0]]]
        """
        self.check(data)
        graph = trace(model, unknown="freeze")
        worth = self._worth(graph, data, loss, seed)
        return {k.variable.path: as_array(self.reduced(worth(k)), "float64") for k in graph.kernels}

    def prepared(
        self, model: keras.Model, data: Any = None, loss: Any = None, seed: int = 0
    ) -> Callable[[], dict[str, np.ndarray]]:
        """Returns `saliency_of` as a function of the weights that the model has at each call.

        Scores that are taken in many rounds override it where part of the work is the same every time.
        """
        return partial(self.saliency_of, model, data=data, loss=loss, seed=seed)

    def check(self, data: Any) -> None:
        """Checks that what the criterion needs is given.

        Raises:
            PruneError: It is not.
        """
        if self.needs and data is None:
            raise PruneError(
                f"Expected data for {type(self).__name__}, which needs {', '.join(sorted(self.needs))}. Received: "
                "data=None. Give batches of (inputs, labels) with data=."
            )

    def _scores(self, graph: ChannelGraph, sums: Scores) -> Scores:
        """Returns the reduced sums; zeros for groups of which nothing is summed."""
        return {
            name: as_array(self.reduced(sums[name]), "float64") if name in sums else np.zeros(group.size)
            for name, group in graph.prunable.items()
        }

    def _worth(self, graph: ChannelGraph, data: Any, loss: Any, seed: int) -> Callable[[Slice], Any]:
        """Returns what each weight of a kernel is worth, as a function of the kernel."""
        if "gradients" in self.needs:
            raise PruneError(
                f"Expected a criterion that does not need gradients. Received: {type(self).__name__}. Inherit "
                "from kp.criteria.GradientCriterion, which takes them, or override score() and saliency_of()."
            )
        return lambda kernel: self.saliency(numbers(kernel))


def summed(saliency: Any, axis: int | None, entry: np.ndarray | None, size: int) -> Any:
    """Sums the saliencies of one kernel over each of the things that compete; the one reduction of all methods.

    Args:
        saliency: What each weight is worth, in the kernel's shape.
        axis: The axis along which the things lie; `None` where they are weights, or blocks of them.
        entry: For each position of the axis (or each weight, in the kernel's shape) the index of its thing; −1 = none.
            `None`: every weight competes by itself.
        size: Number of things.

    Returns:
        A tensor of shape `(size,)`.
    """
    saliency = ops.convert_to_tensor(saliency)
    if entry is None:
        return ops.reshape(saliency, (-1,))
    if axis is None:
        line = ops.reshape(saliency, (-1,))
    else:
        line = ops.sum(saliency, axis=[a for a in range(len(saliency.shape)) if a != axis])
    # −1 takes the bin at the end, which is dropped.
    return ops.segment_sum(line, entry.ravel() % (size + 1), num_segments=size + 1)[:size]


def channel_sums(
    graph: ChannelGraph, entries: Sequence[tuple[Slice, Sequence[int]]], worth: Callable[[Slice], Any]
) -> Scores:
    """Sums what weights are worth over every channel, outside of the step; `summed` is for inside.

    One variable after the other, since what all weights are worth is as large as the model.

    Args:
        graph: The graph.
        entries: The variables, each with the axes along which the channels lie.
        worth: Returns what each weight of a variable is worth, in its shape.

    Returns:
        `{group name: sums of shape (channels,)}` of the prunable groups that any of the axes touches.
    """
    totals = np.zeros(graph.classes.max(initial=-1) + 1)
    touched = np.zeros(totals.size, bool)
    for entry, axes in entries:
        weights = as_array(worth(entry))
        for axis, ids in enumerate(entry.ids):
            if ids is not None and axis in axes:
                np.add.at(totals, graph.classes[ids], along(weights, axis))
                touched[graph.classes[ids]] = True
    return {name: totals[g.classes] for name, g in graph.prunable.items() if touched[g.classes].any()}


def along(worth: Any, axis: int) -> np.ndarray:
    """Returns what each position of an axis is worth: the sum over all other axes."""
    worth = as_array(worth)
    return worth.sum(axis=tuple(each for each in range(worth.ndim) if each != axis), dtype="float64")


def numbers(entry: Slice) -> np.ndarray:
    """Returns a variable's values, of float32 at the least, to read."""
    array = values(entry.variable)
    return array if array.dtype.itemsize >= 4 else array.astype("float32")


def as_array(numbers: Any, dtype: str | None = None) -> np.ndarray:
    """Returns numbers, a tensor or an array, as an array."""
    return np.asarray(numbers if isinstance(numbers, np.ndarray) else ops.convert_to_numpy(numbers), dtype)


def refuse(groups: Collection[str], expected: str, received: str, instead: str = "Use criterion='l1'") -> None:
    """Refuses groups that a criterion says nothing of.

    Raises:
        PruneError: There are any; the first are named.
    """
    if groups:
        raise PruneError(
            f"Expected {expected}. Received: {received} {first_of(groups)}. {instead}, or freeze those layers with "
            "kp.trace(model, freeze=...)."
        )


def score(criterion: Criterion, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
    """Returns a criterion's scores, checked.

    Raises:
        PruneError: A group has no scores, or not one per channel, or a score is not a finite number.
    """
    criterion.check(data)
    scores = criterion.score(graph, data=data, loss=loss, seed=seed)
    shapes = {name: np.shape(scores.get(name)) for name in graph.prunable}
    raise_faults(
        f"Expected one score per channel from {type(criterion).__name__}.",
        [
            f"group {name!r} has {graph.groups[name].size} channels. Received: scores of shape {shape}."
            for name, shape in shapes.items()
            if shape != (graph.groups[name].size,)
        ],
    )
    bad = [name for name, values in scores.items() if not np.isfinite(values).all()]
    if bad:
        raise PruneError(
            f"Expected finite scores. Received: NaN or infinity from {type(criterion).__name__} in the groups "
            f"{first_of(bad)}. Check the weights: training may have diverged."
        )
    return scores


def top(scores: np.ndarray, number: int) -> np.ndarray:
    """Returns the sorted indices of the highest scores; of equal ones the lower index stays.

    Example:
        >>> import numpy as np
        >>> top(np.array([0.1, 0.3, 0.2, 0.3]), 2).tolist()
        [1, 3]
    """
    if not 0 < number < scores.size:
        return np.arange(scores.size)[:number]
    least = np.partition(scores, -number)[-number]
    stays = scores > least
    stays[np.flatnonzero(scores == least)[: number - np.count_nonzero(stays)]] = True
    return np.flatnonzero(stays)
