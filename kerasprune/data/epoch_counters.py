"""The epoch that each training set of this process gives next.

A data set is opened by Keras, not by a callback, so a callback that is to continue a fit cannot reach it. Every
training set therefore says here where it keeps the number of its epoch, for as long as it lives.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from keras import ops


class Positions:
    """The positions of the training sets that are alive, in the order in which they were made."""

    def __init__(self) -> None:
        self._counters: WeakKeyDictionary[Any, tuple[str, Any]] = WeakKeyDictionary()

    def add(self, data: Any, name: str, counter: Any) -> None:
        """Adds a training set and the variable that holds the number of the epoch it gives next."""
        self._counters[data] = (name, counter)

    def epochs(self) -> dict[str, int]:
        """Returns `{name: epoch}` of the sets that are alive; of two with one name the later made."""
        return {name: int(ops.convert_to_numpy(counter)) for name, counter in list(self._counters.values())}

    def put_back(self, epochs: dict[str, int]) -> bool:
        """Sets every set that is named to its epoch; returns whether there was one."""
        named = [(counter, epochs[name]) for name, counter in list(self._counters.values()) if name in epochs]
        for counter, epoch in named:
            counter.assign(epoch)
        return bool(named)


positions = Positions()
