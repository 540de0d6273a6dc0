"""How much a figure drops from one model to another, with its standard error, paired example by example."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

_DRAWS = 200  # of the bootstrap


class Tally(ABC):
    """A figure of a model as a function of how often every judged example counts."""

    @abstractmethod
    def __len__(self) -> int:
        """Returns the number of examples."""

    @abstractmethod
    def of(self, counts: np.ndarray) -> float:
        """Returns the figure if each example counts so often."""

    @property
    def value(self) -> float:
        """The figure of all examples."""
        return self.of(np.ones(len(self), int))


@dataclass(frozen=True, eq=False)
class MeanTally(Tally):
    """A mean over examples, `Σ values ÷ Σ weights`.

    Args:
        values: Of every example, multiplied by its weight.
        weights: Of every example.
    """

    values: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def of(self, counts: np.ndarray) -> float:
        return float(counts @ self.values / (counts @ self.weights))

    @property
    def terms(self) -> np.ndarray:
        """By how much each example moves the mean."""
        return (self.values - self.value * self.weights) / self.weights.sum()


@dataclass(frozen=True, eq=False)
class SumsTally(Tally):
    """A figure of what the examples add up to.

    Args:
        sums: What every example adds, (examples, numbers).
        figure: `figure(total)`.
    """

    sums: np.ndarray
    figure: Callable[[np.ndarray], float]

    def __len__(self) -> int:
        return len(self.sums)

    def of(self, counts: np.ndarray) -> float:
        return float(self.figure(counts @ self.sums))


@dataclass(frozen=True)
class Drop:
    """By how much a figure is worse.

    Args:
        value: The drop; negative if the figure is better.
        error: Its standard error.
    """

    value: float
    error: float

    def bound(self, confidence: float) -> float:
        """Returns the largest drop by a one-sided confidence.

        Example:
            >>> round(Drop(0.5, 0.2).bound(0.84), 2)
            0.7
        """
        return self.value + NormalDist().inv_cdf(confidence) * self.error


def paired_drop(
    dense: Tally,
    slim: Tally,
    *,
    higher: bool,
    relative: bool = False,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
) -> Drop:
    """Returns the drop of a figure from the dense to the slim model on the same examples.

    The standard error of a mean is `√Σᵢ(sᵢ − dᵢ)²`, where s and d are what an example moves the two means by; that of
    another figure is its deviation over 200 samples of the examples, drawn with replacement.

    Args:
        dense: The figure of the dense model.
        slim: That of the slim model.
        higher: Whether more is better.
        relative: Whether the drop is a fraction of the dense model's figure. Defaults to `False`.
        groups: What every example belongs to, such as a film: examples of a group are drawn together. Defaults to
            `None`: each is drawn alone.
        seed: Seed of the draws. Defaults to 0.

    Example:
        >>> import numpy as np
        >>> from kerasprune.steps.tallies import MeanTally
        >>> dense, slim = (MeanTally(np.array(right), np.ones(4)) for right in ([1.0, 1, 0, 1], [1.0, 0, 0, 1]))
        >>> paired_drop(dense, slim, higher=True)
        Drop(value=0.25, error=0.25)
    """
    before, after = dense.value, slim.value

    def drop(one: float, other: float) -> float:
        return (1 if higher else -1) * (one - other) / (abs(one) if relative else 1)

    places = np.arange(len(dense)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if isinstance(dense, MeanTally) and isinstance(slim, MeanTally):
        terms = dense.terms * (after / before) - slim.terms if relative else dense.terms - slim.terms
        error = deviation(terms / (abs(before) if relative else 1), places)
    else:
        pairs = [(dense.of(counts), slim.of(counts)) for counts in drawn_counts(places, seed)]
        error = float(np.std([drop(*pair) for pair in pairs], ddof=1))
    return Drop(drop(before, after), error)


def standard_error(one: Tally, groups: Sequence[Any] | None = None, seed: int = 0) -> float:
    """Returns the standard error of a figure itself, see `paired_drop`."""
    places = np.arange(len(one)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if isinstance(one, MeanTally):
        return deviation(one.terms, places)
    return float(np.std([one.of(counts) for counts in drawn_counts(places, seed)], ddof=1))


def deviation(terms: np.ndarray, places: np.ndarray) -> float:
    """Returns the standard error of a sum of terms, which vary by group.

    Args:
        terms: The terms, whose mean is near 0.
        places: The number of the group of each.
    """
    sums = np.bincount(places, terms)
    return float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1)))


def drawn_counts(places: np.ndarray, seed: int) -> np.ndarray:
    """Returns how often every example counts in each sample of the bootstrap, (200, examples)."""
    groups = int(places.max()) + 1
    return np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=_DRAWS)[:, places]
