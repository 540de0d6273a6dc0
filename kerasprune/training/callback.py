"""What callbacks with a state share: they begin and end once a fit, know one another, and can be put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from kerasprune.errors import PruneError
from kerasprune.training.before import Before

State = dict[str, np.ndarray]
"""The state of a callback by name: plain arrays, so that files need no pickle."""

_COMPANY = "_kerasprune_company"
_BEFORE = "_kerasprune_before"


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

    restores: ClassVar[bool] = False
    """Whether it puts back what the others have, together with the weights."""
    follows_weights: ClassVar[bool] = False
    """Whether it can go on from weights and the optimizer's step alone, when another callback has put those back."""

    _begun = False
    _ending = False
    _joined = False
    _initial_epoch: int | None = None

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
        """Joins the other callbacks of the fit; what an earlier, broken fit has left on the model is taken off."""
        super().set_model(model)
        left = [callback for callback in company(model) if callback._joined or callback._begun]
        for callback in (self, *left):
            callback._call_off()
        self._joined, self._initial_epoch = False, model._initial_epoch
        vars(model)[_COMPANY] = [*(c for c in company(model) if c is not self and c not in left), self]

    def set_params(self, params: dict) -> None:
        """Notes that the list of the fit is complete: Keras gives the parameters after the model."""
        super().set_params(params)
        self._joined = True

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Begins, if that has not happened yet."""
        self.ensure_begun()
        if company(self.model)[-1:] == [self]:
            vars(self.model).pop(_BEFORE, None)

    def ensure_begun(self) -> None:
        """Begins once a fit; where that fails, the model is what it was, whatever the others have done meanwhile."""
        if self._begun:
            return
        model = self.model
        if not any(callback._begun for callback in company(model)):
            vars(model)[_BEFORE] = Before(model)
        self._begun = True
        try:
            self.begin()
        except BaseException:
            before = vars(model).pop(_BEFORE, None)
            detach(model)
            if before is not None:
                before.put_back()
            raise

    @property
    def put_back_to(self) -> int:
        """The epoch that another callback, such as `BackupAndRestore`, has put the weights of this fit back to."""
        now = self.model._initial_epoch
        restored = any(callback.restores for callback in company(self.model))
        return 0 if restored or now is None or now == self._initial_epoch else now

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Refuses weights that were put back without what this callback knows of them."""
        if self.put_back_to and not self.follows_weights:
            back, model = self.put_back_to, self.model
            detach(model)
            raise PruneError(
                f"Expected what {type(self).__name__} knows to come back together with the weights. Received: weights "
                f"that another callback has put back, of epoch {back}. Use kp.callbacks.Resume(directory) in place of "
                "BackupAndRestore."
            )

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

    def _call_off(self) -> None:
        if self._begun:
            self.detach()
        self._begun = self._ending = False


def detach(model: keras.Model) -> None:
    """Takes off what the callbacks of kerasprune have left on a model whose fit was broken off.

    Keras tells no callback that a fit was interrupted or has failed: masks, penalties and clamps stay on the model. The
    next fit with a callback of kerasprune takes them off; before one without, this does.

    Args:
        model: The model; not in training.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> detach(model)
    """
    for callback in company(model):
        callback._call_off()
    vars(model).pop(_COMPANY, None)


def company(model: keras.Model) -> list[Resumable]:
    """Returns the resumable callbacks of the fit that a model is in, in the order of their list."""
    return list(vars(model).get(_COMPANY, ()))
