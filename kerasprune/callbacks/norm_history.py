"""L1 norms of the channels during training, which a growing penalty separates."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kerasprune.checks import whole_number_faults
from kerasprune.criteria.magnitude import L1
from kerasprune.errors import PruneError, raise_faults
from kerasprune.files import replace_when_done
from kerasprune.graph.trace import trace
from kerasprune.training.callback import PruningCallback


class NormHistory(PruningCallback):
    """Records the L1 norm of every channel of every prunable group: `Σ |w|` over the kernels that make it.

    The norms are recorded before the first step, then every `every` steps, and after the last one.

    Args:
        every: Steps between two records. With several steps per execution, the norms are recorded after the execution.
        coupling: The coupling of the groups, as for `kp.trace`. Defaults to `"free"`, as in growing regularisation.

    Example:
        >>> NormHistory(every=100).steps.tolist()
        []

    Reference:
        Figures 1 and 2 of Wang et al., Neural Pruning via Growing Regularization, ICLR 2021.
    """

    follows_weights = True
    continues = False

    def __init__(self, every: int = 100, coupling: str = "free") -> None:
        super().__init__()
        raise_faults("Invalid arguments for NormHistory:", whole_number_faults(1, every=every))
        self.every = every
        self.coupling = coupling

    @property
    def steps(self) -> np.ndarray:
        """The steps at which the norms were recorded, shape `(times,)`."""
        return np.zeros(0, int) if self.session is None else self.session.looks

    @property
    def norms(self) -> dict[str, np.ndarray]:
        """`{group name: norms}`, each of shape `(times, channels)`."""
        notes = {} if self.session is None else self.session.notes
        return {key.removeprefix("norms/"): norms for key, norms in notes.items() if key.startswith("norms/")}

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
        with replace_when_done(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, steps=self.steps, **norms)
        return Path(path)

    def begin(self) -> None:
        """Records the norms before the first step; those of an earlier fit are dropped."""
        self._graph = trace(self.model, coupling=self.coupling, unknown="freeze")
        self._look()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Stores the step at which the epoch begins, so that the batch hook is one comparison."""
        super().on_epoch_begin(epoch, logs)
        self._epoch_began = self.session.now()
        self._due = (int(self.steps[-1]) // self.every + 1) * self.every

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Records the norms if due."""
        # A batch is at most one step; reading the exact number waits for the device.
        if self._epoch_began + batch + 1 >= self._due and self.session.now() >= self._due:
            self._look()

    def end(self) -> None:
        """Records the norms after the last step."""
        self._look()

    def _look(self) -> None:
        _ = self.model  # on JAX this brings the variables up to date
        self.session.look({f"norms/{name}": norms for name, norms in self._scores().items()})
        self._due = (int(self.steps[-1]) // self.every + 1) * self.every

    def _scores(self) -> dict[str, np.ndarray]:
        return L1().score(self._graph)
