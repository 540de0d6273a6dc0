"""HRank: the mean rank of a filter's feature maps, and the paper's three controls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import rankdata

from kerasprune.checks import whole_number_faults
from kerasprune.criteria.base import Scores, argument
from kerasprune.criteria.feature_maps import MapCriterion, Place, places
from kerasprune.errors import first_of, warn
from kerasprune.graph.graph import ChannelGraph


@dataclass(frozen=True)
class HRank(MapCriterion):
    """Mean rank of a channel's feature maps over images.

    `score(c) = mean over images of rank(feature map of c)`; the map is the output of the activation after c.

    The rank is that of `numpy.linalg.matrix_rank` in float32: the number of singular values above
    `σ_max · max(H, W) · ε`. A map with three axes is unfolded to `(D·H) × W`; one with fewer than two has rank 0 or 1,
    and a warning is given. If no activation follows a layer, its own output is used. Labels are not used.

    Args:
        samples: Maximum number of examples. Defaults to 640, as in the authors' code.
        aggregation: How several maps of a channel (one after every sum of a residual trunk) are combined into one
            score: a name or an instance. Defaults to `"mean"`.

    Example:
        >>> import numpy as np, kerasprune as kp
        >>> images = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype("float32")
        >>> plan = kp.plan(kp.models.resnet_cifar(8, input_shape=(16, 16, 3)), "hrank", keep=0.5, data=[images])

    Reference:
        Lin et al., HRank: Filter Pruning using High-Rank Feature Map, CVPR 2020, section 3.2.
    """

    samples: int = argument(640, partial(whole_number_faults, 1))

    def places(self, graph: ChannelGraph) -> dict[str, list[Place]]:
        """Returns the outputs of activations, or of layers; warns of maps with fewer than two axes."""
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
                "rank shows only whether they are zero. Use criterion='apoz' or 'l1' there."
            )
        return seen

    def statistic(self, maps: np.ndarray) -> np.ndarray:
        """Returns the rank of every map."""
        return matrix_ranks(maps)

    def scores(self, means: Scores, generator: np.random.Generator) -> Scores:
        """Returns the mean ranks, arranged group by group."""
        return {name: self.arranged(ranks, generator) for name, ranks in means.items()}

    def arranged(self, ranks: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns the scores of a group from the mean ranks of its channels."""
        return ranks


def matrix_ranks(maps: np.ndarray) -> np.ndarray:
    """Returns the rank of every feature map.

    Args:
        maps: Of shape `(examples, channels, …)`; all axes but the last are unfolded into one.

    Returns:
        Integers of shape `(examples, channels)`.

    Example:
        >>> import numpy as np
        >>> matrix_ranks(np.ones((1, 2, 3, 3))).tolist()
        [[1, 1]]
    """
    matrices = maps.reshape(*maps.shape[:2], -1, maps.shape[-1] if maps.ndim > 2 else 1)
    ranks = np.zeros(maps.shape[:2], int)
    alive = matrices.any(axis=(2, 3))  # many maps may be all zeros, of rank 0
    if alive.any():
        ranks[alive] = np.linalg.matrix_rank(matrices[alive])
    return ranks


@dataclass(frozen=True)
class HRankEdge(HRank):
    """Distance of a rank from the middle, negated: lowest and highest ranks are removed first.

    `score(c) = −|place(c) − (n + 1)/2|`, with places 1 … n in order of mean rank.

    A control, with the arguments of `HRank`: if it does worse than `hrank`, high ranks matter. Channels of equal rank
    share their mean place.

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
        """Returns minus the distance of each place from the middle."""
        return -np.abs(rankdata(ranks) - (len(ranks) + 1) / 2)


@dataclass(frozen=True)
class HRankRandom(HRank):
    """The scores of `hrank`, permuted at random within each group.

    A control, with the arguments of `HRank`; fair even with a common threshold: every group keeps as many channels
    as with `hrank`.

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
        """Returns the ranks in random order."""
        return generator.permutation(ranks)


@dataclass(frozen=True)
class HRankReverse(HRank):
    """HRank reversed: channels with the highest ranks are removed first.

    `score(c) = −mean over images of rank(feature map of c)`.

    A control, with the arguments of `HRank`: if it does worse than `hrank_random`, high ranks matter.

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
        """Returns minus the ranks."""
        return -ranks
