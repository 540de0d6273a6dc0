"""The Random variant of HRank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerasprune.criteria.hrank import HRank


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
