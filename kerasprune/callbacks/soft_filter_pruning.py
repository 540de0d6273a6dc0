"""Zeroes the weakest filters after every epoch; the next epoch may revive them."""

from __future__ import annotations

from collections.abc import Sequence

from kerasprune.criteria.l2 import L2
from kerasprune.errors import PruneError, proper_fraction_faults, raise_faults
from kerasprune.training.callback import PruningCallback
from kerasprune.training.granularity import Filter
from kerasprune.training.masks import Masks
from kerasprune.training.scope import Layer


class SoftFilterPruning(PruningCallback):
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
        raise_faults("SoftFilterPruning cannot be made:", proper_fraction_faults(keep=keep))
        self.keep = keep
        self.coupling = Filter(coupling).coupling
        self.freeze = freeze

    def begin(self) -> None:
        """Finds the filters; they are zeroed at the end of epochs only, so nothing is held in the step."""
        granularity = Filter(self.coupling)
        graph, units = granularity.units(self.model, self.freeze)
        if not units:
            raise PruneError("Expected channels that may go. Received: a model whose channels all stay. Freeze less.")
        self.held = Masks(units, granularity, Layer(), L2(), graph)
        self.held.clear()
        for unit in units:
            self.session.track(unit.state, unit.pruned)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Zeroes the weakest filters, those of the epoch before forgotten."""
        _ = self.model  # on JAX this brings the variables up to date
        self.held.clear()
        self.held.renew(self.keep)
        super().on_epoch_end(epoch, logs)
