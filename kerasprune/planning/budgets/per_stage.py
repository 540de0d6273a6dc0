"""A fraction for every stage of the network, or for named layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import log

from kerasprune.errors import PruneError, fraction_faults, nearest, raise_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.network_stages import stages
from kerasprune.planning.budgets.base import Budget


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
        unused = [p for p in self.keep if not any(fnmatchcase(layer, p) for layer in layers)]
        raise_faults(
            "Expected the names of layers that make channels.",
            [f"Received: {pattern!r}.{nearest(pattern, layers)}" for pattern in unused],
        )
        return {
            name: next((keep for p, keep in self.keep.items() if any(fnmatchcase(x, p) for x in group.layers)), 1.0)
            for name, group in graph.prunable.items()
        }

    def _by_stage(self, graph: ChannelGraph) -> dict[str, float]:
        found = stages(graph)
        number = max(found.values(), default=-1) + 1
        if len(self.keep) != number:
            raise PruneError(
                f"Expected one fraction for each of the {number} stages of {graph.model.name!r}, the stem first. "
                f"Received: keep={list(self.keep)}. Or give a dict of layer names."
            )
        fractions = {}
        for name in graph.prunable:
            makers = [kernel.owner.name for kernel, _, _ in graph.made_by(name)]
            fractions[name] = next((self.keep[found[maker]] for maker in makers if maker in found), 1.0)
        return fractions
