"""`costs`: the costs of many allocations, without building or cutting any model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import keras
import numpy as np

from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.channels import once
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.sizes import Size
from kerasprune.recipes.search.allocations import (
    Allocations,
    Highest,
    channels_kept,
    fractions_of,
    narrow_branches,
    sizes_of,
)
from kerasprune.surgery.costs.channel_polynomial import ChannelPolynomial, Lines
from kerasprune.surgery.costs.cost import macs_of_faults
from kerasprune.surgery.costs.counts import cost_of_what_stays, counter
from kerasprune.surgery.graphs import graph_at, prunable_graph

if TYPE_CHECKING:
    from kerasprune.planning.targets.base import CostMeter


class Counting:
    """Exact costs of many choices of channels of one graph, from the polynomial in its numbers of channels.

    If a tensor's channels are sliced, the costs depend on which channels are kept, not on their number alone: each
    choice is then counted by itself, which takes milliseconds instead of microseconds.

    Args:
        graph: The graph, traced at the size to count at.
        choose: Returns the legal choice of channels, `{group name: indices kept}`, for a number of channels per group.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none.
    """

    def __init__(
        self,
        graph: ChannelGraph,
        choose: Callable[[np.ndarray], Mapping[str, np.ndarray]],
        macs_of: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        raise_faults("Invalid arguments for costs:", macs_of_faults(graph, macs_of))
        self.graph, self.sizes = graph, sizes_of(graph)
        self._choose, self._macs_of = choose, macs_of
        self._polynomial = ChannelPolynomial(graph, macs_of)
        self.dense = self(self.sizes[None])[0]

    def __call__(self, channels: np.ndarray) -> np.ndarray:
        """Returns `(multiply–adds, parameters)` of every row of `channels`, the numbers kept of each group."""
        if self._polynomial.whole:
            return self._polynomial(narrow_branches(self.graph, channels))
        found = [cost_of_what_stays(self.graph, self._choose(each), self._macs_of) for each in channels]
        return np.array([(each.macs, each.params) for each in found], np.int64).reshape(-1, 2)

    def shares(self, channels: np.ndarray) -> np.ndarray:
        """Returns these costs as fractions of the dense model's."""
        return self(channels) / np.maximum(self.dense, 1)

    def metered(self, meter: CostMeter, channels: np.ndarray) -> np.ndarray:
        """Returns the cost by a meter of every row of `channels`, as a fraction of the dense model's."""
        if self._polynomial.whole:
            row = once(Lines(self.graph).row)
            chosen = np.pad(narrow_branches(self.graph, channels), ((0, 0), (0, 1)), constant_values=1)
            counts = [lambda ids, kept=kept: int(row(ids) @ kept) for kept in chosen]
        else:
            counts = [counter(self.graph.alive(self._choose(each))) for each in channels]
        return np.array([meter(self.graph, count) for count in counts], float)

    def shares_at(self, keep: np.ndarray) -> np.ndarray:
        """Returns the shares for given fractions kept of each group."""
        return self.shares(self.channels_at(keep))

    def channels_at(self, keep: np.ndarray) -> np.ndarray:
        """Returns the numbers of channels that are built for the fractions kept of each group."""
        return narrow_branches(self.graph, channels_kept(self.sizes, keep))


def costs(
    model: keras.Model | ChannelGraph,
    allocations: Allocations | np.ndarray,
    *,
    size: Size | None = None,
    macs_of: Mapping[str, int] = MappingProxyType({}),
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the costs of many allocations, a million per second.

    They equal those of `kp.cost(model, allocations.plan(i))`. The cost of a layer is a product of the numbers of
    channels along its axes, which are sums over groups:

        cost(k) = Σ_m a_m · Π_{l in m} (c_l + Σ_g n_lg · k_g)

    The coefficients are derived once from the graph, by running `kp.cost` on such terms instead of numbers.

    Args:
        model: The model, or its graph.
        allocations: The allocations, or an array of fractions kept, shape `(allocations, prunable groups)`.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to the model's own.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none.

    Returns:
        Multiply–adds and parameters of each allocation, as integers.

    Raises:
        PruneError: The allocations are of another model, or the input side is free and no size is given.

    Example:
        >>> import keras, kerasprune as kp
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((4,)), dense(8), dense(2)])
        >>> macs, params = kp.papers.spaces.costs(model, [[0.5], [0.25]])
        >>> macs.tolist(), params.tolist()  # 4·k + k·2, and k + 2 biases
        ([24, 12], [30, 16])

    Reference:
        He et al., Network Pruning Spaces, 2023, Section 3: `c_flops` and `c_params` of a population.
    """
    graph, criterion, keep = prunable_graph(model), "l2", allocations
    if isinstance(allocations, Allocations):
        criterion, keep = allocations.criterion, allocations.keep
        if allocations.graph.fingerprint != graph.fingerprint or allocations.groups != tuple(graph.prunable):
            raise PruneError(
                f"Expected allocations of the model {graph.model.name!r}. Received: {allocations!r}, which has other "
                "groups. Pass the model, or the graph, that they were sampled from."
            )
    graph = graph_at(graph, None, size)
    count = Counting(graph, Highest(graph, criterion), macs_of)
    found = count(count.channels_at(fractions_of(graph, keep)))
    return found[:, 0], found[:, 1]
