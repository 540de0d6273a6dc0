"""The places of the weights that remain, as the numbers of zeros before each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerasprune.errors import PruneError


@dataclass(frozen=True)
class Gaps:
    """A way to write gaps of any length with symbols of few bits.

    Args:
        bits: Bits of a symbol.
        fillers: Whether a gap that is too long is interrupted by a weight of zero, which has a code, as in the paper;
            otherwise the largest symbol is an escape: so many zeros, and no weight.

    Example:
        >>> import numpy as np
        >>> Gaps(4, True).symbols(np.array([1, 20]))[0].tolist(), Gaps(4, False).symbols(np.array([1, 20]))[0].tolist()
        ([1, 15, 2], [1, 15, 3])
    """

    bits: int
    fillers: bool

    @property
    def last(self) -> int:
        """The largest symbol."""
        return (1 << self.bits) - 1

    @property
    def step(self) -> int:
        """The number of places that a filler or an escape skips."""
        return self.last + self.fillers

    def counts(self, gaps: np.ndarray) -> np.ndarray:
        """Returns how often each symbol is needed, from how often there is a gap of 0, 1, 2 … zeros."""
        length = np.flatnonzero(gaps)
        found = np.bincount(length % self.step, gaps[length], minlength=self.last + 1).astype(np.int64)
        found[self.last] += (gaps[length] * (length // self.step)).sum()
        return found

    def symbols(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the symbols for the places of weights, and which of them end at a weight."""
        gaps = np.diff(places, prepend=-1) - 1
        ends = np.cumsum(gaps // self.step + 1) - 1
        symbols = np.full(ends[-1] + 1 if ends.size else 0, self.last, np.uint16)
        symbols[ends] = gaps % self.step
        return symbols, ends

    def places(self, symbols: np.ndarray, size: int) -> np.ndarray:
        """Returns the places of weights, fillers among them.

        Raises:
            PruneError: One lies beyond `size`.
        """
        weight = np.ones(symbols.size, bool) if self.fillers else symbols != self.last
        places = np.cumsum(symbols.astype(np.int64) + weight) - 1
        if places.size and places[-1] >= size:
            raise PruneError("Expected an undamaged file. Received: a weight beyond the end of its kernel.")
        return places[weight]
