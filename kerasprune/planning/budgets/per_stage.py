"""A fraction for every stage of the network (the stem, then each run of blocks at one spatial size), or for layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, prod

from kerasprune.checks import fraction_faults, is_named
from kerasprune.errors import PruneError, nearest, raise_faults
from kerasprune.graph.blocks import SUMS
from kerasprune.graph.channels import TracedCall
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.groups import number_repeated
from kerasprune.graph.sizes import GUESSES
from kerasprune.graph.trace import size_to_try, trace
from kerasprune.graph.walk import Wiring
from kerasprune.planning.budgets.base import Budget

_LARGE = 256  # of a free input side, if the model takes it: only the order of sizes matters


@dataclass(frozen=True)
class PerStage(Budget):
    """Keeps a given fraction in each stage of the network.

    `fraction(g) = keep[stage of g] ^ t`, with `t = 1` unless a target is given.

    The first stage is the stem (the first convolution); each further one is a run of layers at one spatial size. The
    classifier is excluded. A target is met by scaling all stages together: the level is the smallest of the fractions.

    Args:
        keep: One fraction per stage, or `{layer name or wildcard: fraction}`; the first match applies, and other layers
            are kept whole.

    Example:
        >>> PerStage([1, 0.25, 0.25, 0.68]).keep
        (1, 0.25, 0.25, 0.68)
    """

    keep: Sequence[float] | Mapping[str, float]

    def __post_init__(self) -> None:
        if isinstance(self.keep, str) or not isinstance(self.keep, Mapping | Sequence) or not self.keep:
            raise PruneError(
                f"Expected one fraction kept for every stage, or a dict of layer names. Received: keep={self.keep!r}."
            )
        entries = self.keep.items() if isinstance(self.keep, Mapping) else enumerate(self.keep)
        faults = fraction_faults(**{f"keep[{key!r}]": value for key, value in entries})
        if isinstance(self.keep, Mapping):
            faults += [
                f"Expected keep to name layers. Received: {key!r} among its keys."
                for key in self.keep
                if not isinstance(key, str)
            ]
        raise_faults("Invalid arguments for PerStage:", faults)
        object.__setattr__(self, "keep", dict(self.keep) if isinstance(self.keep, Mapping) else tuple(self.keep))

    @property
    def level(self) -> float:
        """The level without a target: the smallest of the given fractions."""
        return min(self.keep.values() if isinstance(self.keep, dict) else self.keep)

    def fractions(self, graph: ChannelGraph, level: float) -> Mapping[str, float]:
        """Returns the fraction of each group, that of the first layer that makes it."""
        fractions = self._by_layer(graph) if isinstance(self.keep, dict) else self._by_stage(graph)
        power = log(level) / log(self.level) if self.level < 1 else 1.0
        return {name: fraction**power for name, fraction in fractions.items()}

    def _by_layer(self, graph: ChannelGraph) -> dict[str, float]:
        layers = [layer for group in graph.groups.values() for layer in group.layers]
        unused = [p for p in self.keep if not any(is_named(layer, p) for layer in layers)]
        raise_faults(
            "Expected the names of layers that make channels.",
            [f"Received: {pattern!r}.{nearest(pattern, layers)}" for pattern in unused],
        )
        return {
            name: next((keep for p, keep in self.keep.items() if any(is_named(x, p) for x in group.layers)), 1.0)
            for name, group in graph.prunable.items()
        }

    def _by_stage(self, graph: ChannelGraph) -> dict[str, float]:
        found = _stages(graph)
        number = max(found.values(), default=-1) + 1
        if len(self.keep) != number:
            raise PruneError(
                f"Expected one fraction for each of the {number} stages of {graph.model.name!r}, the stem first. "
                f"Received: keep={list(self.keep)}. Or give a dict of layer names."
            )
        fractions = {}
        for name in graph.prunable:
            makers = [id(kernel.owner) for kernel, _, _ in graph.made_by(name)]
            fractions[name] = next((self.keep[found[maker]] for maker in makers if maker in found), 1.0)
        return fractions


def stages(graph: ChannelGraph) -> dict[str, int]:
    """Returns `{layer name: stage}`, counted from 0, for layers with kernels, except dense layers on vectors.

    Stage 0 is the first convolution. A layer inside a residual branch belongs to the stage of the sum that ends the
    branch, even before the block's stride; other layers belong to the stage of their own output size. Layers of one
    name, as in an ensemble, are numbered in order: `"conv#1"`, `"conv#2"`.
    """
    found, names = _stages(graph), {id(kernel.owner): kernel.owner.name for kernel in graph.kernels}
    return dict(zip(number_repeated(names[layer] for layer in found), found.values(), strict=True))


def _stages(graph: ChannelGraph) -> dict[int, int]:
    """Returns the stage of each layer, by its id."""
    if any(None in call.outputs[0].shape[1:] for call in graph.calls):
        size = size_to_try(graph.model, graph.size, (_LARGE, *GUESSES))
        graph = trace(graph.model, coupling=graph.coupling, unknown="freeze", size=size)
    owners = {id(kernel.owner) for kernel in graph.kernels}
    found: dict[int, int] = {}
    stage, size = 0, None
    for layer, here in _sizes(graph, owners).items():
        if found and here != size:
            stage, size = stage + 1, here
        found[layer] = stage
    return found


def _sizes(graph: ChannelGraph, owners: set[int]) -> dict[int, int]:
    """Returns the spatial size of the output of each layer by its id, in the order of the calls."""
    spatial = [c for c in graph.calls if id(c.operation) in owners and len(c.outputs[0].shape) > 2]
    sizes = {id(call.operation): _area(call) for call in spatial}
    wired = Wiring()
    settled: set[int] = set()
    for call in graph.calls:
        wired.add(call, call.inputs, call.outputs)
        if isinstance(call.operation, SUMS):
            for layer in _branch_layers(call, wired, settled):
                settled.add(layer)
                if layer in sizes:
                    sizes[layer] = _area(call)
    return sizes


def _branch_layers(call: TracedCall, wired: Wiring, settled: set[int]) -> set[int]:
    """Returns the ids of the layers that lead to a merge from the merges before it."""
    found, waiting = set(), [wired.maker(x) for x in call.inputs]
    while waiting:
        before = waiting.pop()
        if before is None or id(before.operation) in found | settled or isinstance(before.operation, SUMS):
            continue
        found.add(id(before.operation))
        waiting += [wired.maker(x) for x in before.inputs]
    return found


def _area(call: TracedCall) -> int:
    made = call.outputs[0]
    channels = made.axes or (len(made.shape) - 1,)
    return prod(size for axis, size in enumerate(made.shape) if axis and axis not in channels)
