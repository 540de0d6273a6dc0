"""Ablations of a mask: its densities per layer, its choice of weights, or their initial values.

The paper's third ablation, new weights under the same mask, is `kp.surgery.reinitialise(model)` with the mask as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kerasprune import criteria
from kerasprune.checks import whole_number_faults
from kerasprune.criteria.base import Criterion, Scores
from kerasprune.errors import raise_faults
from kerasprune.graph.graph import ChannelGraph


def shuffle_masks(masks: Mapping[str, np.ndarray], *, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns masks that keep the same number of weights in every kernel, at random positions.

    Args:
        masks: `{variable path: mask of the weights kept}`; not modified.
        seed: Random seed. Defaults to 0.

    Example:
        >>> import numpy as np, kerasprune as kp
        >>> mask = {"kernel": np.arange(6).reshape(2, 3) < 2}
        >>> masks = kp.papers.lottery_tickets.shuffled(mask, seed=1)
        >>> {path: (each.shape, int(each.sum())) for path, each in masks.items()}
        {'kernel': ((2, 3), 2)}

    Reference:
        Frankle et al., Pruning Neural Networks at Initialization: Why Are We Missing the Mark?, arXiv 2009.08576,
        section 5.
    """
    raise_faults("Invalid arguments for shuffled:", whole_number_faults(0, seed=seed))
    generator = np.random.default_rng(seed)
    return {path: generator.permutation(np.ravel(mask)).reshape(np.shape(mask)) for path, mask in masks.items()}


class Inverted(Criterion):
    """The negative score of another criterion: it removes the weights that the other criterion scores highest.

    Args:
        criterion: The other criterion: a name, a dict, a class or an instance.

    Example:
        >>> Inverted("l1")
        Inverted(L1())

    Reference:
        Frankle et al., arXiv 2009.08576, section 5.
    """

    def __init__(self, criterion: str | dict | type | Criterion) -> None:
        self.criterion = criteria.get(criterion)
        self.needs = self.criterion.needs

    def __repr__(self) -> str:
        return f"Inverted({self.criterion!r})"

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the other's scores of channels, negated."""
        found = self.criterion.score(graph, data=data, loss=loss, seed=seed)
        return {name: -np.asarray(scores) for name, scores in found.items()}

    def saliency_of(
        self, model: keras.Model, data: Any = None, loss: Any = None, seed: int = 0
    ) -> dict[str, np.ndarray]:
        """Returns the other's scores of weights, negated."""
        found = self.criterion.saliency_of(model, data=data, loss=loss, seed=seed)
        return {path: -np.asarray(scores) for path, scores in found.items()}
