"""The Edge variant of HRank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from kerasprune.criteria.hrank import HRank


@dataclass(frozen=True)
class HRankEdge(HRank):
    """`score(c) = −|place(c) − (n + 1)/2|`, place 1 … n by mean rank: the lowest and the highest ranks go first.

    A control: where it does worse than `hrank`, high ranks matter. Channels of equal rank share their mean place.

    Args:
        samples: How many examples are read at the most. Defaults to 640.
        aggregation: How several maps of a channel make one score. Defaults to `"mean"`.

    Reference:
        Lin et al., HRank, CVPR 2020, section 4.4, Fig. 4.
    """

    def arranged(self, ranks: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns how near a channel stands to the middle."""
        return -np.abs(rankdata(ranks) - (len(ranks) + 1) / 2)
