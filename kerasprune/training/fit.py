"""The pruning callbacks of one fit, and the phase that each of them is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

import keras
from keras import ops

from kerasprune._keras import first_epoch, set_first_epoch
from kerasprune.data.epoch_counters import positions
from kerasprune.training.jax_step import synchronise
from kerasprune.training.optimizer import ensure_built


class Snapshot:
    """The values of a compiled model and its optimizer, the first epoch of Keras, and the positions of training sets.

    Args:
        model: The model, before its fit begins.
    """

    def __init__(self, model: keras.Model) -> None:
        ensure_built(model)
        self._model = model
        variables = {id(variable): variable for variable in (*model.variables, *model.optimizer.variables)}
        self._values: list[tuple[Any, Any]] = [(v, ops.convert_to_numpy(v).copy()) for v in variables.values()]
        self._epoch = first_epoch(model)
        self._positions = positions.epochs()

    def restore(self) -> None:
        """Restores the model."""
        for variable, value in self._values:
            variable.assign(value)
        set_first_epoch(self._model, self._epoch)
        positions.put_back(self._positions)


_ENTRY = "_kerasprune_fit"


class Phase(Enum):
    """The phase of a callback in a fit; Keras calls the hooks in this order.

    | phase | entered by | leaves by |
    |---|---|---|
    | `LISTED` | `set_model`: the list of the fit may still grow | `set_params` |
    | `READY` | `set_params`: the list is complete | `on_train_begin`, or `Resume`, which restores the others first |
    | `ACTIVE` | `begin` of the method | `on_train_end` of the first callback that ends |
    | `ENDING` | the last epoch is over, nothing is detached yet | its own `on_train_end` |

    A callback in another phase than `LISTED` when Keras lists the next one was left by an interrupted fit, of which
    Keras tells no callback.
    """

    LISTED = 1
    READY = 2
    ACTIVE = 3
    ENDING = 4


class RunningFit:
    """The pruning callbacks of one `model.fit`, or of one custom loop.

    Args:
        model: The model, on which the object is kept.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self.phases: dict[Any, Phase] = {}  # of every callback, in the order of the list given to Keras
        self._snapshot: Snapshot | None = None
        self._waiting: list[Callable[[], None]] = []
        self.initial_epoch: int | None = None

    @classmethod
    def of(cls, model: keras.Model) -> RunningFit:
        """Returns the fit that a model is in; an empty one if it is in none."""
        return vars(model).get(_ENTRY) or cls(model)

    @property
    def callbacks(self) -> list[Any]:
        """The pruning callbacks, in the order of the list given to Keras."""
        return list(self.phases)

    # ---- the phases -----------------------------------------------------------------------------------------

    def add(self, callback: Any) -> None:
        """Adds a callback; removes leftovers of an interrupted fit from the model."""
        for left in [each for each, phase in self.phases.items() if phase is not Phase.LISTED or each is callback]:
            self.remove(left)
        self.phases[callback] = Phase.LISTED
        self.initial_epoch = first_epoch(self._model)
        vars(self._model)[_ENTRY] = self

    def complete(self, callback: Any) -> None:
        """Marks the list of the fit as complete: Keras sets the parameters after the model."""
        if callback in self.phases:
            self.phases[callback] = Phase.READY

    def begin(self, callback: Any, act: Callable[[], None]) -> None:
        """Lets a callback begin once; if that fails, restores the model as it was before any callback began."""
        if self.phases.get(callback) in (Phase.ACTIVE, Phase.ENDING):
            return
        if Phase.ACTIVE not in self.phases.values():
            self._snapshot = Snapshot(self._model)
        self.phases[callback] = Phase.ACTIVE
        with self.refusing():
            act()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Restores the model as it was before any callback began, if the block raises before the first epoch."""
        try:
            yield
        except BaseException:
            snapshot = self._snapshot
            self.abandon()
            if snapshot is not None:
                snapshot.restore()
            raise

    def settled(self, callback: Any) -> None:
        """Drops the snapshot of the model once the first epoch has begun for the last callback of the list."""
        if self.callbacks[-1:] == [callback]:
            self._snapshot = None

    def end(self) -> None:
        """Calls `before_end` of every callback after the last epoch, before any of them ends."""
        if Phase.ENDING not in self.phases.values():
            for each in self.callbacks:
                self.phases[each] = Phase.ENDING
                each.before_end()

    def remove(self, callback: Any) -> None:
        """Detaches a callback and removes it from the fit."""
        if callback.session is not None:
            callback.session.close()
        self.phases.pop(callback, None)
        if not self.phases:
            vars(self._model).pop(_ENTRY, None)

    def abandon(self) -> None:
        """Detaches all callbacks: the fit cannot begin, or was interrupted."""
        self._snapshot = None
        for callback in self.callbacks:
            self.remove(callback)

    # ---- the end of the list --------------------------------------------------------------------------------

    def afterwards(self, act: Callable[[], None], params: dict[str, Any] | None) -> None:
        """Calls `act` when the last callback of the fit, ours or not, has ended.

        Keras puts its `History` at the end of the list, so its last hook is the last of all. In a custom loop, which
        has none, the last of ours counts.

        Args:
            act: The function to call.
            params: The parameters that Keras has set on the calling callback; `None` if none.
        """
        history = getattr(self._model, "history", None)
        if (params or {}).get("loop") or not isinstance(history, keras.callbacks.History):
            self._waiting.append(act)
            while self._waiting and not self.phases:
                self._waiting.pop(0)()
            return
        ending = history.on_train_end

        def last(logs: dict | None = None) -> None:
            vars(history).pop("on_train_end", None)
            try:
                ending(logs)
            finally:  # also if another callback raises
                act()

        history.on_train_end = last


@contextmanager
def release_on_failure(model: keras.Model) -> Iterator[None]:
    """Leaves a model with the weights by then, and without its callbacks, if its fit inside the block fails."""
    try:
        yield
    except Exception:
        synchronise(model)
        detach(model)
        raise


def detach(model: keras.Model) -> None:
    """Removes everything that kerasprune's callbacks left on a model whose fit was interrupted.

    Keras does not tell callbacks that a fit was interrupted or failed, so masks, penalties and clamps remain on the
    model. The next fit with a callback of kerasprune removes them; before a fit without one, call this function.

    Args:
        model: The model; it must not be training.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> detach(model)
    """
    RunningFit.of(model).abandon()
