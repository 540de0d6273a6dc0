"""What the calls of a layer say of its kernel: rows of what it reads, and what it should make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kerasprune.reconstruction.layer_tail import Tail

_NO_SCALE = 1e-6


@dataclass
class Rows:
    """What a call says of its kernel: rows of X, of Y, and of the residual sum it goes into; and which only judge."""

    judges: np.ndarray
    x: np.ndarray
    y: np.ndarray
    sum: np.ndarray | None = None
    others: np.ndarray | None = None

    def where(self, chosen: np.ndarray) -> Rows:
        """Returns some of the rows."""
        return Rows(*(None if each is None else each[chosen] for each in vars(self).values()))


@dataclass(frozen=True)
class Evidence:
    """What all calls say of their kernel.

    Args:
        parts: The rows of each call.
        tails: What stands behind each.
    """

    parts: Sequence[Rows]
    tails: Sequence[Tail | None]

    @property
    def x(self) -> np.ndarray:
        """The rows of X, of one call below the other."""
        return _joined([part.x for part in self.parts])

    def wanted(self, fit: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
        """Returns what the kernel should put out; `fit(x)` is what it puts out now, where that may count."""
        pairs = zip(self.parts, self.tails, strict=True)
        return _joined([_wanted(part, tail, fit and fit(part.x)) for part, tail in pairs])

    def cuts_off(self) -> bool:
        """Says whether something behind cuts off what is known to reach it."""
        pairs = zip(self.parts, self.tails, strict=True)
        return any(tail and np.isfinite(tail.range).any() and _reaches(tail, part) for part, tail in pairs)

    def split(self) -> tuple[Evidence, Evidence]:
        """Returns what is solved on, and what judges."""
        return tuple(
            Evidence([part.where(part.judges == judging) for part in self.parts], self.tails)
            for judging in (False, True)
        )


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Returns arrays below each other; a single one is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _reaches(tail: Tail, rows: Rows) -> bool:
    """Says whether what stands behind a kernel is known: where it is added to others, these too."""
    return tail.sum is None or rows.sum is not None


def _wanted(rows: Rows, tail: Tail | None, present: np.ndarray | None) -> np.ndarray:
    """Returns what the kernel should put out.

    Args:
        rows: What it is solved from.
        tail: What stands behind it; `None`: nothing that counts.
        present: What it puts out now: where that is out of range, as the target is, it may stay. Defaults to `None`:
            every target is to be met.
    """
    if tail is None:
        return rows.y
    scale, offset = (np.asarray(each, rows.y.dtype) for each in (tail.scale, tail.offset))
    others = 0.0 if rows.others is None else rows.others
    wanted = rows.y * scale + offset if rows.sum is None else rows.sum
    if present is not None:
        low, high = tail.range
        now = present * scale + offset + others
        if np.isfinite(high):
            wanted = np.where(wanted >= high, np.maximum(now, high), wanted)
        wanted = np.where(wanted <= low, np.minimum(now, low), wanted)
    heard = np.abs(scale) > _NO_SCALE
    solved = (wanted - others - offset) / np.where(heard, scale, 1.0)
    return solved if heard.all() else np.where(heard, solved, rows.y)
