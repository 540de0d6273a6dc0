"""What callbacks share that put something on a model's variables for the length of a fit, and count its steps."""

from __future__ import annotations

import numpy as np

from kerasprune.training.attachment import Attachment
from kerasprune.training.callback import Resumable, State
from kerasprune.training.clock import Clock


class Attaching(Resumable):
    """Base of callbacks that attach: `attached` in `begin`, `detach` in `end`."""

    _clock: Clock | None = None
    _attachment: Attachment | None = None

    def attached(self) -> Attachment:
        """Starts the clock, and returns what regularizers and constraints are put on with; an earlier one goes."""
        self.detach()
        self._clock = Clock(self.model.optimizer)
        self._attachment = Attachment(self.model)
        return self._attachment

    def detach(self) -> None:
        """Takes off what was put on; does nothing where that is nothing."""
        if self._attachment is not None:
            self._attachment.detach()
            self._attachment = None

    def state(self) -> State:
        """Returns the state, with the step at which the clock was started."""
        return {**super().state(), "start": np.asarray(self._clock.start)}

    def restore(self, state: State) -> None:
        """Puts it back."""
        super().restore(state)
        self._clock.start = int(state["start"])
