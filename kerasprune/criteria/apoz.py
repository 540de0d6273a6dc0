"""APoZ: the average percentage of zeros after the activation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from kerasprune.checks import whole_number_faults
from kerasprune.criteria.base import Scores, argument
from kerasprune.criteria.feature_maps import MapCriterion, Place, places
from kerasprune.errors import first_of, warn
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True)
class APoZ(MapCriterion):
    """Share of zeros after the activation, negated: channels that are mostly zero are removed first.

    `score(c) = −(share of zeros among all values of c after its activation)`, over images and positions.

    If the activation is never zero (sigmoid, GELU), or there is none, all scores of a group are 0; a warning names such
    groups. Labels are not used.

    Args:
        samples: Maximum number of examples. Defaults to 5000.
        aggregation: How several maps of a channel (one after every sum of a residual trunk) are combined into one
            score: a name or an instance. Defaults to `"mean"`.

    Example:
        >>> import numpy as np, kerasprune as kp
        >>> images = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype("float32")
        >>> plan = kp.plan(kp.models.resnet_cifar(8, input_shape=(16, 16, 3)), "apoz", keep=0.5, data=[images])

    Reference:
        Hu et al., Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep Architectures,
        arXiv 1607.03250, Eq. 1.
    """

    samples: int = argument(5000, partial(whole_number_faults, 1))

    def places(self, graph: ChannelGraph) -> dict[str, list[Place]]:
        """Returns the outputs of activations."""
        return {name: [place for place in each if place.activated] for name, each in places(graph).items()}

    def statistic(self, maps: np.ndarray) -> np.ndarray:
        """Returns the share of zeros in every map."""
        return shares_of_zeros(maps)

    def scores(self, shares: Scores, generator: np.random.Generator) -> Scores:
        """Returns minus the shares of zeros."""
        never = [name for name, share in shares.items() if not share.any()]
        if never:
            warn(
                f"The activations of {first_of(never)} are never zero, so all their channels score alike. "
                "Use another criterion, or freeze those layers with kp.trace."
            )
        return {name: -share for name, share in shares.items()}


def shares_of_zeros(maps: np.ndarray) -> np.ndarray:
    """Returns the share of zeros in every feature map.

    Args:
        maps: Of shape `(examples, channels, …)`.

    Returns:
        Shares of shape `(examples, channels)`.

    Example:
        >>> import numpy as np
        >>> shares_of_zeros(np.array([[[0.0, 1.0], [0.0, 0.0]]])).tolist()
        [[0.5, 1.0]]
    """
    return (maps == 0).reshape(*maps.shape[:2], -1).mean(axis=2)
