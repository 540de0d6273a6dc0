"""ThiNet: the least-squares error of the next layers without a channel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from keras import ops, tree
from keras.backend import result_type

from kerasprune.checks import positive_faults, whole_number_faults
from kerasprune.criteria.base import Checked, Criterion, Scores, argument, refuse
from kerasprune.criteria.elimination import Problem, elimination_errors
from kerasprune.criteria.feature_maps import check_maps, run_through
from kerasprune.criteria.members_of_channels import Member, Readers
from kerasprune.data.batches import example_batches
from kerasprune.errors import first_of, warn
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.repair.reconstruction.as_linear import Linear, as_linear, chosen_positions


@dataclass(frozen=True)
class ThiNet(Checked, Criterion):
    """Error of the next layers once a channel and all cheaper ones are removed.

    `score(c) = error(c and all channels removed before it)`; at each step the cheapest channel is removed.

        error(R) = mean_readers min_W ‖X_kept·W + b − X·W_0‖² / ‖X·W_0 − mean‖²

    X is the input of a layer that reads the channels, at sampled positions. The kept weights are solved by least
    squares after each removal, so channels that are combinations of others are removed first. A score is a relative
    error of the next layers and means the same in every group, so the budget `threshold` can be used.

    All groups are scored on the dense model. Readers are convolutions of all kinds, Dense and EinsumDense; a depthwise
    convolution in between counts as part of the channel. Labels are not used.

    Args:
        samples: Maximum number of examples. Defaults to 1280.
        positions: Number of positions sampled per example in every layer. Defaults to 10, as in the paper.
        ridge: ρ as a fraction of the mean diagonal of XᵀX, for columns that are zero or linearly dependent. If X has
            fewer rows than columns, smaller values leave the order to rounding. Defaults to 1e-4.

    Example:
        >>> import numpy as np, kerasprune as kp
        >>> images = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype("float32")
        >>> plan = kp.plan(kp.models.resnet_cifar(8, input_shape=(16, 16, 3)), "thinet", keep=0.5, data=[images])

    Reference:
        Luo et al., ThiNet: A Filter Level Pruning Method for Deep Neural Network Compression, ICCV 2017, section 3.2.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"data"})

    samples: int = argument(1280, partial(whole_number_faults, 1))
    positions: int = argument(10, partial(whole_number_faults, 1))
    ridge: float = argument(1e-4, positive_faults)

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the error after the removal of every channel.

        Raises:
            PruneError: `data` is missing or does not fit the model, or no convolution or dense layer reads a group.
        """
        self.check(data)
        readers = _readers(graph)
        layers = {id(kernel): _linear(kernel) for each in readers.values() for kernel, _, _ in each}
        grams = self._grams(graph, layers, example_batches(graph.model, data, self.samples), seed)
        return {
            name: elimination_errors(
                [problem for member in each for problem in _problems(layers[id(member[0])], member, grams)],
                graph.groups[name].size,
            )
            for name, each in readers.items()
        }

    def _grams(
        self, graph: ChannelGraph, layers: dict[int, Linear], batches: Iterable[list[np.ndarray]], seed: int
    ) -> dict[int, np.ndarray]:
        """Returns `XᵀX + ρ·I` of the inputs of each layer, (groups, d, d), X centred and over all examples."""
        by_owner: dict[int, list[int]] = {}
        for key, linear in layers.items():
            by_owner.setdefault(id(linear.layer), []).append(key)
        wanted = {number: by_owner.get(id(call.operation), []) for number, call in enumerate(graph.calls)}
        generators = {number: np.random.default_rng([seed, number]) for number in wanted}
        sums = {key: _Moments() for key in layers}

        def look(number: int, inputs: tuple, _: list[Any]) -> None:
            for key in wanted[number]:
                x = tree.flatten(inputs)[0]
                x = ops.convert_to_numpy(ops.cast(x, result_type(x.dtype, "float32")))
                check_maps(x, f"into {graph.calls[number].operation.name!r}")
                total = layers[key].positions(x.shape)
                chosen = chosen_positions(len(x), total, self.positions, generators[number])
                sums[key].add(layers[key].rows(x, chosen))

        run_through(graph, batches, look)
        return {key: each.gram(self.ridge) for key, each in sums.items()}


class _Moments:
    """First and second moments of rows, group by group, added up batch by batch."""

    def __init__(self) -> None:
        self.number, self.first, self.second = 0, 0.0, 0.0

    def add(self, x: np.ndarray) -> None:
        x = x.astype("float64").transpose(1, 0, 2)
        self.number += x.shape[1]
        self.first = self.first + x.sum(axis=1)
        self.second = self.second + x.transpose(0, 2, 1) @ x

    def gram(self, ridge: float) -> np.ndarray:
        centred = self.second - self.first[:, :, None] * self.first[:, None, :] / self.number
        diagonal = np.einsum("gii->gi", centred)
        level = diagonal.mean(axis=1, keepdims=True)
        diagonal += ridge * np.where(level > 0, level, 1.0)
        return centred


def _problems(linear: Linear, member: Member, grams: dict[int, np.ndarray]) -> list[Problem]:
    """Returns the least-squares problems of a kernel: one for each of its groups."""
    kernel, axis, channel = member
    shape = tuple(kernel.variable.shape)
    spread = np.broadcast_to(channel.reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape)
    columns = linear.matrix(spread)[:, :, 0]
    weights = linear.start.astype("float64")
    each = zip(grams[id(kernel)], weights, columns, strict=True)
    return [Problem(*parts, share=1 / len(columns)) for parts in each]


def _readers(graph: ChannelGraph) -> dict[str, list[Member]]:
    """Returns the kernels that read each group and can be solved for."""
    called = {id(call.operation) for call in graph.calls}
    every = {name: Readers()(graph, name) for name in graph.prunable}
    solved = {
        name: [each for each in found if id(each[0].owner) in called and _linear(each[0]) is not None]
        for name, found in every.items()
    }
    without = [name for name, found in solved.items() if not found]
    refuse(without, "a convolution or a dense layer that reads every prunable group", "none after")
    counted = {id(kernel) for found in solved.values() for kernel, _, _ in found}
    left = {kernel.owner.name: 0 for found in every.values() for kernel, _, _ in found if id(kernel) not in counted}
    if left:
        warn(
            f"{first_of(left)} read channels too, and are neither convolutions "
            "nor dense layers: ThiNet uses the other readers only."
        )
    return solved


def _linear(kernel: Slice) -> Linear | None:
    """Returns a kernel as matrices; `None` if it has no such form."""
    return next((each for each in as_linear(kernel.owner) if each.variable is kernel.variable), None)
