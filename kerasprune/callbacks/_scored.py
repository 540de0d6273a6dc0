"""Masks whose entries go by their scores: criterion, granularity and scope, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerasprune import criteria
from kerasprune.callbacks._masked import Masked
from kerasprune.training import granularity as granularities
from kerasprune.training import scope as scopes
from kerasprune.training.masks import Masks


class Scored(Masked):
    """Base of callbacks that remove the lowest scores.

    Args:
        criterion: What one weight is worth.
        granularity: What is removed as one.
        scope: Who competes with whom.
        freeze: Names of layers, or wildcards, that stay whole.
    """

    def __init__(self, criterion: Any, granularity: Any, scope: Any, freeze: Sequence[str]) -> None:
        super().__init__()
        self.criterion = criteria.get(criterion)
        self.granularity = granularities.get(granularity)
        self.scope = scopes.get(scope)
        self.freeze = freeze

    def made(self) -> Masks:
        """Returns masks over what the granularity finds."""
        graph, units = self.granularity.units(self.model, self.freeze)
        return Masks(units, self.granularity, self.scope, self.criterion.saliency, graph)
