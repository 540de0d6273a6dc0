"""Costs as polynomials of the numbers of channels kept: derived once from the graph, evaluated for many choices.

What a layer costs is a product of the numbers of channels along its axes, and each of these is a sum over groups: an
input that was concatenated from two groups has `k_1 + k_2` channels. So `cost` itself is run on such terms instead of
on numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np

from kerasprune.graph.channels import once
from kerasprune.graph.graph import ChannelGraph
from kerasprune.surgery.costs.counts import cost_of_counts

KEYS = ("macs", "params")
_AT_ONCE = 2**15  # numbers that fit into the cache: ten times as fast


@dataclass(frozen=True)
class Term:
    """A polynomial in the numbers of channels kept of lines (arrays of channel ids).

    Args:
        coefficients: `{numbers of the lines multiplied: coefficient}`, the numbers sorted.
    """

    coefficients: Mapping[tuple[int, ...], int]

    def __add__(self, other: Term | int) -> Term:
        found = Counter(self.coefficients)
        found.update(_term(other).coefficients)
        return Term(found)

    def __mul__(self, other: Term | int) -> Term:
        found: Counter[tuple[int, ...]] = Counter()
        pairs = product(self.coefficients.items(), _term(other).coefficients.items())
        for (one, first), (two, second) in pairs:
            found[tuple(sorted(one + two))] += first * second
        return Term(found)

    __radd__ = __add__
    __rmul__ = __mul__


def _term(value: Term | int) -> Term:
    return value if isinstance(value, Term) else Term({(): int(value)} if value else {})


@dataclass
class Lines:
    """The distinct arrays of channel ids of a graph (lines), each as counts of every group and a constant.

    Args:
        graph: The graph.
        whole: Whether every line contains all channels of a group equally often, or none. Else (it was sliced) costs
            depend on which channels are kept, not only on their number.
    """

    graph: ChannelGraph
    whole: bool = True
    _numbers: dict[bytes, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        groups = list(self.graph.groups.values())
        self._owner = self.graph.places[0]
        self._sizes = np.array([group.size for group in groups], int)
        self._prunable = np.array([group.prunable for group in groups], bool)
        self.count = once(self._line)

    def row(self, ids: np.ndarray) -> np.ndarray:
        """Returns how often a line contains each prunable group, then its number of pinned channels."""
        classes = self.graph.classes[ids[self.graph.there[ids]]]
        positions = np.bincount(self._owner[classes], minlength=self._sizes.size)
        often, left = np.divmod(positions, np.maximum(self._sizes, 1))
        each = np.bincount(classes, minlength=self._owner.size)
        uneven = (each > 0) & (each != often[self._owner]) & self._prunable[self._owner]
        self.whole &= not (uneven.any() or left[self._prunable].any())
        return np.append(often[self._prunable], positions[~self._prunable].sum())

    def _line(self, ids: np.ndarray) -> Term | int:
        """Returns the number of channels kept: an integer if all are pinned, else a term."""
        row = self.row(ids)
        if not row[:-1].any():
            return int(row[-1])
        key = row.astype(np.int64).tobytes()
        return Term({(self._numbers.setdefault(key, len(self._numbers)),): 1})

    @property
    def table(self) -> np.ndarray:
        """Lines × (prunable groups, then a constant): how often each is in each line."""
        rows = [np.frombuffer(key, np.int64) for key in self._numbers]
        return np.array(rows, float).reshape(len(rows), int(self._prunable.sum()) + 1)


class ChannelPolynomial:
    """Multiply–adds and parameters of a model as polynomials of the numbers of channels kept.

    `cost(k) = Σ_m a_m · Π_{l in m} (c_l + Σ_g n_lg · k_g)`, over lines `l` of channels and groups `g`.

    Args:
        graph: The graph, traced at the size to count at.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none.

    Example:
        >>> import keras
        >>> from kerasprune.graph.trace import trace
        >>> dense = keras.layers.Dense
        >>> graph = trace(keras.Sequential([keras.Input((4,)), dense(3), dense(2)]))
        >>> ChannelPolynomial(graph)([[3], [1]])  # 4·k + k·2 multiply–adds, and k + 2 biases
        array([[18, 23],
               [ 6,  9]])
    """

    def __init__(self, graph: ChannelGraph, macs_of: Mapping[str, int] = MappingProxyType({})) -> None:
        self.groups = {name: group.size for name, group in graph.prunable.items()}
        lines = Lines(graph)
        found = cost_of_counts(graph, lines.count, macs_of)
        terms = [_term(getattr(found, key)).coefficients for key in KEYS]
        products = list(dict.fromkeys(factors for each in terms for factors in each))
        one = len(lines.table)
        longest = max(map(len, products), default=0)
        self.whole = lines.whole
        self._lines = lines.table
        self._factors = np.array([[*each, *[one] * (longest - len(each))] for each in products], int)
        self._coefficients = np.array([[each.get(factors, 0) for factors in products] for each in terms], float)

    def __call__(self, numbers: Any) -> np.ndarray:
        """Returns `(multiply–adds, parameters)` of many choices.

        Args:
            numbers: Choices × prunable groups: channels kept of each group.

        Returns:
            Choices × 2, integers.
        """
        numbers = np.asarray(numbers)
        costs = np.empty((len(numbers), len(KEYS)), np.int64)
        at_once = max(_AT_ONCE // max(len(self._factors), 1), 1)
        for begin in range(0, len(numbers), at_once):
            part = numbers[begin : begin + at_once]
            costs[begin : begin + at_once] = self._of(part.astype(float)).T
        return costs

    def _of(self, numbers: np.ndarray) -> np.ndarray:
        lines = np.ones((len(self._lines) + 1, len(numbers)))
        lines[:-1] = self._lines[:, :-1] @ numbers.T + self._lines[:, -1:]
        products = np.ones((len(self._factors), len(numbers)))
        for factors in self._factors.T:
            products *= lines[factors]
        return self._coefficients @ products  # integers below 2**53 are exact in floats
