"""Gates: one factor on all that a channel puts out, and what the loss says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from kerasprune.criteria.base import Scores, channel_sums
from kerasprune.criteria.gradients import GradientCriterion
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph

Entries = list[tuple[Slice, Sequence[int]]]
"""Variables, each with the axes along which the channels lie."""


class GateCriterion(GradientCriterion):
    """Base of criteria that look at a gate z, at 1, on what a channel puts out: `z·∂L/∂z = Σ_w w·∂L/∂w`.

    The sum goes over the scale and shift of BatchNorm where the channel has them, as the papers set their gates behind
    it; elsewhere over the kernels that make the channel, and their biases. A channel that several layers make has one
    gate on all of them.
    """

    def entries(self, graph: ChannelGraph) -> Entries:
        """Returns the variables of both kinds of gates."""
        return [*behind_norms(graph), *behind_kernels(graph)]

    def totals(self, graph: ChannelGraph, worth: Callable[[Slice], Any]) -> Scores:
        """Returns the sums over the gates of each group, behind BatchNorm where it has any."""
        return channel_sums(graph, behind_kernels(graph), worth) | channel_sums(graph, behind_norms(graph), worth)

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `w·∂L/∂w`."""
        return weight * gradient


def behind_norms(graph: ChannelGraph) -> Entries:
    """Returns scales and shifts of the BatchNorm layers that scale."""
    scaling = {id(entry.owner) for entry in graph.slices if entry.role == "scale"}
    return [
        (entry, range(len(entry.ids)))
        for entry in graph.slices
        if id(entry.owner) in scaling
        and entry.role in ("scale", "bias")
        and isinstance(entry.owner, keras.layers.BatchNormalization)
    ]


def behind_kernels(graph: ChannelGraph) -> Entries:
    """Returns the kernels that make channels, and the biases of layers without a scale."""
    makers = [(kernel, kernel.makes) for kernel in graph.kernels]
    owners = {id(kernel.owner) for kernel in graph.kernels}
    biases = [entry for entry in graph.slices if entry.role == "bias" and id(entry.owner) in owners]
    return [*makers, *((entry, range(len(entry.ids))) for entry in biases)]
