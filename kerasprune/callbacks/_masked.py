"""What callbacks that remove weights by masks share: attaching, detaching, and what to use afterwards."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasprune.errors import PruneError
from kerasprune.plans import Plan
from kerasprune.training.afterwards import afterwards
from kerasprune.training.attaching import Attaching
from kerasprune.training.granularity import Filter
from kerasprune.training.masks import Masks


class Masked(Attaching):
    """Base of callbacks that hold masks: what is gone is +0.0 after every step, so every saved file is sparse.

    A subclass says what the masks are about (`made`), and when more goes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held: Masks | None = None

    @abstractmethod
    def made(self) -> Masks:
        """Returns masks over what may go; which entries are gone is not settled yet."""

    def within_step(self) -> None:
        """Called inside the compiled step, after the update of the weights and before the masks are applied."""

    def begin(self) -> None:
        """Attaches the masks; an instance can be used for several fits."""
        attachment = self.attached()
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
        self._held.attach(attachment, self.model, self.within_step)
        attachment.trace()

    def end(self) -> None:
        """Takes the masks off; what is gone is zero, whatever weights other callbacks put back, until it is trained."""
        self.detach()
        afterwards(self, self._settle)

    def _settle(self) -> None:
        if self._held.hold():
            return
        warnings.warn(
            "At the end of the fit another callback put weights back that are not pruned as far, as "
            "EarlyStopping(restore_best_weights=True) does. The masks were applied to them, untrained. Let it watch "
            "from the end of the schedule on, start_from_epoch=….",
            stacklevel=2,
        )
        self._held.apply()

    def tracked(self) -> Mapping[str, Any]:
        """Returns the masks."""
        return self._held.tracked()

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
