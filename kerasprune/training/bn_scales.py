"""The BatchNorm scales of all prunable channels of a model, found through its graph."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.criteria.base import Criterion, Scores
from kerasprune.errors import PruneError, warn
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.sizes import Size
from kerasprune.graph.trace import as_patterns, trace

_FROZEN = "its BatchNorm scales are frozen"


@dataclass(frozen=True)
class ScaleVariable:
    """The scales of one BatchNorm layer.

    Args:
        name: Path of the variable.
        variable: The variable, of shape `(channels,)`.
        channels: `{group name: index in the group of the channel at each position}`; −1: another group's.
    """

    name: str
    variable: Any
    channels: Mapping[str, np.ndarray]

    @property
    def inside(self) -> np.ndarray:
        """Whether the channel at each position is prunable."""
        return np.any([channel >= 0 for channel in self.channels.values()], axis=0)

    def values(self) -> np.ndarray:
        """Returns |γ| at the prunable positions."""
        return np.abs(self.numbers()[self.inside])

    def numbers(self) -> np.ndarray:
        """Returns γ at all positions."""
        return ops.convert_to_numpy(self.variable).astype("float64")

    def bounds(self, low: Any, high: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns bounds for every position, infinite if its channel is not prunable."""
        return np.where(self.inside, low, -np.inf), np.where(self.inside, high, np.inf)

    def read(self, weight: Any) -> Any:
        """Returns γ at the prunable positions, as a tensor; called inside the compiled step."""
        inside = self.inside
        weight = ops.convert_to_tensor(weight)
        return weight if inside.all() else ops.take(weight, np.flatnonzero(inside))


@dataclass(frozen=True)
class NetworkScales(Criterion):
    """All scales of a model. As a criterion: `score(c) = max |γ|` over the layers that scale channel c.

    Args:
        graph: The model's graph, in which groups without scales are pinned.
        layers: The scales of each BatchNorm layer.
        left: `{group name: why it is kept whole}`.
    """

    graph: ChannelGraph
    layers: tuple[ScaleVariable, ...]
    left: Mapping[str, str] = field(default_factory=dict)

    def values(self) -> dict[str, np.ndarray]:
        """Returns `{layer: |γ| at the prunable positions}`."""
        return {scale.name: scale.values() for scale in self.layers}

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the largest scale of every channel."""
        return self._largest({scale.name: np.abs(scale.numbers()) for scale in self.layers})

    def above(self, thresholds: Mapping[str, float]) -> dict[str, np.ndarray]:
        """Returns `{group name: whether each channel has a scale above the threshold of its layer}`."""
        over = {scale.name: np.abs(scale.numbers()) > thresholds[scale.name] for scale in self.layers}
        return {name: values > 0 for name, values in self._largest(over).items()}

    def _largest(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = {name: np.zeros(group.size) for name, group in self.graph.prunable.items()}
        for scale in self.layers:
            for name, channel in scale.channels.items():
                here = channel >= 0
                np.maximum.at(found[name], channel[here], values[scale.name][here])
        return found


def find_scales(
    model: keras.Model, coupling: str = "tied", freeze: Sequence[str] = (), size: Size | None = None
) -> NetworkScales:
    """Finds the scales of all prunable channels.

    Groups with frozen scales, or with a channel that no BatchNorm scales, are kept whole, with a warning.

    Args:
        model: The model.
        coupling: As for `kp.trace`. Defaults to `"tied"`.
        freeze: As for `kp.trace`. Defaults to none.
        size: Size of the inputs at which costs are counted, see `kp.trace`. Defaults to the model's own.

    Raises:
        PruneError: No prunable channel has a trained scale.
    """
    freeze = as_patterns(freeze)
    traced = partial(trace, model, coupling=coupling, unknown="freeze", size=size)
    graph = traced(freeze=freeze)
    left = {name: reason for name in graph.prunable if (reason := scale_fault(graph, name))}
    whole = [glob.escape(layer) for name in left for layer in graph.groups[name].layers]
    pinned = traced(freeze=(*freeze, *whole)) if left else graph
    if not pinned.prunable:
        raise PruneError(_nothing(graph, left))
    _warn(graph, left)
    return NetworkScales(pinned, _layers(pinned), left)


def are_normalised(graph: ChannelGraph, names: Iterable[str]) -> bool:
    """Returns whether a BatchNorm scales channels of the named groups, and so undoes a shrinking before it."""
    owners = (entry.owner for name in names for entry, _, _ in graph.scaled_by(name))
    return any(isinstance(owner, keras.layers.BatchNormalization) for owner in owners)


def scale_fault(graph: ChannelGraph, name: str) -> str:
    """Returns why a group cannot be pruned by its scales; empty if it can."""
    entries = graph.scaled_by(name)
    scaled = np.zeros(graph.groups[name].size, bool)
    for _, _, channel in entries:
        scaled[channel[channel >= 0]] = True
    if not scaled.all():
        return "no BatchNorm scales all of its channels"
    return "" if all(entry.variable.trainable for entry, _, _ in entries) else _FROZEN


def _layers(graph: ChannelGraph) -> tuple[ScaleVariable, ...]:
    """Returns the scales layer by layer."""
    found: dict[int, tuple[Slice, dict[str, np.ndarray]]] = {}
    for name in graph.prunable:
        for entry, _, channel in graph.scaled_by(name):
            found.setdefault(id(entry.variable), (entry, {}))[1][name] = channel
    return tuple(ScaleVariable(graph.paths[key], entry.variable, channels) for key, (entry, channels) in found.items())


def _nothing(graph: ChannelGraph, left: Mapping[str, str]) -> str:
    received = f"Received: {graph.model.name!r}"
    if not left:
        remedies = ", or ".join(["See kp.trace(model).report() or kerasprune inspect for the reasons", *graph.looser])
        return (
            f"Expected a model with channels that can be dropped. {received}, all of whose channels are pinned. "
            f"{remedies}."
        )
    if _FROZEN in left.values():
        return (
            f"Expected BatchNorm scales that are trained. {received}, whose scales are frozen. Set trainable = True on "
            "its BatchNormalization layers."
        )
    return (
        f"Expected a model whose channels are scaled by BatchNorm. {received}, in which no BatchNormalization with "
        "scale=True scales a prunable channel. Take kp.surgery.gated(model), which has scales, or a method that "
        "needs none: kp.callbacks.GReg1, or kp.plan(model, 'l1')."
    )


def _warn(graph: ChannelGraph, left: Mapping[str, str]) -> None:
    reasons = [f"group {name!r} is kept whole: {reason}" for name, reason in left.items()]
    reasons += [f"channels at the layer {unknown.name!r} are kept: it has no rule" for unknown in graph.unknown]
    if reasons:
        more = f"; … ({len(reasons)} in all)" if len(reasons) > 5 else ""
        warn("; ".join(reasons[:5]) + more)
