"""Gates: one factor on the output of a channel; criteria by its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kerasprune.criteria.base import Scores, channel_sums
from kerasprune.criteria.gradients import GradientCriterion
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph

Entries = list[tuple[Slice, Sequence[int]]]
"""Variables, each with the axes along which the channels lie."""


class GateCriterion(GradientCriterion):
    """Base class of criteria that use a gate z = 1 on the output of a channel: `z·∂L/∂z = Σ_w w·∂L/∂w`.

    The sum is over the scale and shift of BatchNorm if the channel has them, since the papers place the gate after it;
    otherwise over the kernels that make the channel, and their biases. A channel made by several layers has one gate.
    """

    def entries(self, graph: ChannelGraph) -> Entries:
        """Returns the weights behind the gates: scales and shifts of BatchNorm, kernels and biases."""
        return [*behind_norms(graph), *behind_kernels(graph)]

    def totals(self, graph: ChannelGraph, worth: Callable[[Slice], Any]) -> Scores:
        """Returns the sums over the gates of each group, after BatchNorm if it has any."""
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


@dataclass(frozen=True)
class TaylorFOGate(GateCriterion):
    """First-order change of the loss when a whole channel is removed, squared.

    `score(c) = (∂L/∂z)² = (Σ w·∂L/∂w)²`, with z = 1 a gate on the output of channel c: the gate form.

    The sum is over the scale and shift of BatchNorm if there is one, otherwise over kernels and biases. For single
    weights it equals the weight form.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> data = [(np.ones((3, 4)), np.ones((3, 2)))]
        >>> kp.criteria.TaylorFOGate().score(kp.trace(model), data, loss="mse")["hidden"].shape
        (8,)

    Reference:
        Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, arXiv 1906.10771, section 3.
    """

    def reduced(self, total: Any) -> Any:
        """Returns the square of the summed first-order changes."""
        return total**2


@dataclass(frozen=True)
class Skeletonization(GateCriterion):
    """First-order increase of the loss when a whole channel is removed, with its sign.

    `score(c) = −∂L/∂z = −Σ w·∂L/∂w`, with z = 1 a gate on the output of channel c.

    The score is signed: a channel whose removal lowers the loss has a negative score and is removed first. The sum is
    over the scale and shift of BatchNorm if there is one, otherwise over kernels and biases; a single weight scores
    `−w·∂L/∂w`. The paper uses the gradient of a linear error, since that of a squared error vanishes with the error: to
    reproduce it, pass such a loss.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> data = [(np.ones((3, 4)), np.ones((3, 2)))]
        >>> kp.criteria.Skeletonization().score(kp.trace(model), data, loss="mse")["hidden"].shape
        (8,)

    Reference:
        Mozer and Smolensky, Skeletonization: A Technique for Trimming the Fat from a Network via Relevance Assessment,
        NIPS 1988, section 2.
    """

    def saliency(self, weight: Any, gradient: Any = None) -> Any:
        """Returns `−w·∂L/∂w`."""
        return -weight * gradient
