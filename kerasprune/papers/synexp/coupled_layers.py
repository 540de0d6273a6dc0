"""The layers of SynExp's problem: kernels, of which those that make the same channels share one density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.groups import components
from kerasprune.papers.synexp.synexp import densities
from kerasprune.surgery.costs.counts import macs_of_kernel

_SLACK = 1e-9  # relative


def kernel_costs(graph: ChannelGraph, kernels: Sequence[Slice], *, macs: bool) -> dict[str, np.ndarray]:
    """Returns the costs of kernels, in their order.

    Args:
        graph: A graph.
        kernels: Kernels of it.
        macs: Whether to count multiply–adds, too.

    Returns:
        `{"params": α, "macs": β}`, or without `"macs"`.

    Raises:
        PruneError: Multiply–adds are not known, since the input side is free.
    """
    costs = {"params": np.array([prod(kernel.variable.shape) for kernel in kernels], float)}
    if macs:
        costs["macs"] = np.array(list(map(partial(macs_of_kernel, graph), kernels, costs["params"])), float)
    return costs


@dataclass(frozen=True)
class CoupledLayers:
    """The layers of a graph, in units: layers that make channels of the same group are coupled and share one density.

    A depthwise convolution, whose channels are those of the layer before it, counts as part of that layer. The
    convolution after squeeze-and-excitation, which makes gates for the channels of another layer, is coupled with it.

    Args:
        costs: `{"params": α, "macs": β}`, for every layer the mean over its unit.
        number: For every layer its unit.
        of_group: `{group name: unit that makes its channels}`; groups without a kernel are not listed.
        of_kernel: `{variable path: unit}`, in the order of the graph.
    """

    costs: Mapping[str, np.ndarray]
    number: np.ndarray
    of_group: Mapping[str, int]
    of_kernel: Mapping[str, int]

    @classmethod
    def of(cls, graph: ChannelGraph, *, macs: bool) -> CoupledLayers:
        """Returns the layers of a graph, with their multiply–adds if `macs`."""
        unit, of_group = _units(graph)
        total = max(unit, default=-1) + 1
        layers = np.bincount(unit, [bool(k.reads and k.makes) for k in graph.kernels], minlength=total)
        layers = np.maximum(layers.astype(int), 1)
        number = np.repeat(np.arange(total), layers)
        costs = kernel_costs(graph, graph.kernels, macs=macs)
        sums = {key: np.bincount(unit, each, minlength=total) for key, each in costs.items()}
        of_kernel = dict(zip((graph.paths[id(kernel.variable)] for kernel in graph.kernels), unit, strict=True))
        return cls({key: (each / layers)[number] for key, each in sums.items()}, number, of_group, of_kernel)

    def solved(self, fractions: Mapping[str, float], *, cap: bool = True) -> tuple[dict[str, float], list[str]]:
        """Solves the problem: returns the density of each group's layers, and the names of the budgets with slack.

        Args:
            fractions: `{"params": fraction, "macs": fraction}` of the kernels' costs, either or both.
            cap: Whether no density may exceed 1. Defaults to `True`.
        """
        budgets = {key: fraction * self.costs[key].sum() for key, fraction in fractions.items()}
        found = densities(self.costs["params"], self.costs.get("macs"), **budgets, cap=cap)
        slack = [key for key, budget in budgets.items() if self.costs[key] @ found / budget < 1 - _SLACK]
        density = dict(zip(self.number.tolist(), found.tolist(), strict=True))
        return {name: density[unit] for name, unit in self.of_group.items()}, slack


def _units(graph: ChannelGraph) -> tuple[list[int], dict[str, int]]:
    """Returns the unit of coupled layers of every kernel, and of every group that kernels make."""
    place = {id(kernel): number for number, kernel in enumerate(graph.kernels)}
    makers = {name: [place[id(kernel)] for kernel, _, _ in graph.made_by(name)] for name in graph.groups}
    makes = {number for numbers in makers.values() for number in numbers}
    ties = []
    for name, numbers in makers.items():  # a kernel that makes no channels filters those of others
        readers = [place[id(kernel)] for kernel, _, _ in graph.read_by(name)]
        coupled = numbers + [number for number in readers if number not in makes] if numbers else []
        ties += [(np.full(len(coupled), coupled[:1]), np.array(coupled))] if coupled else []
    unit = components(len(place), ties).tolist()
    return unit, {name: unit[numbers[0]] for name, numbers in makers.items() if numbers}
