"""The Reverse variant of HRank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerasprune.criteria.hrank import HRank


@dataclass(frozen=True)
class HRankReverse(HRank):
    """`score(c) = −mean rank`: the highest ranks go first.

    A control: where it does worse than `hrank_random`, high ranks matter.

    Args:
        samples: How many examples are read at the most. Defaults to 640.
        aggregation: How several maps of a channel make one score. Defaults to `"mean"`.

    Reference:
        Lin et al., HRank, CVPR 2020, section 4.4, Fig. 4.
    """

    def arranged(self, ranks: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Returns the ranks with the other sign."""
        return -ranks
