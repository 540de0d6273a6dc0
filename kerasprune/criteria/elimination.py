"""Backward elimination: which channels a least-squares problem can do without, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Problem:
    """One layer that reads channels: `min ‖X·W − X·W_0‖² + ρ‖W − W_0‖²`, X centred.

    Args:
        gram: `XᵀX + ρ·I`, of shape `(columns, columns)`.
        weights: `W_0`, of shape `(columns, outputs)`.
        channel: The channel that each column belongs to; −1: none that may go.
        share: How much the problem counts beside others. Defaults to 1.
    """

    gram: np.ndarray
    weights: np.ndarray
    channel: np.ndarray
    share: float = 1.0


@dataclass
class _Left:
    """What is left of a problem: the inverse of the Gram matrix of the columns that remain, and their best weights."""

    inverse: np.ndarray
    weights: np.ndarray
    channel: np.ndarray
    energy: float

    @classmethod
    def of(cls, problem: Problem) -> _Left:
        energy = float(np.einsum("io,ij,jo->", problem.weights, problem.gram, problem.weights, optimize=True))
        return cls(np.linalg.inv(problem.gram), problem.weights, problem.channel, (energy or 1.0) / problem.share)

    def costs(self, size: int) -> np.ndarray:
        """Returns by how much the error rises, relative to what the layer puts out, when each channel goes."""
        found = np.zeros(size)
        order = np.argsort(self.channel, kind="stable")
        there, first = np.unique(self.channel[order], return_index=True)
        for width in set(np.diff([*first, len(order)])):
            same = [i for i, n in enumerate(np.diff([*first, len(order)])) if n == width and there[i] >= 0]
            if same:
                blocks = order[first[same][:, None] + np.arange(width)]
                inner = self.inverse[blocks[:, :, None], blocks[:, None, :]]
                weights = self.weights[blocks]
                found[there[same]] = (weights * np.linalg.solve(inner, weights)).sum(axis=(1, 2)) / self.energy
        return found

    def remove(self, channel: int) -> None:
        """Removes a channel, and moves the weights of the others to where the error is least."""
        gone = self.channel == channel
        rest = ~gone
        if not gone.any():
            return
        across = self.inverse[np.ix_(rest, gone)]
        share = np.linalg.solve(self.inverse[np.ix_(gone, gone)], across.T)
        self.inverse = self.inverse[np.ix_(rest, rest)] - across @ share
        self.weights = self.weights[rest] - share.T @ self.weights[gone]
        self.channel = self.channel[rest]


def elimination_errors(problems: Sequence[Problem], size: int) -> np.ndarray:
    """Returns the error at which each channel goes, when the cheapest goes first and the others make up for it.

    Step by step the channel goes whose removal raises the sum over problems of the relative least-squares error
    least; the weights of those that remain are solved anew. With `P` the inverse Gram matrix of the columns that
    remain and `W` their weights, removing the columns c costs `tr(W_cᵀ P_cc⁻¹ W_c)`: optimal brain surgery of blocks.

    Args:
        problems: The layers that read the channels.
        size: Number of channels.

    Returns:
        The error right after the removal of each channel, of shape `(size,)`; later removals have larger ones.
    """
    left = [_Left.of(problem) for problem in problems]
    remaining, errors, error = np.ones(size, bool), np.zeros(size), 0.0
    for _ in range(size):
        costs = sum((each.costs(size) for each in left), np.zeros(size))
        cheapest = int(np.where(remaining, costs, np.inf).argmin())
        error += max(float(costs[cheapest]), 0.0)
        errors[cheapest], remaining[cheapest] = error, False
        for each in left:
            each.remove(cheapest)
    return errors / sum(problem.share for problem in problems)
