"""Connected components of tied ids, and what tells sets of blocks of ids apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def components(total: int, ties: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Returns the channel class of every id, numbered by first id.

    Args:
        total: Number of ids.
        ties: Pairs of arrays of ids, tied position by position.

    Example:
        >>> import numpy as np
        >>> components(5, [(np.array([0, 1]), np.array([3, 4]))]).tolist()
        [0, 1, 2, 0, 1]
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not ties:
        return np.arange(total)
    left, right = (np.concatenate(side) for side in zip(*ties, strict=True))
    matrix = coo_matrix((np.ones(left.size, np.int8), (left, right)), shape=(total, total))
    labels = connected_components(matrix, directed=False)[1]
    # SciPy numbers components as it likes. The rank of a component's first id numbers them in the order of the model,
    # so that names of groups do not depend on the order in which ids were tied.
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


class Components:
    """The components of tied ids while more are tied, and which of them are pinned.

    Args:
        total: Number of ids.
        ties: Pairs of arrays of ids, tied position by position.
        pins: Arrays of ids that are pinned.

    Example:
        >>> import numpy as np
        >>> found = Components(5, [(np.array([0, 1]), np.array([3, 4]))], [np.array([4])])
        >>> found.free(np.array([0, 2]))
        True
        >>> found.tie(np.array([2]), np.array([1]))
        >>> found.free(np.array([0, 2]))
        False
    """

    def __init__(self, total: int, ties: Sequence[tuple[np.ndarray, np.ndarray]], pins: Iterable[np.ndarray]) -> None:
        self._classes = components(total, ties)
        self._pinned = np.zeros(total, bool)
        for ids in pins:
            self.pin(ids)

    def tie(self, one: np.ndarray, other: np.ndarray) -> None:
        """Ties two arrays of ids position by position: only the components that they touch are looked at."""
        touched, place = np.unique(self._classes[np.stack([one, other])], return_inverse=True)
        parts = components(touched.size, [tuple(place.reshape(2, -1))])
        first = touched[np.unique(parts, return_index=True)[1]][parts]  # stands for all of its part
        np.logical_or.at(self._pinned, first, self._pinned[touched])
        now = np.arange(self._pinned.size)
        now[touched] = first
        self._classes = now[self._classes]

    def pin(self, ids: np.ndarray) -> None:
        """Pins ids, and all that are tied to them."""
        self._pinned[self._classes[ids]] = True

    def free(self, ids: np.ndarray) -> bool:
        """Returns whether none of these ids is pinned."""
        return not self._pinned[self._classes[ids]].any()


def distinct(numbers: np.ndarray) -> np.ndarray:
    """Returns the different numbers in order: `np.unique` for many that are nearly in order, as ids are."""
    ordered = np.sort(numbers, axis=None)
    return ordered[np.diff(ordered, prepend=ordered[:1] - 1) > 0]


def signatures(pairs: np.ndarray, blocks: int, pinned: np.ndarray) -> np.ndarray:
    """Returns a number for every class; equal numbers: the same blocks of ids, and both pinned or both not.

    Args:
        pairs: `(class, block)` of every block of ids that a class runs through, each once, shape `(2, pairs)`.
        blocks: Number of blocks.
        pinned: For every class whether its channels stay.
    """
    # Every block has a random weight of 62 bits; a class sums those of its blocks. Equal sets have equal sums, unequal
    # ones differ but for a chance of about classes² / 2⁶². The last weight stands for "pinned".
    weight = np.random.default_rng(0).integers(1, 2**62, size=blocks + 1, dtype=np.uint64)
    signature = np.zeros(len(pinned), np.uint64)
    np.add.at(signature, pairs[0], weight[pairs[1]])
    signature[pinned] += weight[-1]
    return signature
