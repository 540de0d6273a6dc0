"""HRank: filters whose feature maps have high rank carry information; and the paper's three controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from kerasprune.criteria.base import Scores
from kerasprune.criteria.feature_maps import MapCriterion, places
from kerasprune.errors import first_of, warn
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True)
class HRank(MapCriterion):
    """`score(c) = mean over images of rank(feature map of c)`, the map being what the activation behind c puts out.

    The rank is that of `numpy.linalg.matrix_rank` in float32: singular values above `σ_max · max(H, W) · ε`. A map of
    three axes is unfolded to `(D·H) × W`; one of fewer than two axes has rank 0 or 1, which is warned of. Where no
    activation stands behind a layer, its own output is taken. Labels are not used.

    Args:
        samples: How many examples are read at the most. Defaults to 640, the authors' number.
        aggregation: How several maps of a channel (those behind every sum of a residual trunk) make one score: a name
            or an instance. Defaults to `"mean"`.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> import numpy as np, kerasprune as kp
        >>> images = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype("float32")
        >>> plan = kp.plan(kp.models.resnet_cifar(8, input_shape=(16, 16, 3)), "hrank", keep=0.5, data=[images])

    Reference:
        Lin et al., HRank: Filter Pruning using High-Rank Feature Map, CVPR 2020, section 3.2.
    """

    samples: int = 640

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the scores from mean ranks.

        Raises:
            PruneError: There is no data, it does not fit the model, or channels cannot be seen in any output.
        """
        self.check(data)
        seen = places(graph)
        outputs = [call.node.outputs for call in graph.calls]
        flat = [
            name
            for name, each in seen.items()
            if any(len(outputs[place.call][place.output].shape) < 4 for place in each)
        ]
        if flat:
            warn(
                f"Feature maps of {first_of(flat)} have fewer than two axes: their "
                "rank says only whether they are zero. Use criterion='apoz' or 'l1' there."
            )
        averages, generator = self.channel_averages(graph, seen, data, matrix_ranks), np.random.default_rng(seed)
        return {name: self.arranged(ranks, generator) for name, ranks in averages.items()}

    def arranged(self, ranks: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns the scores of a group from the mean ranks of its channels; variants say otherwise."""
        return ranks


def matrix_ranks(maps: np.ndarray) -> np.ndarray:
    """Returns the rank of every feature map.

    Args:
        maps: Of shape `(examples, channels, …)`; all axes but the last are unfolded into one.

    Returns:
        Whole numbers of shape `(examples, channels)`.

    Example:
        >>> import numpy as np
        >>> matrix_ranks(np.ones((1, 2, 3, 3))).tolist()
        [[1, 1]]
    """
    matrices = maps.reshape(*maps.shape[:2], -1, maps.shape[-1] if maps.ndim > 2 else 1)
    ranks = np.zeros(maps.shape[:2], int)
    alive = matrices.any(axis=(2, 3))  # a map of zeros has rank 0, and there may be many
    if alive.any():
        ranks[alive] = np.linalg.matrix_rank(matrices[alive])
    return ranks


@dataclass(frozen=True)
class HRankEdge(HRank):
    """`score(c) = −|place(c) − (n + 1)/2|`, place 1 … n by mean rank: the lowest and the highest ranks go first.

    A control: where it does worse than `hrank`, high ranks matter. Channels of equal rank share their mean place.

    Args:
        samples: How many examples are read at the most. Defaults to 640.
        aggregation: How several maps of a channel make one score. Defaults to `"mean"`.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> head = [keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Conv2D(4, 3, name="conv"), *head])
        >>> data = [(np.random.default_rng(0).normal(size=(3, 6, 6, 1)), np.zeros(3))]
        >>> kp.criteria.HRankEdge().score(kp.trace(model), data)["conv"].shape
        (4,)

    Reference:
        Lin et al., HRank, CVPR 2020, section 4.4, Fig. 4.
    """

    def arranged(self, ranks: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns how near a channel stands to the middle."""
        return -np.abs(rankdata(ranks) - (len(ranks) + 1) / 2)


@dataclass(frozen=True)
class HRankRandom(HRank):
    """The scores of `hrank`, dealt out to the channels of each group by chance.

    A control that is fair under a common threshold too: every group keeps as many channels as with `hrank`.

    Args:
        samples: How many examples are read at the most. Defaults to 640.
        aggregation: How several maps of a channel make one score. Defaults to `"mean"`.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> head = [keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Conv2D(4, 3, name="conv"), *head])
        >>> data = [(np.random.default_rng(0).normal(size=(3, 6, 6, 1)), np.zeros(3))]
        >>> kp.criteria.HRankRandom().score(kp.trace(model), data)["conv"].shape
        (4,)

    Reference:
        Lin et al., HRank, CVPR 2020, section 4.4, Fig. 4.
    """

    def arranged(self, ranks: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns the ranks in another order."""
        return generator.permutation(ranks)


@dataclass(frozen=True)
class HRankReverse(HRank):
    """`score(c) = −mean rank`: the highest ranks go first.

    A control: where it does worse than `hrank_random`, high ranks matter.

    Args:
        samples: How many examples are read at the most. Defaults to 640.
        aggregation: How several maps of a channel make one score. Defaults to `"mean"`.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> head = [keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Conv2D(4, 3, name="conv"), *head])
        >>> data = [(np.random.default_rng(0).normal(size=(3, 6, 6, 1)), np.zeros(3))]
        >>> kp.criteria.HRankReverse().score(kp.trace(model), data)["conv"].shape
        (4,)

    Reference:
        Lin et al., HRank, CVPR 2020, section 4.4, Fig. 4.
    """

    def arranged(self, ranks: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns the ranks with the other sign."""
        return -ranks
