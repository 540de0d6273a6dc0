"""Acting when all callbacks of a fit have ended, wherever in the list one stands."""

from __future__ import annotations

from collections.abc import Callable

import keras


def afterwards(callback: keras.callbacks.Callback, act: Callable[[], None]) -> None:
    """Calls `act` when the last callback of the fit has ended; in a loop of one's own, or without epochs, at once.

    Keras puts its `History` at the end of the list, so its last hook is the last of all.

    Args:
        callback: The one that asks, in its hook `on_train_end`.
        act: What is to be done.
    """
    history = getattr(callback.model, "history", None)
    if callback.params.get("loop") or not isinstance(history, keras.callbacks.History):
        act()
        return
    ending = history.on_train_end

    def last(logs: dict | None = None) -> None:
        vars(history).pop("on_train_end", None)
        ending(logs)
        act()

    history.on_train_end = last
