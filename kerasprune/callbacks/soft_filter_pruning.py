"""Zeroes the weakest filters after every epoch; the next epoch may revive them."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from kerasprune.backend.derivatives import measurement
from kerasprune.checks import proper_fraction_faults
from kerasprune.criteria.magnitude import L2
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.trace import trace
from kerasprune.training.callback import PruningCallback
from kerasprune.training.candidates import Part, Unit
from kerasprune.training.granularity import Filter
from kerasprune.training.masks import Masks
from kerasprune.training.scope import Layer

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


class SoftFilterPruning(PruningCallback):
    """Sets the filters of lowest L2 norm of every group to zero after each epoch; the next epoch may revive them.

    The plan removes the filters that are zero after the last epoch. BatchNorm and biases are not changed. As in the
    paper, no convolution is spared: those that make a residual trunk are zeroed too. With `coupling="tied"` a trunk is
    one group, ranked over all convolutions that make it, and the plan removes its channels. With `"free"` the plan
    keeps trunks whole and each of their convolutions is ranked separately, as in the authors' code: its zeros remain in
    the slim model (to avoid that, name the layers in `freeze`).

    Args:
        keep: Fraction kept of the channels of every prunable group. Defaults to 0.7.
        coupling: As for `kp.trace`. Defaults to `"free"`.
        freeze: Names of layers, or wildcards, whose channels are all kept. Defaults to none.

    Raises:
        PruneError: `keep` is not a fraction; in `fit`: the model has no prunable channels.

    Example:
        >>> callback = SoftFilterPruning(keep=0.7)

    Reference:
        He et al., Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks, IJCAI 2018, Algorithm 1.
    """

    def __init__(self, keep: float = 0.7, *, coupling: str = "free", freeze: Sequence[str] = ()) -> None:
        super().__init__()
        raise_faults("Invalid arguments for SoftFilterPruning:", proper_fraction_faults(keep=keep))
        self.keep = keep
        self.coupling = Filter(coupling).coupling
        self.freeze = freeze

    def begin(self) -> None:
        """Finds the filters; they are zeroed at the end of epochs only, so nothing is held in the step."""
        granularity = Filter(self.coupling)
        graph, units = granularity.units(self.model, self.freeze)
        if not units:
            raise PruneError("Expected prunable channels. Received: a model without any. Freeze less.")
        self.held = Masks(units, granularity, graph=graph)  # of the plan
        units = [*units, *_others(self.model, self.freeze, units)]
        self._zeroed = Masks(units, granularity)
        self._norms = measurement(
            lambda: [unit.scores(L2()) for unit in units], [variable for variable, _ in self._zeroed.kernels]
        )
        self._zeroed.clear()
        for unit in units:
            self.session.track(unit.state, unit.pruned)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Zeroes the weakest filters, whichever were zero before."""
        _ = self.model  # on JAX this brings the variables up to date
        units, norms = self._zeroed.units, self._norms()
        self._zeroed.assign(Layer().pruned(units, norms, Layer().numbers(units, self.keep)))
        self._zeroed.apply()
        super().on_epoch_end(epoch, logs)


def _others(model: keras.Model, freeze: Sequence[str], units: Sequence[Unit]) -> list[Unit]:
    """Returns one unit for each further prunable convolution."""
    done = {id(part.variable) for unit in units for part in unit.parts}
    graph = trace(model, coupling="tied", freeze=freeze, unknown="freeze")
    made = [each for name in graph.prunable for each in graph.made_by(name)]
    return [
        Unit.of(graph.paths[id(kernel.variable)], kernel.variable.shape[axis], 0, (Part(kernel.variable, axis, own),))
        for kernel, axis, _ in made
        if isinstance(kernel.owner, _CONVOLUTIONS) and kernel.variable.trainable and id(kernel.variable) not in done
        for own in [np.arange(kernel.variable.shape[axis])]
    ]
