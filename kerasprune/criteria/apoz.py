"""APoZ: channels that are mostly zero behind their activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasprune.criteria.base import Scores
from kerasprune.criteria.feature_maps import MapCriterion, places
from kerasprune.errors import first_of, warn
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True)
class APoZ(MapCriterion):
    """`score(c) = −(share of zeros among all values of c behind its activation)`, over images and positions.

    The average percentage of zeros says how often a unit is silent; higher = keep, so minus. Activations that never
    put out zero (sigmoid, GELU) make all scores of a group 0, as does having none behind; that is warned of. Labels are
    not used.

    Args:
        samples: How many examples are read at the most. Defaults to 5000.
        aggregation: How several maps of a channel (those behind every sum of a residual trunk) make one score: a name
            or an instance. Defaults to `"mean"`.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> import numpy as np, kerasprune as kp
        >>> images = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype("float32")
        >>> plan = kp.plan(kp.models.resnet_cifar(8, input_shape=(16, 16, 3)), "apoz", keep=0.5, data=[images])

    Reference:
        Hu et al., Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep Architectures,
        arXiv 1607.03250, Eq. 1.
    """

    samples: int = 5000

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns minus the shares of zeros.

        Raises:
            PruneError: There is no data, it does not fit the model, or channels cannot be seen in any output.
        """
        self.check(data)
        seen = {name: [place for place in each if place.activated] for name, each in places(graph).items()}
        shares = self.channel_averages(graph, seen, data, shares_of_zeros)
        never = [name for name, share in shares.items() if not share.any()]
        if never:
            warn(
                f"What is seen of {first_of(never)} is never zero, so their "
                "channels are not told apart. Use another criterion, or freeze those layers with kp.trace."
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
