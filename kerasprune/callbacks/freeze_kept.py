"""Freezes the best filters while the others are fine-tuned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from kerasprune import criteria
from kerasprune.checks import interval_faults, seed_faults
from kerasprune.criteria.base import Criterion
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.trace import trace, warn_of_unknown
from kerasprune.training.callback import PruningCallback
from kerasprune.training.constraints import Freeze
from kerasprune.training.optimizer import ensure_built, memory


class FreezeKept(PruningCallback):
    """Freezes the filters of highest score, while `fit` trains all other weights.

    This is HRank's fine-tuning: the best filters of a pruned network carry most of its information and need no further
    training. When `fit` begins, all channels of all prunable groups are scored; the filters of the highest-scoring
    ones, and their biases, are then held fixed. BatchNorm is trained. The constraint acts inside the compiled step;
    gradients are still computed, so a step is not faster.

    Args:
        fraction: Fraction of the channels of every group whose filters are frozen, rounded down. Defaults to 0.15, the
            smaller of the paper's two values.
        criterion: The score: a name, a dict, a class or an instance. Defaults to `"l1"`; the paper's is `"hrank"`,
            which needs `data`.
        data: Batches for criteria that need data. Defaults to `None`.
        freeze: Names of layers, or wildcards, as for `kp.trace`, whose channels are trained. Defaults to none.
        seed: Random seed. Defaults to 0.
        strict: Whether to raise an error if the callback had no effect. Defaults to `True`.

    Raises:
        PruneError: An argument is out of range; in `fit`: the criterion needs `data`, or no filter is frozen.

    Example:
        >>> import numpy as np, kerasprune as kp
        >>> model = kp.models.resnet_cifar(8, input_shape=(16, 16, 3))
        >>> slim = kp.rebuild(model, kp.plan(model, keep=0.5))
        >>> slim.compile("sgd", "mse")
        >>> images = np.zeros((8, 16, 16, 3), "float32")
        >>> callback = FreezeKept(0.25, criterion="hrank", data=[images])
        >>> _ = slim.fit(images, np.zeros((8, 10)), verbose=0, callbacks=[callback])
        >>> int(callback.frozen["stem_conv/kernel"].sum())  # of 8 filters of 3 × 3 × 3
        54

    Reference:
        Lin et al., HRank: Filter Pruning using High-Rank Feature Map, CVPR 2020, Fig. 1 and section 4.4.
    """

    def __init__(
        self,
        fraction: float = 0.15,
        *,
        criterion: str | dict | type | Criterion = "l1",
        data: Any = None,
        freeze: Sequence[str] = (),
        seed: int = 0,
        strict: bool = True,
    ) -> None:
        super().__init__(strict=strict)
        faults = [*interval_faults("(0, 1)", "a fraction of the channels", fraction=fraction), *seed_faults(seed=seed)]
        raise_faults("Invalid arguments for FreezeKept:", faults)
        self.fraction = fraction
        self.criterion = criteria.get(criterion)
        self.data = data
        self.freeze = tuple(freeze)
        self.seed = seed

    def begin(self) -> None:
        """Scores the channels, and holds the filters and biases that make the best of them."""
        graph = trace(self.model, unknown="freeze", freeze=self.freeze)
        warn_of_unknown(graph, "FreezeKept")
        best, self._paths = self._best(graph), graph.paths
        ensure_built(self.model)
        self._holds: list[tuple[Any, Freeze]] = []
        filters = {id(entry.owner) for entry in graph.kernels}
        for entry in graph.slices:
            lines = _lines(graph, entry, best) if id(entry.owner) in filters else []  # BatchNorm is trained
            if entry.variable.trainable and any(line.any() for line in lines):
                self._hold(entry.variable, np.array(np.broadcast_to(np.logical_or.reduce(lines), entry.variable.shape)))
        if not self._holds:
            raise PruneError(
                f"Expected filters to freeze. Received: fraction={self.fraction}, which is less than "
                "one channel of every group, or kernels that are not trained. Raise fraction."
            )

    def _best(self, graph: ChannelGraph) -> np.ndarray:
        """Returns whether each class of channels is among the best of its group."""
        best = np.zeros(graph.classes.max(initial=-1) + 1, bool)
        for name, scores in criteria.score(self.criterion, graph, self.data, seed=self.seed).items():
            number = int(self.fraction * len(scores) + 1e-9)
            best[graph.groups[name].classes[np.argsort(-scores, kind="stable")[:number]]] = True
        return best

    def _hold(self, variable: Any, frozen: np.ndarray) -> None:
        track, path = self.session.variable, self._paths[id(variable)]
        rule = Freeze(
            track(f"frozen/{path}", frozen),
            track(f"held/{path}", np.array(values(variable))),
            *memory(self.model.optimizer, variable),
        )
        self.session.constrain(variable, rule)
        self._holds.append((variable, rule))

    def resumed(self) -> None:
        """Restores the values held in an earlier fit, should they have changed since."""
        for variable, rule in self._holds:
            variable.assign(rule(variable))

    def shortfalls(self) -> list[str]:
        """Returns a fault that names the frozen filters that have moved."""
        held = [(v, *map(ops.convert_to_numpy, (rule.frozen, rule.held, v))) for v, rule in self._holds]
        moved = [self._paths[id(v)] for v, where, values, now in held if not np.array_equal(values[where], now[where])]
        if not moved or not self.session.attached("constraint"):
            return super().shortfalls()
        return [
            *super().shortfalls(),
            f"Frozen filters of {', '.join(moved[:3])} have moved: something assigns them without the optimizer. "
            "Update with optimizer.apply, and let other callbacks leave weights alone.",
        ]

    def gauges(self) -> dict[str, float]:
        """Returns the share of the weights of the held variables that is frozen."""
        frozen = list(self.frozen.values())
        return {"frozen": float(sum(each.sum() for each in frozen) / sum(each.size for each in frozen))}

    @property
    def frozen(self) -> dict[str, np.ndarray]:
        """`{variable path: booleans of its shape, true where a weight is frozen}`."""
        self.used()
        return {self._paths[id(variable)]: ops.convert_to_numpy(rule.frozen) for variable, rule in self._holds}


def _lines(graph: ChannelGraph, entry: Slice, best: np.ndarray) -> list[np.ndarray]:
    """Returns whether each channel is among the best, to be broadcast, for each axis that makes channels."""
    axes = {"kernel": entry.makes, "bias": range(len(entry.ids))}.get(entry.role, ())
    rank = len(entry.ids)
    return [
        best[graph.classes[entry.ids[axis]]].reshape([-1 if each == axis else 1 for each in range(rank)])
        for axis in axes
        if entry.ids[axis] is not None
    ]
