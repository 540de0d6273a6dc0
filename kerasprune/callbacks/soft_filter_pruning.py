"""Soft filter pruning: after every epoch the weakest filters are set to zero, and go on being trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from kerasprune.callbacks.table import callbacks
from kerasprune.errors import PruneError, is_number
from kerasprune.plans import Plan
from kerasprune.training.callback import Resumable
from kerasprune.training.granularity import Filter
from kerasprune.training.masks import Masks
from kerasprune.training.scope import Layer


@callbacks.add("soft_filter_pruning")
class SoftFilterPruning(Resumable):
    """Sets the filters of lowest L2 norm of every group to zero after each epoch; the next epoch may revive them.

    What is zero after the last epoch is what the plan removes. BatchNorm and biases are not touched.

    Args:
        keep: Fraction of the channels of every prunable group that stays. Defaults to 0.7.
        coupling: The residual width mode, as for `kp.trace`. Defaults to `"free"`.
        freeze: Names of layers, or wildcards, whose channels all stay. Defaults to none.

    Raises:
        PruneError: `keep` is not a fraction; in `fit`: the model has no channels that may go.

    Example:
        >>> callback = SoftFilterPruning(keep=0.7)

    Reference:
        He et al., Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks, IJCAI 2018, Algorithm 1.
    """

    def __init__(self, keep: float = 0.7, *, coupling: str = "free", freeze: Sequence[str] = ()) -> None:
        super().__init__()
        if not is_number(keep) or not 0 < keep < 1:
            raise PruneError(f"Expected a fraction kept in (0, 1). Received: keep={keep!r}.")
        self.keep = keep
        self.coupling = Filter(coupling).coupling
        self.freeze = freeze
        self._soft: Masks | None = None

    def begin(self) -> None:
        """Finds the filters."""
        granularity = Filter(self.coupling)
        graph, units = granularity.units(self.model, self.freeze)
        if not units:
            raise PruneError("Expected channels that may go. Received: a model whose channels all stay. Freeze less.")
        self._soft = Masks(units, granularity, Layer(), ops.square, graph)
        self._soft.clear()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Sets the weakest filters to zero, those of the epoch before forgotten."""
        _ = self.model  # on JAX this brings the variables up to date
        self._soft.clear()
        self._soft.renew(self.keep)

    def tracked(self) -> Mapping[str, Any]:
        """Returns which filters were zero last."""
        return self._soft.tracked()

    def gauges(self) -> dict[str, float]:
        """Returns the fraction of the weights that is not zero."""
        return {"kept": self._soft.share()}

    @property
    def plan(self) -> Plan:
        """What to hand to `kp.rebuild` after `fit`."""
        return self._done().plan()

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """`{variable path: boolean mask of the weights that are not zero}`."""
        return self._done().arrays()

    def _done(self) -> Masks:
        if self._soft is None:
            raise PruneError("Expected a callback that has been in a fit. Received: one that has not been used yet.")
        return self._soft
