"""Where the training sets of this process are: which epoch each of them gives next.

A data set is opened by Keras, not by a callback, so a callback that is to continue a fit cannot reach it. Every
training set therefore says here, by a weak reference, where it keeps the number of its epoch.
"""

from __future__ import annotations

import weakref
from typing import Any

from keras import ops


class Positions:
    """The positions of the training sets that are alive, in the order in which they were made."""

    def __init__(self) -> None:
        self._known: list[tuple[str, weakref.ref[Any]]] = []

    def add(self, name: str, counter: Any) -> None:
        """Adds the variable that holds the number of the epoch that a training set gives next."""
        self._known.append((name, weakref.ref(counter)))

    def epochs(self) -> dict[str, int]:
        """Returns `{name: epoch}` of the sets that are alive; of two with one name the later made."""
        return {name: int(ops.convert_to_numpy(counter)) for name, counter in self._alive()}

    def put_back(self, epochs: dict[str, int]) -> bool:
        """Sets every set that is named to its epoch; returns whether there was one."""
        found = False
        for name, counter in self._alive():
            if name in epochs:
                counter.assign(epochs[name])
                found = True
        return found

    def _alive(self) -> list[tuple[str, Any]]:
        alive = [(name, reference()) for name, reference in self._known]
        self._known = [pair for pair, (_, c) in zip(self._known, alive, strict=True) if c is not None]
        return [(name, counter) for name, counter in alive if counter is not None]


positions = Positions()
