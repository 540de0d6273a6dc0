"""Layers as SynExp counts them: kernels, and those that make the same channels as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from kerasprune.costs.cost import macs_of_kernel
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.grouping import components
from kerasprune.papers.synexp.synexp import densities

_SLACK = 1e-9  # relative


def kernel_costs(graph: ChannelGraph, *, macs: bool) -> dict[str, np.ndarray]:
    """Returns what each kernel costs, in the order of `graph.kernels`.

    Args:
        graph: The graph.
        macs: Whether multiply–adds are counted, too.

    Returns:
        `{"params": α, "macs": β}`, the latter where it is counted.

    Raises:
        PruneError: Multiply–adds are not known, since the side of the input is free.
    """
    sizes = np.array([prod(kernel.variable.shape) for kernel in graph.kernels], float)
    if not macs:
        return {"params": sizes}
    macs = [macs_of_kernel(kernel, size) for kernel, size in zip(graph.kernels, sizes, strict=True)]
    return {"params": sizes, "macs": np.array(macs, float)}


@dataclass(frozen=True)
class CoupledLayers:
    """The layers of a graph; those that make channels of one group are one, with one density.

    A depthwise convolution, whose channels are those of the layer before it, is no layer of its own: its costs are that
    layer's. The convolution behind squeeze-and-excitation, which makes gates for the channels of another, shares that
    one's density.

    Args:
        costs: `{"params": α, "macs": β}`: for every layer a mean over those that it is coupled with.
        number: For every layer which of the coupled ones it belongs to.
        of_group: `{group name: which of the coupled ones makes its channels}`; groups without a kernel are not listed.
        of_kernel: `{variable path: which of the coupled ones it belongs to}`, in the order of the graph.
    """

    costs: Mapping[str, np.ndarray]
    number: np.ndarray
    of_group: Mapping[str, int]
    of_kernel: Mapping[str, int]

    @classmethod
    def of(cls, graph: ChannelGraph, *, macs: bool) -> CoupledLayers:
        """Returns the layers of a graph, with their multiply–adds where those are counted."""
        unit, of_group = _units(graph)
        total = max(unit, default=-1) + 1
        layers = np.bincount(unit, [bool(k.reads and k.makes) for k in graph.kernels], minlength=total)
        layers = np.maximum(layers.astype(int), 1)
        number = np.repeat(np.arange(total), layers)
        sums = {key: np.bincount(unit, each, minlength=total) for key, each in kernel_costs(graph, macs=macs).items()}
        of_kernel = dict(zip((kernel.variable.path for kernel in graph.kernels), unit, strict=True))
        return cls({key: (each / layers)[number] for key, each in sums.items()}, number, of_group, of_kernel)

    def densities(self, fractions: Mapping[str, float], *, cap: bool = True) -> dict[str, float]:
        """Returns the density of the layers that make each group.

        Args:
            fractions: `{"params": fraction, "macs": fraction}`, either or both: what stays of the kernels' costs.
            cap: Whether no layer may be denser than 1. Defaults to `True`.
        """
        density = dict(zip(self.number.tolist(), self._found(fractions, cap).tolist(), strict=True))
        return {name: density[unit] for name, unit in self.of_group.items()}

    def unused(self, fractions: Mapping[str, float], *, cap: bool = True) -> list[str]:
        """Returns which of the budgets the densities do not use up."""
        found, costs = self._found(fractions, cap), self.costs
        used = {key: costs[key] @ found / (fraction * costs[key].sum()) for key, fraction in fractions.items()}
        return [key for key, share in used.items() if share < 1 - _SLACK]

    def _found(self, fractions: Mapping[str, float], cap: bool) -> np.ndarray:
        budgets = {key: fraction * self.costs[key].sum() for key, fraction in fractions.items()}
        return densities(self.costs["params"], self.costs.get("macs"), **budgets, cap=cap)


def _units(graph: ChannelGraph) -> tuple[list[int], dict[str, int]]:
    """Returns for every kernel, and for every group that kernels make, which of the coupled layers it belongs to."""
    place = {id(kernel): number for number, kernel in enumerate(graph.kernels)}
    makers = {name: [place[id(kernel)] for kernel, _, _ in graph.made_by(name)] for name in graph.groups}
    makes = {number for numbers in makers.values() for number in numbers}
    ties = []
    for name, numbers in makers.items():  # a kernel that makes nothing filters what others have made
        readers = [place[id(kernel)] for kernel, _, _ in graph.read_by(name)]
        coupled = numbers + [number for number in readers if number not in makes] if numbers else []
        ties += [(np.full(len(coupled), coupled[:1]), np.array(coupled))] if coupled else []
    unit = components(len(place), ties).tolist()
    return unit, {name: unit[numbers[0]] for name, numbers in makers.items() if numbers}
