"""ThiNet: channels without which the next layer can still be reconstructed."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from keras import ops, tree

from kerasprune.criteria.base import Criterion, Scores, numbers
from kerasprune.criteria.belonging import Member, Readers
from kerasprune.criteria.elimination import Problem, elimination_errors
from kerasprune.criteria.feature_maps import portions, run
from kerasprune.criteria.inputs import input_batches
from kerasprune.criteria.unfolding import columns, is_unfolded, rows
from kerasprune.errors import PruneError, is_number, raise_faults, whole_number_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True)
class ThiNet(Criterion):
    """`score(c) = error(removed up to and with c)`, channels going greedily, each where the error rises least.

        error(R) = Σ_readers min_W ‖X_kept·W + b − X·W_0‖² / ‖X·W_0 − mean‖²

    X is what goes into a layer that reads the channels, at sampled positions; what is left is solved anew by least
    squares after each removal, so channels that are combinations of others go first. A score says how wrong the next
    layers are, relatively, once everything up to c is gone; it means the same in every group, so `threshold` works.

    All groups are scored on the dense model. Readers are convolutions of one group and dense layers; a depthwise
    convolution in between belongs to the channel. Labels are not used.

    Args:
        batches: How many batches are read at the most. Defaults to 10.
        positions: How many positions of each example are sampled in every layer. Defaults to 10, as in the paper.
        ridge: ρ over the mean diagonal of XᵀX, for columns that are silent or dependent. Defaults to 1e-6.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> import kerasprune as kp
        >>> images = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype("float32")
        >>> plan = kp.plan(kp.models.resnet_cifar(8, input_shape=(16, 16, 3)), "thinet", keep=0.5, data=[images])

    Reference:
        Luo et al., ThiNet: A Filter Level Pruning Method for Deep Neural Network Compression, ICCV 2017, section 3.2.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"data"})

    batches: int = 10
    positions: int = 10
    ridge: float = 1e-6

    def __post_init__(self) -> None:
        faults = whole_number_faults(1, batches=self.batches, positions=self.positions)
        if not is_number(self.ridge) or not 0 < self.ridge < np.inf:
            faults.append(f"Expected ridge to be a number above 0. Received: ridge={self.ridge!r}.")
        raise_faults("The criterion cannot be made:", faults)

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the error at which every channel goes.

        Raises:
            PruneError: There is no data, it does not fit the model, or nothing that can be solved reads a group.
        """
        self.check(data)
        readers = _readers(graph)
        layers = {id(kernel): kernel for each in readers.values() for kernel, _, _ in each}
        batches = portions(graph, input_batches(graph.model, data, self.batches))
        grams = self._grams(graph, layers, batches, seed)
        found = {}
        for name, each in readers.items():
            problems = [
                Problem(grams[id(kernel)], _matrix(kernel), columns(kernel, axis, channel))
                for kernel, axis, channel in each
            ]
            found[name] = elimination_errors(problems, graph.groups[name].size)
        return found

    def _grams(
        self, graph: ChannelGraph, layers: dict[int, Slice], batches: Iterable[list[np.ndarray]], seed: int
    ) -> dict[int, np.ndarray]:
        """Returns `XᵀX + ρ·I` of what goes into each layer, X centred and over all examples."""
        by_owner = {id(kernel.owner): key for key, kernel in layers.items()}
        wanted = {
            number: by_owner[id(call.operation)]
            for number, call in enumerate(graph.calls)
            if id(call.operation) in by_owner
        }
        generators = {number: np.random.default_rng([seed, number]) for number in wanted}
        sums = {key: _Moments() for key in layers}

        def look(number: int, inputs: tuple, _: list[Any]) -> None:
            if number in wanted:
                key = wanted[number]
                x = ops.convert_to_numpy(ops.cast(tree.flatten(inputs)[0], "float32"))
                _check_finite(x, graph.calls[number].operation.name)
                sums[key].add(rows(layers[key].owner, x, self.positions, generators[number]))

        for batch in batches:
            run(graph, batch, look)
        return {key: each.gram(self.ridge) for key, each in sums.items()}


class _Moments:
    """First and second moments of rows, added up batch by batch."""

    def __init__(self) -> None:
        self.number, self.first, self.second = 0, 0.0, 0.0

    def add(self, x: np.ndarray) -> None:
        x = x.astype("float64")
        self.number += len(x)
        self.first = self.first + x.sum(axis=0)
        self.second = self.second + x.T @ x

    def gram(self, ridge: float) -> np.ndarray:
        centred = self.second - np.outer(self.first, self.first) / self.number
        diagonal = np.einsum("ii->i", centred)
        diagonal += ridge * (diagonal.mean() or 1.0)
        return centred


def _readers(graph: ChannelGraph) -> dict[str, list[Member]]:
    """Returns the kernels that read each group and can be solved for."""
    called = {id(call.operation) for call in graph.calls}
    every = {name: Readers()(graph, name) for name in graph.prunable}
    solved = {
        name: [each for each in found if is_unfolded(each[0].owner) and id(each[0].owner) in called]
        for name, found in every.items()
    }
    without = [name for name, found in solved.items() if not found]
    if without:
        raise PruneError(
            "Expected a convolution or a dense layer behind every prunable group. Received: none behind "
            f"{', '.join(without[:5])}{'…' if len(without) > 5 else ''}. "
            "Use criterion='l1', or freeze those layers with kp.trace(model, freeze=...)."
        )
    left = {e[0].owner.name: 0 for name, found in every.items() for e in found if id(e[0]) not in _ids(solved[name])}
    if left:
        warnings.warn(
            f"{', '.join([*left][:5])}{'…' if len(left) > 5 else ''} read channels too, and are neither convolutions "
            "of one group nor dense layers: ThiNet looks at the other readers only.",
            stacklevel=4,
        )
    return solved


def _ids(found: list[Member]) -> set[int]:
    return {id(kernel) for kernel, _, _ in found}


def _matrix(kernel: Slice) -> np.ndarray:
    weights = numbers(kernel).astype("float64")
    return weights.reshape(-1, weights.shape[-1])


def _check_finite(x: np.ndarray, name: str) -> None:
    if not np.isfinite(x).all():
        raise PruneError(
            f"Expected finite feature maps. Received: NaN or infinity into {name!r}. Check the weights: training may "
            "have diverged."
        )
