"""The next epoch of every training set of this process.

A callback that resumes a fit cannot reach the data set, which Keras opens. Every training set therefore registers the
variable with the number of its epoch here.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from keras import ops


class Positions:
    """The positions of the training sets that exist, in the order of their creation."""

    def __init__(self) -> None:
        self._counters: WeakKeyDictionary[Any, tuple[str, Any]] = WeakKeyDictionary()

    def add(self, data: Any, name: str, counter: Any) -> None:
        """Adds a training set and the variable with the number of its next epoch."""
        self._counters[data] = (name, counter)

    def epochs(self) -> dict[str, int]:
        """Returns `{name: epoch}` of the sets that exist; of two with one name the later one."""
        return {name: int(ops.convert_to_numpy(counter)) for name, counter in list(self._counters.values())}

    def put_back(self, epochs: dict[str, int]) -> set[str]:
        """Sets the epoch of every set that is named; returns the names of those that exist."""
        named = [(counter, epochs[name]) for name, counter in list(self._counters.values()) if name in epochs]
        for counter, epoch in named:
            counter.assign(epoch)
        return epochs.keys() & {name for name, _ in self._counters.values()}


positions = Positions()
