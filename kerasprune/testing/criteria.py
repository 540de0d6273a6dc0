"""`check_criterion`: the properties of every score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kerasprune import criteria
from kerasprune.criteria.base import Criterion, Scores
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.trace import trace
from kerasprune.surgery.clone import clone, copy_model
from kerasprune.surgery.copy_layer import make_layer
from kerasprune.surgery.reordering import reorder
from kerasprune.testing.toys import require, toy_data, toy_model


def check_criterion(
    criterion: str | dict | type | Criterion,
    *,
    equivariant: bool = True,
    seed: int = 0,
    tolerance: float = 1e-4,
    model: keras.Model | None = None,
    data: Any = None,
) -> None:
    """Checks a criterion on a small residual network with BatchNorm, depthwise and dense layers.

    There must be one finite score for every channel of every prunable group. Scores must be the same for the same seed,
    permute with the channels, and not depend on layer names. If single weights are scored, each has a finite score.
    Weights, BatchNorm statistics, dropout seeds and optimizer variables must not change by a single bit.

    Args:
        criterion: A name, a dict with a name and arguments, a class or an instance.
        equivariant: Whether permuted channels must have permuted scores. Defaults to `True`; use `False` for scores
            that depend on the position of a channel, such as random ones.
        seed: Seed of weights, data and permutations. Defaults to 0.
        tolerance: Largest difference, relative to the largest score of the group. Defaults to 1e-4.
        model: Another model to use, a classifier that outputs logits. Defaults to the small network.
        data: Batches of `(inputs, labels)` for `model`. Defaults to data for the small network.

    Raises:
        AssertionError: One of these checks fails.

    Example:
        >>> from kerasprune.testing import check_criterion
        >>> check_criterion("l1")
    """
    criterion = criteria.get(criterion)
    images, labels = toy_data(32, seed)
    data = data or [(images[i : i + 8], labels[i : i + 8]) for i in range(0, 32, 8)]
    given = data, keras.losses.SparseCategoricalCrossentropy(from_logits=True), seed
    model = _with_memory(toy_model(seed) if model is None else model, seed)
    graph = trace(model)
    before = _state(model)

    first = criterion.score(graph, *given)
    _check_finite(graph, first)
    _same(first, criterion.score(graph, *given), 0.0, "the same scores for the same seed")
    _check_single(criterion, model, given)
    changed = [path for path, array in _state(model).items() if not np.array_equal(array, before[path])]
    require(
        not changed,
        f"Expected {type(criterion).__name__} not to change the model. Received: another {', '.join(changed[:3])}.",
    )
    again = criterion.score(trace(renamed(model)), *given)
    _same(first, dict(zip(first, again.values(), strict=True)), tolerance, "the same scores under other layer names")
    if equivariant:
        orders = _orders(graph, seed)
        moved = criterion.score(trace(permuted(graph, orders)), *given)
        expected = {name: first[name][order] for name, order in orders.items()}
        _same(expected, moved, tolerance, "permuted scores for permuted channels")


def _with_memory(model: keras.Model, seed: int) -> keras.Model:
    """Returns a copy of a model with random optimizer variables."""
    copy = copy_model(model)
    copy.compile(keras.optimizers.Adam(), "mse")
    copy.optimizer.build(copy.trainable_variables)
    generator = np.random.default_rng(seed)
    for variable in copy.optimizer.variables:
        if "float" in str(variable.dtype):
            variable.assign(generator.uniform(0.1, 1.0, variable.shape))
    return copy


def _state(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns a copy of all variables of a model and its optimizer."""
    held = [*model.variables, *model.optimizer.variables]
    return {f"{variable.path} ({i})": np.array(keras.ops.convert_to_numpy(variable)) for i, variable in enumerate(held)}


def _check_single(criterion: Criterion, model: keras.Model, given: tuple[Any, Any, int]) -> None:
    """Checks the scores of single weights, if the criterion has them."""
    methods = ("saliency", "saliency_of", "_worth")
    if all(getattr(type(criterion), name) is getattr(Criterion, name) for name in methods):
        return
    shapes = {variable.path: tuple(variable.shape) for variable in model.variables}
    found, kernels = criterion.saliency_of(model, *given), criteria.get("l1").saliency_of(model)
    lacking = [path for path in kernels if path not in found]
    require(not lacking, f"Expected numbers for the weights of every kernel. Received: none for {lacking[:3]}.")
    for path, worth in found.items():
        worth = np.asarray(worth)
        require(
            worth.shape == shapes.get(path) and bool(np.isfinite(worth).all()),
            f"Expected a finite number for every weight of {path!r}, of shape {shapes.get(path)}. "
            f"Received: shape {worth.shape}, {np.isfinite(worth).sum()} of them finite.",
        )


def permuted(graph: ChannelGraph, orders: Mapping[str, np.ndarray]) -> keras.Model:
    """Returns a model that computes the same, with the channels of groups in another order.

    Args:
        graph: The graph of a model.
        orders: `{group name: permutation}`; the new channel `i` is the old channel `permutation[i]`.
    """
    return reorder(graph.model, {name: -np.argsort(order) for name, order in orders.items()})


def renamed(model: keras.Model) -> keras.Model:
    """Returns a copy of a model whose layer names sort in reverse."""
    names: dict[int, str] = {}

    def make(layer: Any) -> Any:
        names[id(layer)] = f"layer_{9999 - len(names)}"
        return make_layer(layer, {("name",): names[id(layer)]})

    return clone(model, make, value=values)[0]


def _orders(graph: ChannelGraph, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed + 1)
    return {name: generator.permutation(group.size) for name, group in graph.prunable.items()}


def _check_finite(graph: ChannelGraph, scores: Scores) -> None:
    require(
        list(scores) == list(graph.prunable),
        f"Expected scores for the prunable groups {list(graph.prunable)}, in this order. Received: {list(scores)}.",
    )
    for name, group in graph.prunable.items():
        values = np.asarray(scores[name])
        require(
            values.shape == (group.size,),
            f"Expected one score for each of the {group.size} channels of {name!r}. Received: shape {values.shape}.",
        )
        require(bool(np.isfinite(values).all()), f"Expected finite scores. Received: {values} for {name!r}.")


def _same(expected: Scores, received: Scores, tolerance: float, claim: str) -> None:
    for name, wanted in expected.items():
        error = np.abs(wanted - received[name]).max() / max(np.abs(wanted).max(), 1e-30)
        require(error <= tolerance, f"Expected {claim}. Received: a relative difference of {error:.1e} in {name!r}.")
