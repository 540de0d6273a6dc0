"""The competition among weights: criterion, granularity and scope of masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kerasprune import criteria
from kerasprune.attaching import granularity as granularities
from kerasprune.attaching import scope as scopes
from kerasprune.attaching.masks import Masks
from kerasprune.errors import PruneError


@dataclass(frozen=True)
class Selection:
    """What a weight is worth, what is removed as one, who competes with whom, and what stays out of it.

    Args:
        criterion: What one weight is worth: a name, a dict, a class or an instance with `saliency`.
        granularity: What is removed as one, spelt likewise.
        scope: Who competes with whom, spelt likewise.
        freeze: Names of layers, or wildcards, that stay whole.
    """

    criterion: Any
    granularity: Any
    scope: Any
    freeze: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "criterion", criteria.get(self.criterion))
        if self.criterion.needs:
            raise PruneError(
                "Expected a criterion of weights alone, since masks are chosen inside the compiled step. Received: "
                f"criterion={type(self.criterion).__name__}, which needs {', '.join(sorted(self.criterion.needs))}. "
                "Take 'l1', or choose channels before: kp.plan(model, criterion, data=...), and hand the plan to GReg1."
            )
        object.__setattr__(self, "granularity", granularities.get(self.granularity))
        object.__setattr__(self, "scope", scopes.get(self.scope))

    def masks(self, model: keras.Model) -> Masks:
        """Returns masks over everything in a model that may be removed; nothing is removed yet."""
        graph, units = self.granularity.units(model, self.freeze)
        return Masks(units, self.granularity, self.scope, self.criterion, graph)
