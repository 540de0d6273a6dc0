"""A sparse matrix in compressed columns, its rows distributed over processing elements, and the cycles of a product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerasprune.export.codec.gaps import Gaps

INDEX = Gaps(4, True)
"""A relative index of 4 bits; a longer gap is interrupted by fillers, weights of zero that cost a cycle each."""


@dataclass(frozen=True)
class Columns:
    """The entries of a matrix that each processing element holds of each column.

    Args:
        entries: Weights and fillers, shape `(columns, elements)`.
        weights: Weights other than zero, likewise.
    """

    entries: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, kept: np.ndarray, elements: int) -> Columns:
        """Returns the columns of a matrix; element k of n holds the rows k, k + n, k + 2n …

        Args:
            kept: Whether each weight is other than zero, shape `(rows, columns)`.
            elements: n, the number of processing elements.

        Example:
            >>> import numpy as np
            >>> kept = np.zeros((40, 1), bool)
            >>> kept[[0, 38]] = True
            >>> Columns.of(kept, 2).entries.tolist()  # rows 0 and 19 of the first, 18 zeros between them
            [[3, 0]]
        """
        rows, columns = kept.shape
        place = np.arange(-(-rows // elements), dtype=np.int16)[:, None, None]
        padded = np.zeros((place.size * elements, columns), bool)
        padded[:rows] = kept
        spread = padded.reshape(place.size, elements, columns)
        last = np.maximum.accumulate(np.where(spread, place, -1), axis=0)
        before = np.concatenate([np.full_like(last[:1], -1), last[:-1]])
        fillers = np.where(spread, (place - before - 1) // INDEX.step, 0).sum(0)
        weights = spread.sum(0)
        return cls((weights + fillers).T, weights.T)

    @classmethod
    def drawn(cls, rows: int, columns: int, density: float, elements: int, generator: np.random.Generator) -> Columns:
        """Returns the columns of a matrix in which each weight is other than zero with probability `density`."""
        return cls.of(generator.random((rows, columns), np.float32) < density, elements)

    def cycles(self, active: np.ndarray, queue: int) -> int:
        """Returns the cycles of a product with a vector, an entry a cycle in each element.

        Activations other than zero are sent to all elements, one a cycle at most, and wait in a queue at each; none is
        sent while a queue is full. Element k is done with activation j at

        `done_j = max(done_{j−1}, sent_j) + entries_jk`,  `sent_j = max(sent_{j−1} + 1, max_k done_{j−queue})`.

        Args:
            active: Whether each activation is other than zero, shape `(columns,)`.
            queue: Activations that the queue of an element holds.
        """
        sent, done = -1, np.zeros((1, self.entries.shape[1]), int)
        for entries in self.entries[active]:
            full = done[-queue].max() if len(done) > queue else 0
            sent = max(sent + 1, int(full))
            done = np.concatenate([done[-queue:], (np.maximum(done[-1], sent) + entries)[None]])
        return int(done[-1].max())
