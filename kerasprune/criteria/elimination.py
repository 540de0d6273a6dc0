"""Backward elimination of the channels of least-squares problems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_HELD = 256  # columns removed before the matrices are updated


@dataclass(frozen=True)
class Problem:
    """One layer that reads channels: `min ‖X·W − X·W_0‖² + ρ‖W − W_0‖²`, X centred.

    Args:
        gram: `XᵀX + ρ·I`, of shape `(columns, columns)`.
        weights: `W_0`, of shape `(columns, outputs)`.
        channel: The channel that each column belongs to; −1 = none that may be removed.
        share: Weight of the problem. Defaults to 1.
    """

    gram: np.ndarray
    weights: np.ndarray
    channel: np.ndarray
    share: float = 1.0


class _Left:
    """State of a problem: the inverse Gram matrix `P` of the columns that remain, and their best weights `W`.

    Removing the columns c takes `A·S` from P and `Sᵀ·W_c` from W, with `A = P_:c` and `S = P_cc⁻¹·Aᵀ`. Both matrices
    are updated for many removals at once; A, S and W_c of the removals since are stored. Only the diagonal blocks of P
    and of `W·Wᵀ`, one for each channel, from which costs are computed, follow every removal.

    Args:
        problem: The problem.
    """

    def __init__(self, problem: Problem) -> None:
        energy = float(np.einsum("io,ij,jo->", problem.weights, problem.gram, problem.weights, optimize=True))
        self._energy = (energy or 1.0) / problem.share
        self._bring_up_to_date(np.linalg.inv(problem.gram), problem.weights, problem.channel)

    def _bring_up_to_date(self, inverse: np.ndarray, weights: np.ndarray, channel: np.ndarray) -> None:
        self._inverse, self._weights, self._channel = inverse, weights, channel
        room = min(_HELD, len(channel)) + max(np.bincount(channel[channel >= 0]), default=0)
        self._across = np.empty((len(channel), room))
        self._share = np.empty((room, len(channel)))
        self._gone = np.empty((room, weights.shape[1]))
        self._held, self._rest = 0, np.ones(len(channel), bool)
        self._blocks = [_Blocks(*each, inverse, weights) for each in _equally_wide(channel)]

    def costs(self, size: int) -> np.ndarray:
        """Returns the increase of the error, relative to the layer's output, if each channel is removed."""
        found = np.zeros(size)
        for blocks in self._blocks:
            found[blocks.channels] = blocks.costs() / self._energy
        return found

    def remove(self, channel: int) -> None:
        """Removes a channel and solves for the weights of the others."""
        gone = np.flatnonzero(self._channel == channel)
        if not len(gone):
            return
        held, new = slice(self._held), slice(self._held, self._held + len(gone))
        before = self._share[held]
        across = self._inverse[:, gone] - self._across[:, held] @ before[:, gone]
        weights = self._weights[gone] - before[:, gone].T @ self._gone[held]
        share = np.linalg.solve(across[gone], across.T)
        products = self._weights @ weights.T - before.T @ (self._gone[held] @ weights.T)
        for blocks in self._blocks:
            blocks.follow(channel, across, share, products, weights @ weights.T)
        self._across[:, new], self._share[new], self._gone[new] = across, share, weights
        self._held, self._rest[gone] = new.stop, False
        if self._held >= _HELD:
            self._catch_up()

    def _catch_up(self) -> None:
        rest, held = self._rest, slice(self._held)
        share = self._share[held, rest]
        inverse = self._inverse[np.ix_(rest, rest)] - self._across[rest, held] @ share
        self._bring_up_to_date(inverse, self._weights[rest] - share.T @ self._gone[held], self._channel[rest])


class _Blocks:
    """The blocks on the diagonals of `P` and `W·Wᵀ` of channels that have equally many columns.

    Args:
        channels: The channels, of shape `(n,)`.
        columns: Their columns, of shape `(n, width)`.
        inverse: P.
        weights: W.
    """

    def __init__(self, channels: np.ndarray, columns: np.ndarray, inverse: np.ndarray, weights: np.ndarray) -> None:
        self.channels, self._columns = channels, columns
        self._inner = inverse[columns[:, :, None], columns[:, None, :]]
        self._squares = weights[columns] @ weights[columns].transpose(0, 2, 1)

    def costs(self) -> np.ndarray:
        """Returns `tr(W_cᵀ P_cc⁻¹ W_c)` of every channel c; 0 for removed ones."""
        return np.linalg.solve(self._inner, self._squares).trace(axis1=1, axis2=2)

    def follow(
        self, channel: int, across: np.ndarray, share: np.ndarray, products: np.ndarray, own: np.ndarray
    ) -> None:
        """Updates the blocks after the removal of a channel, given A, S, `W·W_cᵀ` and `W_c·W_cᵀ`."""
        moved = share[:, self._columns].transpose(1, 0, 2)
        self._inner -= across[self._columns] @ moved
        mixed = products[self._columns] @ moved
        self._squares += moved.transpose(0, 2, 1) @ own @ moved - mixed - mixed.transpose(0, 2, 1)
        gone = self.channels == channel
        self._inner[gone], self._squares[gone] = np.eye(self._columns.shape[1]), 0.0


def _equally_wide(channel: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields channels that have equally many columns, `(n,)`, with these columns, `(n, width)`."""
    order = np.argsort(channel, kind="stable")
    there, first, widths = np.unique(channel[order], return_index=True, return_counts=True)
    for width in np.unique(widths[there >= 0]):
        same = (widths == width) & (there >= 0)
        yield there[same], order[first[same][:, None] + np.arange(width)]


def elimination_errors(problems: Sequence[Problem], size: int) -> np.ndarray:
    """Returns the error after each channel's removal, if the cheapest is removed first and the others compensate.

    Each step removes the channel that adds least to the sum over problems of the relative least-squares error; the
    weights of those that remain are solved again. With `P` the inverse Gram matrix of the columns that
    remain and `W` their weights, removing the columns c costs `tr(W_cᵀ P_cc⁻¹ W_c)`: optimal brain surgery of blocks.

    Args:
        problems: The layers that read the channels.
        size: Number of channels.

    Returns:
        The error right after the removal of each channel, of shape `(size,)`; later removals have larger ones.
    """
    left = [_Left(problem) for problem in problems]
    remaining, errors, error = np.ones(size, bool), np.zeros(size), 0.0
    for _ in range(size):
        costs = sum((each.costs(size) for each in left), np.zeros(size))
        cheapest = int(np.where(remaining, costs, np.inf).argmin())
        error += max(float(costs[cheapest]), 0.0)
        errors[cheapest], remaining[cheapest] = error, False
        for each in left:
            each.remove(cheapest)
    return errors / sum(problem.share for problem in problems)
