"""The base of every pruning callback: the author writes what acts, the base attaches, detaches, saves and restores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import keras
import numpy as np

from kerasprune._keras import first_epoch
from kerasprune.attaching.arguments import written
from kerasprune.attaching.diagnosis import Diagnosis
from kerasprune.attaching.fit import RunningFit
from kerasprune.attaching.masks import Masks
from kerasprune.attaching.session import Session, State
from kerasprune.errors import PruneError
from kerasprune.plans import Plan
from kerasprune.sparsity.given import check_candidates


class PruningCallback(keras.callbacks.Callback):
    """Base of the pruning callbacks.

    A method writes `begin` and `end` in place of `on_train_begin` and `on_train_end`, and whatever other hooks of Keras
    it needs. In `begin` it registers with `self.session` what acts inside the compiled step (`regularize`, `constrain`)
    and what its state is (`variable`, `track`, `notes`); that is removed, saved by `Resume` and restored by the base.

    Nothing is silent. What is known to keep it from acting is warned of at the beginning; `shortfalls` says, after
    every epoch, what has not happened: a warning after the first, a `PruneError` at the end of the fit. What `gauges`
    returns is added to the logs of every epoch, for the callbacks that stand behind it in the list.

    A later fit of the same callback on the same model goes on where the last one ended: an unfinished schedule is
    continued, a finished one holds what it has done, and says so; `callback.reset()` starts anew.

    Between two epochs a method is at rest: it acts at the end of a step or of an epoch, never at the beginning of an
    epoch. Then the beginning of an epoch is a moment that `Resume` can save, wherever it stands in the list.

    Args:
        strict: Whether to raise a `PruneError` at the end of a fit in which it did not act, rather than to warn.
            Defaults to `True`.

    Example:
        >>> import keras, numpy as np
        >>> class Shrinking(PruningCallback):
        ...     def begin(self):
        ...         for layer in self.model.layers:
        ...             self.session.regularize(layer.kernel, keras.regularizers.L2(0.1))
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, kernel_initializer="ones")])
        >>> model.compile("sgd", "mse")
        >>> _ = model.fit(np.zeros((8, 4)), np.zeros((8, 2)), epochs=2, verbose=0, callbacks=[Shrinking()])
        >>> bool(model.layers[0].kernel.numpy().max() < 1), model.layers[0].kernel.regularizer
        (True, None)
    """

    takes: ClassVar[frozenset[str]] = frozenset()
    """What a caller may decide for it: `"plan"` (what stays), `"keep"` (how much of every group), `"resolution"`."""
    pushes: str = "filter"
    """Which weights of a channel it makes small: `"filter"` (that make it), `"channel"` (that read it) or `"scale"`."""
    decides: ClassVar[bool] = False
    """Whether it picks by what it finds after training, so that no plan may stand beside it."""
    restores: ClassVar[bool] = False
    """Whether it restores the state of the others together with the weights."""
    follows_weights: ClassVar[bool] = False
    """Whether it can go on from weights and the optimizer's step alone, when another callback has restored those."""

    continues: ClassVar[bool] = True
    """Whether a later fit on the same model goes on where the last one ended."""

    strict: bool = True
    goes_on: bool = False
    """Whether the present fit goes on where an earlier one of the same callback ended."""
    session: Session | None = None
    """What the callback owns in the present fit, or owned in the last one."""
    held: Masks | None = None
    """The masks of a method that removes weights by masks."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keeps the arguments, so that every callback can say its settings."""
        self = super().__new__(cls)
        self._arguments = args, kwargs
        self._diagnosis = Diagnosis(self)
        return self

    def __init__(self, *, strict: bool = True) -> None:
        super().__init__()
        self.strict = strict

    def __copy__(self) -> Self:
        """Returns a callback of the same settings that has not been in a fit."""
        other = type(self).__new__(type(self))
        vars(other).update(vars(self), session=None, held=None, goes_on=False, _diagnosis=Diagnosis(other))
        return other

    def __repr__(self) -> str:
        status = self.status()
        return written(self, *self._arguments) + (f": {status}" if status else "")

    # ---- what a method writes ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Attaches what acts during training; the model is `self.model`."""

    def end(self) -> None:
        """Notes the results; what was attached is removed afterwards."""

    def before_end(self) -> None:
        """Called on every callback of the fit after the last epoch, before the first of them ends."""

    def gauges(self) -> dict[str, float]:
        """Returns numbers worth watching during `fit`, by name, e.g. the strength of a penalty."""
        return {} if self.held is None else {"kept": self.kept}

    def shortfalls(self) -> list[str]:
        """Returns what the method should have done by now and has not, each with its remedy; called after every epoch.

        Masks are measured against their schedule, penalties against the norms of what they push. Where it is too early
        to tell there is nothing to say. What the step leaves out altogether (penalties, constraints, updates) is
        looked at by the base. A method that overrides it adds to `super().shortfalls()`.
        """
        if self.held is None or not self.session.attached("constraint") or self.held.holds():
            return []
        return [
            "Weights that the masks remove are not zero after an epoch: something assigns them past the optimizer. "
            "Update with optimizer.apply, and let other callbacks leave weights alone."
        ]

    @property
    def finished(self) -> bool:
        """Whether its schedule is over."""
        return self.session is not None and self.length is not None and self.session.now() >= self.length

    @property
    def scheduled(self) -> bool:
        """Whether it has a schedule, or a state that it works towards."""
        return self.length is not None or type(self).finished is not PruningCallback.finished

    def resumed(self) -> None:
        """Called in place of nothing where a fit goes on, when the state of the earlier one is back."""
        if self.held is not None:
            self.held.apply(self.model.optimizer)

    def status(self) -> str:
        """Returns what its `repr` says beside its settings; empty where there is nothing."""
        return "" if self.held is None or self.session is None else f"{self.kept:.3g} kept"

    def hold(self, masks: Masks, within_step: Callable[[], None] | None = None) -> None:
        """Holds masks until the fit ends: removed weights are +0.0 after every step, so every saved file is sparse.

        To be called in `begin`. At first nothing is removed; remove with `self.held.renew(keep)` or
        `self.held.assign(...)` and `self.held.apply()`. After the last callback of the fit has ended the masks are
        applied once more, since others may restore weights, as `EarlyStopping(restore_best_weights=True)` does.

        Args:
            masks: The masks.
            within_step: Called inside the compiled step, after the update of the weights and before the masks are
                applied. Defaults to `None`: nothing is.

        Raises:
            PruneError: There is no kernel that may lose weights.
        """
        check_candidates(masks.units, masks.frozen())
        masks.clear()
        self.held = masks
        masks.attach(self.session, within_step)
        self.session.last_acts.append(masks.settle)

    # ---- what a recipe asks -----------------------------------------------------------------------------------

    def rehearse(self, model: keras.Model) -> Any:
        """Checks, before any training, that the method can act on a model; raises `PruneError` where it cannot."""

    @property
    def length(self) -> int | None:
        """Steps of the method's own schedule; `None` where it has none."""
        return None

    def span(self, steps_per_epoch: int, steps: int) -> float | None:
        """Returns how many epochs a learning-rate schedule should span; `None`: the whole fit.

        Args:
            steps_per_epoch: Batches in an epoch.
            steps: Batches of the whole fit.
        """
        return None

    def compressed(self, steps: int) -> Self:
        """Returns the same callback with its schedule squeezed into fewer steps; itself where it has none."""
        return self

    def artifacts(self, folder: Path) -> list[Path]:
        """Writes what is worth keeping of the fit into a folder, and returns the paths."""
        return []

    # ---- results ----------------------------------------------------------------------------------------------

    @property
    def leaves_masks(self) -> bool:
        """Whether the result is masks of weights (`masks`), rather than channels (`plan`)."""
        return self.held is not None and not self.held.granularity.whole_channels

    @property
    def plan(self) -> Plan:
        """What to hand to `kp.rebuild` after `fit`."""
        return self._masks("plan").plan()

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """`{variable path: boolean mask of the weights that are kept}`, during `fit` and after it."""
        return self._masks("masks").arrays()

    @property
    def kept(self) -> float:
        """The fraction of the weights of the masked kernels that is kept, at this moment."""
        return self._masks("kept").share()

    def _masks(self, result: str) -> Masks:
        self.used()
        _ = self.model  # on JAX this brings the variables up to date
        if self.held is None:
            raise PruneError(
                f"Expected a callback with .{result}. Received: {type(self).__name__}, which removes nothing by masks."
            )
        return self.held

    # ---- state ------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Returns the state, as plain arrays by name."""
        return {} if self.session is None else self.session.state()

    def restore(self, state: State) -> None:
        """Restores a state; called after `begin`."""
        self.session.restore(state)

    def used(self) -> Session:
        """Returns the session.

        Raises:
            PruneError: The callback has not been in a fit.
        """
        if self.session is None:
            raise PruneError(
                "Expected a callback that has been in a fit. Received: one that has not been used yet. Call "
                f"model.fit(..., callbacks=[{type(self).__name__}(...)]) first."
            )
        return self.session

    def reset(self) -> Self:
        """Forgets all earlier fits, so that the next one starts anew, and returns the callback.

        Example:
            >>> from kerasprune.callbacks import GReg1
            >>> callback = GReg1(keep=0.5)
            >>> callback.reset() is callback  # model.fit(..., callbacks=[callback.reset()])
            True
        """
        if self.session is not None:
            self.detach()
        self.session, self.held, self.goes_on = None, None, False
        return self

    def detach(self) -> None:
        """Removes what the callback has left on the model of a fit that was broken off; see `kp.callbacks.detach`."""
        if self.session is not None:
            RunningFit.of(self.model).remove(self)

    # ---- hooks of Keras ---------------------------------------------------------------------------------------

    def set_model(self, model: keras.Model) -> None:
        """Joins the other callbacks of the fit; what an earlier, broken fit has left on the model is removed."""
        super().set_model(model)
        RunningFit.of(model).enlist(self)

    def set_params(self, params: dict) -> None:
        """Notes that the list of the fit is complete."""
        super().set_params(params)
        if self.model is not None:
            RunningFit.of(self.model).complete(self)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Begins, if that has not happened yet."""
        self.ensure_begun()
        RunningFit.of(self.model).settled(self)

    def ensure_begun(self) -> None:
        """Begins once a fit; where that fails, the model is what it was, whatever the others have done meanwhile."""
        RunningFit.of(self.model).begin(self, self._begin)

    def _begin(self) -> None:
        before = self.session
        if before is not None:
            before.close()
        self._diagnosis = Diagnosis(self)
        self.goes_on = self.continues and before is not None and before.begun and before.model is self.model
        self.goes_on = self.goes_on and before.done > 0  # one that has not trained begins
        self.session = Session(self.model, before.done if self.goes_on else 0)
        self.begin()
        if self.goes_on:
            self.session.goes_on(before.state())
            self.resumed()
        self.session.compile()
        self.session.begun = True
        self._diagnosis.begin()

    @property
    def restored_epoch(self) -> int:
        """The epoch whose weights another callback, such as `BackupAndRestore`, has restored in this fit; 0: none."""
        fit, now = RunningFit.of(self.model), first_epoch(self.model)
        if now is None or now == fit.initial_epoch or any(callback.restores for callback in fit.callbacks):
            return 0
        return now

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Refuses weights that were restored without what this callback knows of them."""
        self._diagnosis.trained = True
        if self.restored_epoch and not self.follows_weights:
            back = self.restored_epoch
            RunningFit.of(self.model).abandon()
            raise PruneError(
                f"Expected what {type(self).__name__} knows to come back together with the weights. Received: weights "
                f"of epoch {back} that another callback has restored. Use kp.callbacks.Resume(folder) in place of "
                "BackupAndRestore."
            )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the gauges to the logs, and looks whether the method acts; to be called last by a method's own."""
        _ = self.model  # on JAX this brings the variables up to date
        if logs is not None:
            logs.update(self.gauges())
        self._diagnosis.after_epoch()

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Leaves an evaluation out of what is looked at."""
        if self.session is not None:
            self.session.watch(False)

    def on_test_end(self, logs: dict | None = None) -> None:
        """Goes on looking."""
        if self.session is not None:
            self.session.watch(True)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Ends; the first callback that ends tells the others.

        Raises:
            PruneError: The method did not act, and is strict. The model is trained, nothing is left on it, and results
                can be asked for as after any fit.
        """
        fit = RunningFit.of(self.model)
        fit.end()
        self.end()
        self._diagnosis.after_last_epoch()
        self.session.close()
        fit.remove(self)
        for act in (*self.session.last_acts, self._diagnosis.end):  # others are to end too before it is said
            fit.afterwards(act, self.params)


def declared(member: Any) -> type[PruningCallback]:
    """Returns the class that says what a caller may decide for a callback: its own, or the base for foreign ones."""
    return member if isinstance(member, type) and issubclass(member, PruningCallback) else PruningCallback


def facts(callback: keras.callbacks.Callback) -> PruningCallback:
    """Returns what can be asked for facts: the callback itself, or the base, which has none, for foreign ones."""
    return callback if isinstance(callback, PruningCallback) else PruningCallback()


def compressed(callback: keras.callbacks.Callback, steps: int) -> keras.callbacks.Callback:
    """Returns a callback with its schedule squeezed into fewer steps; foreign ones as they are."""
    return callback.compressed(steps) if isinstance(callback, PruningCallback) else callback
