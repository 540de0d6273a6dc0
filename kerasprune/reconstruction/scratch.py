"""Arrays that are held for a while: in memory up to a number of bytes, beyond it in temporary files."""

from __future__ import annotations

import tempfile
import weakref

import numpy as np

MEMORY = 2**30
"""Bytes that are held in memory."""


class Scratch:
    """Holds arrays, in memory while there is room, otherwise in unnamed files, which go when the arrays do.

    Args:
        memory: Bytes that are held in memory. Defaults to 1 GiB.

    Example:
        >>> import numpy as np
        >>> scratch = Scratch(memory=0)
        >>> type(scratch.hold(np.ones((2, 3)))).__name__
        'memmap'
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self._left = memory

    def hold(self, array: np.ndarray) -> np.ndarray:
        """Returns an array with the same numbers, whose memory or file is given back when it is no longer used."""
        if array.nbytes <= self._left:
            self._left -= array.nbytes
            weakref.finalize(array, self._release, array.nbytes)
            return array
        if not array.nbytes:
            return array
        with tempfile.TemporaryFile() as file:
            held = np.memmap(file, array.dtype, "w+", shape=array.shape)
        held[...] = array
        return held

    def _release(self, size: int) -> None:
        self._left += size
