"""What callbacks that remove weights by masks share: attaching, detaching, and what to use afterwards."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasprune.callbacks.attachment import Attachment
from kerasprune.callbacks.clock import Clock
from kerasprune.callbacks.granularity import Filter
from kerasprune.callbacks.masks import Masks
from kerasprune.callbacks.resumable import Resumable, State
from kerasprune.errors import PruneError
from kerasprune.plans import Plan


class Masked(Resumable):
    """Base of callbacks that hold masks: what is gone is +0.0 after every step, so every saved file is sparse.

    A subclass says what the masks are about (`made`), and when more goes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held: Masks | None = None
        self._clock: Clock | None = None
        self._attachment: Attachment | None = None

    @abstractmethod
    def made(self) -> Masks:
        """Returns masks over what may go; which entries are gone is not settled yet."""

    def within_step(self) -> None:
        """Called inside the compiled step, after the update of the weights and before the masks are applied."""

    def begin(self) -> None:
        """Attaches the masks; an instance can be used for several fits."""
        self.detach()
        self._clock = Clock(self.model.optimizer)
        self._held = self.made()
        if not self._held.units:
            raise PruneError(
                "Expected kernels that may lose weights. Received: a model all of whose kernels are frozen, or none. "
                "Set layer.trainable = True, or freeze less."
            )
        frozen = self._held.frozen()
        if frozen:
            more = "…" if len(frozen) > 5 else ""
            warnings.warn(f"Frozen kernels stay whole: {', '.join(frozen[:5])}{more}.", stacklevel=5)
        self._held.clear()
        self._attachment = Attachment(self.model)
        self._held.attach(self._attachment, self.model, self.within_step)
        self._attachment.trace()

    def end(self) -> None:
        """Takes the masks off; what is gone is zero, and stays zero until somebody trains it."""
        self.detach()

    def detach(self) -> None:
        """Takes the masks off; does nothing where none are attached."""
        if self._attachment is not None:
            self._attachment.detach()
            self._attachment = None

    def tracked(self) -> Mapping[str, Any]:
        """Returns the masks."""
        return self._held.tracked()

    def state(self) -> State:
        """Returns masks and clock."""
        return {**super().state(), "start": np.asarray(self._clock.start)}

    def restore(self, state: State) -> None:
        """Puts masks and clock back."""
        super().restore(state)
        self._clock.start = int(state["start"])

    # ---- afterwards -----------------------------------------------------------------------------------------

    @property
    def leaves_masks(self) -> bool:
        """Whether single weights go, or blocks of them, rather than channels."""
        return not isinstance(self._done().granularity, Filter)

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """`{variable path: boolean mask of the weights that stay}`, during `fit` and after it."""
        return self._done().arrays()

    @property
    def kept(self) -> float:
        """The fraction of the weights of the masked kernels that stay, at this moment."""
        return self._done().share()

    @property
    def plan(self) -> Plan:
        """What to hand to `kp.rebuild` (granularity `"filter"`)."""
        return self._done().plan()

    def gauges(self) -> dict[str, float]:
        """Returns the fraction that stays."""
        return {"kept": self.kept}

    def _done(self) -> Masks:
        if self._held is None:
            raise PruneError("Expected a callback that has been in a fit. Received: one that has not been used yet.")
        return self._held
