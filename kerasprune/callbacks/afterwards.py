"""Acting when all callbacks of a fit have ended, wherever in the list one stands."""

from __future__ import annotations

from collections.abc import Callable

import keras


def afterwards(model: keras.Model, act: Callable[[], None]) -> None:
    """Calls `act` when the last callback of the fit has ended; outside of `model.fit`, at once.

    Keras puts its `History` at the end of the list, so its last hook is the last of all.

    Args:
        model: The model, in the hook `on_train_end` of a callback.
        act: What is to be done.
    """
    history = getattr(model, "history", None)
    if not isinstance(history, keras.callbacks.History):
        act()
        return
    ending = history.on_train_end

    def last(logs: dict | None = None) -> None:
        vars(history).pop("on_train_end", None)
        ending(logs)
        act()

    history.on_train_end = last
