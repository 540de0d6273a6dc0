"""The base of every pruning callback, which attaches, detaches, saves and restores what a method registers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import keras
import numpy as np

from kerasprune._keras import first_epoch
from kerasprune.errors import PruneError
from kerasprune.graph.graph import check_finite_weights
from kerasprune.graph.plans import Plan
from kerasprune.training.diagnosis import Diagnosis
from kerasprune.training.fit import RunningFit
from kerasprune.training.masks import Masks
from kerasprune.training.session import Session, State
from kerasprune.training.sparsity.mask_checks import check_candidates

_LONGEST = 90  # characters of an argument in a repr


class PruningCallback(keras.callbacks.Callback):
    """Base class of the pruning callbacks.

    A subclass overrides `begin` and `end` instead of `on_train_begin` and `on_train_end`, and any other Keras hook. In
    `begin` it registers with `self.session` what acts inside the compiled step (`regularize`, `constrain`) and its
    state (`variable`, `track`, `notes`). The base class removes both after the fit, and `Resume` saves the state.

    Nothing fails silently. A fit begins with warnings about known obstacles. After every epoch `shortfalls` returns
    what did not happen, which is a warning after the first epoch and a `PruneError` at the end of the fit. `gauges` are
    added to the logs of every epoch, for later callbacks in the list.

    A second fit with the same callback and the same model continues the first: an unfinished schedule is continued, a
    finished one keeps its result, with a warning. Over any number of fits each warning is given once.
    `callback.reset()` starts afresh.

    Act at the end of a step or of an epoch, never at the beginning of an epoch, when `Resume` saves.

    Args:
        strict: Whether to raise a `PruneError`, rather than warn, after a fit in which the callback had no effect.
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
    """The arguments that a caller may set: `"plan"`, `"keep"` (a fraction of every group), `"size"`."""
    pushes: str = "filter"
    """The weights of a channel that it shrinks: `"filter"` (that make it), `"channel"` (that read it) or `"scale"`."""
    decides: ClassVar[bool] = False
    """Whether it picks after training, so that it takes no plan."""
    restores: ClassVar[bool] = False
    """Whether it restores the state of the other callbacks together with the weights."""
    follows_weights: ClassVar[bool] = False
    """Whether it can resume from weights and the optimizer's step alone, restored by another callback."""

    continues: ClassVar[bool] = True
    """Whether a later fit on the same model continues the last one."""

    strict: bool = True
    goes_on: bool = False
    """Whether the present fit continues an earlier one of the same callback."""
    session: Session | None = None
    """The state of the callback in the present fit, or in the last one."""
    held: Masks | None = None
    """The masks of a method that removes weights by masks."""
    _set_plan: Plan | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keeps the arguments for the `repr`."""
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
        vars(other).update(
            vars(self), session=None, held=None, goes_on=False, _set_plan=None, _diagnosis=Diagnosis(other)
        )
        return other

    def __repr__(self) -> str:
        status = self.status()
        return _written(self, *self._arguments) + (f": {status}" if status else "")

    # ---- overridden by a method -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Attaches penalties, constraints or masks to `self.model`."""

    def end(self) -> None:
        """Stores the results; the attached parts are removed afterwards."""

    def before_end(self) -> None:
        """Hook: called on every callback of the fit after the last epoch, before the first of them ends."""

    def gauges(self) -> dict[str, float]:
        """Returns numbers to log during `fit`, by name, e.g. the strength of a penalty."""
        return {} if self.held is None else {"kept": self.kept}

    def shortfalls(self) -> list[str]:
        """Returns the ways in which the method has not acted so far, each with its remedy; called after every epoch.

        Masks are compared with their schedule, penalties with the norms of the weights they push; empty if it is too
        early to tell. The base itself checks that the step has penalties, constraints and updates at all. An override
        adds to `super().shortfalls()`.
        """
        if self.held is None or not self.session.attached("constraint") or self.held.holds():
            return []
        return [
            "Weights that the masks remove are not zero after an epoch: something assigns them without the optimizer. "
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

    @property
    def advanced(self) -> bool:
        """Whether the last fit has made a step."""
        return self.session.done > 0

    def resumed(self) -> None:
        """Hook: called after a continued fit has restored its state."""
        if self.held is not None:
            self.held.apply(self.model.optimizer)

    def status(self) -> str:
        """Returns the second part of its `repr`, after the settings; empty if none."""
        return "" if self.held is None or self.session is None else f"{self.kept:.3g} kept"

    def hold(self, masks: Masks, within_step: Callable[[], None] | None = None) -> None:
        """Holds masks until the fit ends: removed weights are +0.0 after every step, so every saved file is sparse.

        To be called in `begin`. At first nothing is removed but what an earlier pruning has left at zero, in a fit that
        goes on from a file: pruned weights do not come back. Remove with `self.held.renew(keep)`, or with
        `self.held.assign(...)` and `self.held.apply()`. After the last callback of the fit has ended the masks are
        applied once more, since others may restore weights, as `EarlyStopping(restore_best_weights=True)` does.

        Args:
            masks: The masks.
            within_step: Called inside the compiled step, after the update of the weights and before the masks are
                applied. Defaults to `None`.

        Raises:
            PruneError: No kernel may lose weights, or a weight is not finite.
        """
        check_finite_weights(self.model)
        check_candidates(masks.units, masks.frozen())
        masks.clear()
        self.held = masks
        if not self.goes_on:
            masks.take_zeros(self.model.optimizer)
        masks.attach(self.session, within_step)
        self.session.last_acts.append(masks.settle)

    # ---- used by recipes --------------------------------------------------------------------------------------

    def rehearse(self, model: keras.Model) -> Any:
        """Checks, before any training, that the method can act on a model; raises `PruneError` if it cannot."""

    def check_length(self, steps_per_epoch: int, epochs: int) -> None:
        """Raises a `PruneError` if the method cannot act in a fit of that length."""

    @property
    def length(self) -> int | None:
        """Steps of the method's own schedule; `None` if it has none."""
        return None

    def span(self, steps_per_epoch: int, steps: int) -> float | None:
        """Returns the number of epochs that a learning-rate schedule should span; `None`: the whole fit.

        Args:
            steps_per_epoch: Batches in an epoch.
            steps: Batches of the whole fit.
        """
        return None

    def compressed(self, steps: int) -> Self:
        """Returns the same callback with its schedule squeezed into fewer steps; itself if it has no schedule."""
        return self

    def artifacts(self, folder: Path) -> list[Path]:
        """Writes results of the fit into a folder, and returns the paths."""
        return []

    # ---- results ----------------------------------------------------------------------------------------------

    @property
    def leaves_masks(self) -> bool:
        """Whether the result is masks of weights (`masks`), rather than channels (`plan`)."""
        chosen = self.held or getattr(self, "selection", None)
        return chosen is not None and not chosen.granularity.whole_channels

    @property
    def plan(self) -> Plan:
        """The plan for `kp.rebuild`, after `fit`: that of the masks, unless `end` has set another."""
        return self._masks("plan").plan() if self._set_plan is None else self._set_plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._set_plan = plan

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """`{variable path: boolean mask, true for kept weights}`, during and after `fit`."""
        return self._masks("masks").arrays()

    @property
    def kept(self) -> float:
        """The fraction of the masked kernels' weights that is currently kept."""
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
        """Forgets all earlier fits, so that the next one starts afresh, and returns the callback.

        Example:
            >>> from kerasprune.callbacks import GReg1
            >>> callback = GReg1(keep=0.5)
            >>> callback.reset() is callback  # model.fit(..., callbacks=[callback.reset()])
            True
        """
        self.detach()
        self.session, self.held, self.goes_on, self._set_plan = None, None, False, None
        return self

    def detach(self) -> None:
        """Removes the callback's leftovers from a model whose fit was interrupted; see `kp.callbacks.detach`."""
        if self.session is not None:
            RunningFit.of(self.model).remove(self)

    # ---- hooks of Keras ---------------------------------------------------------------------------------------

    def set_model(self, model: keras.Model) -> None:
        """Joins the other callbacks of the fit; removes leftovers of an interrupted fit from the model."""
        super().set_model(model)
        RunningFit.of(model).add(self)

    def set_params(self, params: dict) -> None:
        """Marks the list of callbacks as complete."""
        super().set_params(params)
        if self.model is not None:
            RunningFit.of(self.model).complete(self)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Begins the method, unless it has already begun."""
        self.ensure_begun()

    def ensure_begun(self) -> None:
        """Begins the method once per fit; if that fails, restores the model, undoing other callbacks, too."""
        RunningFit.of(self.model).begin(self, self._begin)

    def _begin(self) -> None:
        before = self.session
        if before is not None:
            before.close()
        self.goes_on = self.continues and before is not None and before.begun and before.model is self.model
        self.goes_on = self.goes_on and self.advanced  # one that has not trained begins
        self._diagnosis = Diagnosis(self, self._diagnosis.said if self.goes_on else ())
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
        """The epoch whose weights another callback, such as `BackupAndRestore`, has restored in this fit; 0 if none."""
        fit, now = RunningFit.of(self.model), first_epoch(self.model)
        if now is None or now == fit.initial_epoch or any(callback.restores for callback in fit.callbacks):
            return 0
        return now

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Refuses weights that were restored without the state of this callback; warns if it begins late."""
        if epoch and not self._diagnosis.trained:
            self._diagnosis.begin_late(epoch, RunningFit.of(self.model).callbacks)
        self._diagnosis.trained = True
        if self.restored_epoch and not self.follows_weights:
            back = self.restored_epoch
            RunningFit.of(self.model).abandon()
            raise PruneError(
                f"Expected the state of {type(self).__name__} to be restored together with the weights. Received: "
                f"weights of epoch {back} that another callback has restored. Use kp.callbacks.Resume(folder) in place "
                "of BackupAndRestore."
            )
        RunningFit.of(self.model).settled(self)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the gauges to the logs, and checks that the method acts; an override calls it last."""
        _ = self.model  # on JAX this brings the variables up to date
        if logs is not None:
            logs.update(self.gauges())
        self._diagnosis.after_epoch()

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Pauses the diagnosis during an evaluation."""
        if self.session is not None:
            self.session.watch(False)

    def on_test_end(self, logs: dict | None = None) -> None:
        """Resumes the diagnosis."""
        if self.session is not None:
            self.session.watch(True)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Ends the method; the first callback to end tells the others.

        Raises:
            PruneError: The method did not act, and is strict. The model is trained, nothing is left on it, and results
                are available as after any fit.
        """
        fit = RunningFit.of(self.model)
        fit.end()
        self.end()
        self._diagnosis.after_last_epoch()
        self.session.close()
        fit.remove(self)
        for act in (*self.session.last_acts, self._diagnosis.end):  # others end too before an error is raised
            fit.afterwards(act, self.params)


def declaring_class(member: Any) -> type[PruningCallback]:
    """Returns the class that declares what a callback takes: its own, or the base for foreign callbacks."""
    return member if isinstance(member, type) and issubclass(member, PruningCallback) else PruningCallback


def facts(callback: keras.callbacks.Callback) -> PruningCallback:
    """Returns the callback itself, or an instance of the base for a foreign one, which has no schedule or results."""
    return callback if isinstance(callback, PruningCallback) else PruningCallback()


def compress_schedule(callback: keras.callbacks.Callback, steps: int) -> keras.callbacks.Callback:
    """Returns a callback with its schedule squeezed into fewer steps; foreign ones are returned unchanged."""
    return callback.compressed(steps) if isinstance(callback, PruningCallback) else callback


def _written(thing: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Returns `Class(argument=value, …)` for the arguments that an object was made with, long ones cut."""
    parameters = [name for name in inspect.signature(type(thing).__init__).parameters if name != "self"]
    given = {**dict(zip(parameters, args, strict=False)), **kwargs}
    return f"{type(thing).__name__}({', '.join(f'{name}={_short(value)}' for name, value in given.items())})"


def _short(value: Any) -> str:
    """Returns a short `repr`: numbers and names as they are, long values by class and size."""
    text = value.__name__ if inspect.isroutine(value) or inspect.isclass(value) else repr(value)
    if len(text) <= _LONGEST and "\n" not in text and " at 0x" not in text:
        return text
    size = f" of {len(value)}" if isinstance(value, Sequence | Mapping) else ""
    return f"<{type(value).__name__}{size}>"
