"""What callbacks with a state share: they begin and end once a fit, know one another, and can be put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

State = dict[str, np.ndarray]
"""The state of a callback by name: plain arrays, so that files need no pickle."""

_COMPANY = "_kerasprune_company"


class Resumable(keras.callbacks.Callback):
    """Base of the callbacks whose state outlives a killed job.

    A subclass writes `begin` and `end` instead of `on_train_begin` and `on_train_end`, and names its state. Between
    two epochs all of them must be at rest: they act at the end of a step or an epoch, never at the beginning of an
    epoch. Then the beginning of an epoch is a moment that `Resume` can save, wherever it stands in the list.

    Example:
        >>> class Count(Resumable):
        ...     def begin(self):
        ...         self.seen = keras.Variable(0, trainable=False)
        ...     def tracked(self):
        ...         return {"seen": self.seen}
    """

    _begun = False
    _ending = False

    @property
    def leaves_masks(self) -> bool:
        """Whether the result is masks of single weights (`masks`), rather than channels (`plan`)."""
        return False

    def begin(self) -> None:
        """Attaches what acts during training; the model is `self.model`."""

    def end(self) -> None:
        """Detaches it, and notes the results."""

    def detach(self) -> None:
        """Takes off what `begin` has attached; called where the fit cannot begin, at any moment."""

    def before_end(self) -> None:
        """Called on every callback of the fit after the last epoch, before the first of them ends."""

    def gauges(self) -> dict[str, float]:
        """Returns numbers worth watching during `fit`, by name, e.g. the strength of a penalty."""
        return {}

    def tracked(self) -> Mapping[str, Any]:
        """Returns the variables, by name, that are the state."""
        return {}

    def state(self) -> State:
        """Returns the state; a subclass adds what is not a variable."""
        return {name: ops.convert_to_numpy(variable) for name, variable in self.tracked().items()}

    def restore(self, state: State) -> None:
        """Puts a state back; called after `begin`."""
        for name, variable in self.tracked().items():
            variable.assign(state[name])

    # ---- hooks of Keras -------------------------------------------------------------------------------------

    def set_model(self, model: keras.Model) -> None:
        """Joins the other callbacks of the fit; those that an earlier, broken fit has left are dropped."""
        super().set_model(model)
        waiting = [callback for callback in company(model) if not callback._begun and callback is not self]
        self._begun = False
        vars(model)[_COMPANY] = [*waiting, self]

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Begins, if that has not happened yet."""
        self.ensure_begun()

    def ensure_begun(self) -> None:
        """Begins once a fit; where that fails, nothing stays attached, of the others neither."""
        if self._begun:
            return
        self._begun = True
        try:
            self.begin()
        except BaseException:
            for callback in company(self.model):
                callback.detach()
            raise

    def on_train_end(self, logs: dict | None = None) -> None:
        """Ends; the first callback that ends tells the others."""
        model = self.model
        if not any(callback._ending for callback in company(model)):
            for callback in company(model):
                callback._ending = True
                callback.before_end()
        self.end()
        self._begun = self._ending = False
        vars(model)[_COMPANY] = [callback for callback in company(model) if callback is not self]
        if not company(model):
            del vars(model)[_COMPANY]


def company(model: keras.Model) -> list[Resumable]:
    """Returns the resumable callbacks of the fit that a model is in, in the order of their list."""
    return list(vars(model).get(_COMPANY, ()))
