"""The contract of every criterion: from a graph to one score per channel of every prunable group. Higher = keep.

A magnitude-like criterion defines only the saliency of a single weight (`saliency`); the base sums it over every
kernel slice that makes a channel, so coupled layers, depthwise kernels and shared layers need no further code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field, fields
from functools import partial
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from kerasprune.criteria.registry import criteria
from kerasprune.errors import PruneError, first_of, raise_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.trace import trace

Scores = dict[str, np.ndarray]
"""`{group name: one score per channel}`; higher = keep."""
Removal = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
"""From `{variable path: mask, true for kept weights}` to `{variable path: new values}`."""


def argument(
    default: Any, faults: Callable[..., list[str]] | None = None, make: Callable[[Any], Any] | None = None
) -> Any:
    """Returns a dataclass field that `Checked` validates, or converts.

    Args:
        default: The default.
        faults: `faults(name=value)` returns what is wrong with a value. Defaults to no check.
        make: `make(value)` returns the value that is stored, e.g. an instance for a name. Defaults to the value itself.
    """
    return field(default=default, metadata={"faults": faults, "make": make})


class Checked:
    """Base of dataclasses whose fields are declared with `argument`."""

    def __post_init__(self) -> None:
        faults: list[str] = []
        for each in fields(self):
            value, check, make = getattr(self, each.name), each.metadata.get("faults"), each.metadata.get("make")
            if check:
                faults += check(**{each.name: value})
            if make:
                object.__setattr__(self, each.name, make(value))
        raise_faults(f"Invalid arguments for {type(self).__name__}:", faults)


class Criterion:
    """Base class of all criteria: `score(c) = reduced(Σ_kernels Σ_slice saliency)`.

    Most criteria define `saliency`. A criterion that is not a sum over weights overrides `score`, and `saliency_of` if
    it can score single weights.

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
    """Required besides the weights: `"data"`, `"gradients"`. Checked before anything is computed."""

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns the saliency of each weight of a kernel, in the kernel's shape.

        Args:
            weight: The kernel, a tensor or an array. Called inside the compiled step too.
            gradient: The gradient of the loss with respect to it, if `needs` has `"gradients"`. Defaults to `None`.
        """
        base = Criterion.saliency
        members = {name: criteria.member(name) for name in criteria}
        known = [n for n, each in members.items() if getattr(each, "saliency", base) is not base and not each.needs]
        has = "neither saliency() nor" if type(self).score is Criterion.score else "only"
        raise PruneError(
            f"Expected a criterion with saliency(), which scores single weights: {', '.join(known)}. "
            f"Received: {type(self).__name__}, which has {has} score(). Use one of those, or write saliency()."
        )

    def reduced(self, total: Any) -> Any:
        """Returns the score of several weights together from the sum of their saliencies."""
        return total

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the score of every channel of every prunable group.

        Args:
            graph: The graph of the model.
            data: Batches of `(inputs, labels)`. Defaults to `None`.
            loss: The loss function. Defaults to `None`.
            seed: Random seed. Defaults to 0.

        Returns:
            `{group name: scores of shape (channels,)}`.

        Raises:
            PruneError: `data` is missing although the criterion needs it.
        """
        self.check(data)
        worth = self._worth(graph, data, loss, seed)
        return self._scores(graph, channel_sums(graph, [(kernel, kernel.makes) for kernel in graph.kernels], worth))

    def saliency_of(
        self, model: keras.Model, data: Any = None, loss: Any = None, seed: int = 0
    ) -> dict[str, np.ndarray]:
        """Returns the score of every single weight of the kernels.

        Args:
            model: The model.
            data: Batches of `(inputs, labels)`. Defaults to `None`.
            loss: The loss function. Defaults to `None`.
            seed: Random seed. Defaults to 0.

        Returns:
            `{variable path: array of the kernel's shape}`.

        Raises:
            PruneError: `data` is missing although the criterion needs it, or it cannot score single weights.

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
        return {graph.paths[id(k.variable)]: as_array(self.reduced(worth(k)), "float64") for k in graph.weight_kernels}

    def prepared(
        self, model: keras.Model, data: Any = None, loss: Any = None, seed: int = 0
    ) -> Callable[[], dict[str, np.ndarray]]:
        """Returns a function that computes `saliency_of` from the model's weights at each call.

        Override it if part of the work is the same in every round of iterative pruning.
        """
        return partial(self.saliency_of, model, data=data, loss=loss, seed=seed)

    def removal(self, model: keras.Model, data: Any = None, loss: Any = None) -> Removal:
        """Returns a function that removes weights, from masks to the new values of the kernels; the model stays.

        Weights that are kept stay as they are. Override it if the criterion changes them to compensate.

        Args:
            model: The model.
            data: Batches of `(inputs, labels)`. Defaults to `None`.
            loss: The loss function. Defaults to `None`.
        """
        graph = trace(model, unknown="freeze")
        found = {graph.paths[id(kernel.variable)]: values(kernel.variable) for kernel in graph.weight_kernels}
        return lambda masks: {path: found[path] * np.asarray(mask, found[path].dtype) for path, mask in masks.items()}

    def check(self, data: Any) -> None:
        """Checks that `data` is given if the criterion needs it.

        Raises:
            PruneError: It is missing.
        """
        if self.needs and data is None:
            raise PruneError(
                f"Expected data for {type(self).__name__}, which needs {', '.join(sorted(self.needs))}. Received: "
                "data=None. Give batches of (inputs, labels) with data=."
            )

    def _scores(self, graph: ChannelGraph, sums: Scores) -> Scores:
        """Returns the reduced sums; zeros for groups without one."""
        return {
            name: as_array(self.reduced(sums[name]), "float64") if name in sums else np.zeros(group.size)
            for name, group in graph.prunable.items()
        }

    def _worth(self, graph: ChannelGraph, data: Any, loss: Any, seed: int) -> Callable[[Slice], Any]:
        """Returns a function from a kernel to the saliencies of its weights."""
        if "gradients" in self.needs:
            raise PruneError(
                f"Expected a criterion that does not need gradients. Received: {type(self).__name__}. Inherit "
                "from kp.criteria.GradientCriterion, which computes them, or override score() and saliency_of()."
            )
        return lambda kernel: self.saliency(numbers(kernel))


def sum_by_unit(saliency: Any, axis: int | None, entry: np.ndarray | None, size: int) -> Any:
    """Sums the saliencies of one kernel over each unit that competes (channel, filter, block or weight).

    Args:
        saliency: The saliency of each weight, in the kernel's shape.
        axis: The axis along which the units lie; `None` if they are weights, or blocks of weights.
        entry: The unit's index for each position of the axis (or each weight, in the kernel's shape); −1 = none.
            `None`: every weight is a unit.
        size: Number of units.

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
    # −1 falls into the last bin, which is dropped.
    return ops.segment_sum(line, entry.ravel() % (size + 1), num_segments=size + 1)[:size]


def channel_sums(
    graph: ChannelGraph, entries: Sequence[tuple[Slice, Sequence[int]]], worth: Callable[[Slice], Any]
) -> Scores:
    """Sums saliencies over every channel, outside of the compiled step (inside it, see `sum_by_unit`).

    Variables are processed one by one, since the saliencies of all weights take as much memory as the model.

    Args:
        graph: The graph.
        entries: The variables, each with the axes along which the channels lie.
        worth: Returns the saliencies of a variable's weights, in its shape.

    Returns:
        `{group name: sums of shape (channels,)}` of the prunable groups with channels on any of the axes.
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
    """Returns the sum over all axes but one."""
    worth = as_array(worth)
    return worth.sum(axis=tuple(each for each in range(worth.ndim) if each != axis), dtype="float64")


def numbers(entry: Slice) -> np.ndarray:
    """Returns a variable's values, in float32 or a wider type."""
    array = values(entry.variable)
    return array if array.dtype.itemsize >= 4 else array.astype("float32")


def as_array(numbers: Any, dtype: str | None = None) -> np.ndarray:
    """Converts a tensor or an array to an array."""
    return np.asarray(numbers if isinstance(numbers, np.ndarray) else ops.convert_to_numpy(numbers), dtype)


def refuse(groups: Collection[str], expected: str, received: str, instead: str = "Use criterion='l1'") -> None:
    """Raises a `PruneError` that names the first of the groups that a criterion cannot score, if there are any."""
    if groups:
        raise PruneError(
            f"Expected {expected}. Received: {received} {first_of(groups)}. {instead}, or freeze those layers with "
            "kp.trace(model, freeze=...)."
        )


def score(criterion: Criterion, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
    """Returns the scores of a criterion, and checks them; the loss defaults to the one that the model is compiled with.

    Raises:
        PruneError: A group does not have one score per channel, or a score is not finite.
    """
    criterion.check(data)
    loss = getattr(graph.model, "loss", None) if loss is None else loss
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
    """Returns the sorted indices of the highest scores; of equal scores, the lower index.

    Example:
        >>> import numpy as np
        >>> top(np.array([0.1, 0.3, 0.2, 0.3]), 2).tolist()
        [1, 3]
    """
    if not 0 < number < scores.size:
        return np.arange(scores.size)[:number]
    least = np.partition(scores, -number)[-number]
    kept = scores > least
    kept[np.flatnonzero(scores == least)[: number - np.count_nonzero(kept)]] = True
    return np.flatnonzero(kept)
