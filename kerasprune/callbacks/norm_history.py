"""L1 norms of the channels over training: shows how a growing penalty separates them."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from kerasprune.callbacks.table import callbacks
from kerasprune.criteria.base import Evidence, Scores
from kerasprune.criteria.l1 import L1
from kerasprune.errors import PruneError
from kerasprune.files import replacing
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.training.clock import Clock


@callbacks.add("norm_history")
class NormHistory(keras.callbacks.Callback):
    """Takes the L1 norm of every channel of every prunable group: `Σ |w|` over the kernels that make it.

    The norms are taken before the first step, then every `every` steps, and after the last one.

    Args:
        every: Steps between two looks; with several steps per execution the first end of one from there on.
        coupling: The residual width mode of the groups, as for `kp.trace`. Defaults to `"free"`, as growing
            regularisation has it.

    Raises:
        PruneError: `every` is not a positive whole number.

    Example:
        >>> NormHistory(every=100).steps.tolist()
        []

    Reference:
        Figures 1 and 2 of Wang et al., Neural Pruning via Growing Regularization, ICLR 2021.
    """

    def __init__(self, every: int = 100, coupling: str = "free") -> None:
        super().__init__()
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise PruneError(f"Expected a positive whole number of steps. Received: every={every!r}.")
        self.every = every
        self.coupling = coupling
        self._graph: ChannelGraph | None = None
        self._clock: Clock | None = None
        self._begun = 0
        self._due = 0
        self._looks: dict[int, Scores] = {}

    @property
    def steps(self) -> np.ndarray:
        """The steps at which the norms were taken, shape `(times,)`."""
        return np.asarray(list(self._looks), int)

    @property
    def norms(self) -> dict[str, np.ndarray]:
        """`{group name: norms}`, each of shape `(times, channels)`."""
        looks = list(self._looks.values())
        return {name: np.stack([look[name] for look in looks]) for name in (looks[0] if looks else ())}

    def save(self, path: str | Path) -> Path:
        """Writes `steps` and one array per group as `.npz`, in one step, and returns the path.

        Raises:
            PruneError: Nothing has been recorded, or a group is called `steps`.
        """
        norms = self.norms
        if not norms or "steps" in norms:
            raise PruneError(
                "Expected a finished fit of a model without a group called 'steps'. "
                f"Received: the groups {list(norms)}. Fit first, or rename that layer."
            )
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, steps=self.steps, **norms)
        return Path(path)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Takes the norms before the first step; what an earlier fit has left is forgotten."""
        self._graph = trace(self.model, coupling=self.coupling, unknown="freeze")
        self._clock = Clock(self.model.optimizer)
        self._looks = {}
        self._look()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Notes the step at which the epoch begins, so that the batch hook is one comparison."""
        self._begun = self._clock.now()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Takes the norms when it is time."""
        # A batch is at most one step; the clock, which knows, is asked last, because that waits for the device.
        if self._begun + batch + 1 >= self._due and self._clock.now() >= self._due:
            self._look()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Takes the norms after the last step."""
        self._look()

    def _look(self) -> None:
        _ = self.model  # on JAX this brings the variables up to date
        step = self._clock.now()
        self._looks[step] = L1().score(self._graph, Evidence())
        self._due = (step // self.every + 1) * self.every
