"""Pairs of regularizers, or of constraints, on one variable, and the removal of one of them."""

from __future__ import annotations

from typing import Any

import keras


class Pair:
    """Base of what stands for two regularizers, or two constraints, on one variable."""

    def __init__(self, first: Any, second: Any) -> None:
        self.first = first
        self.second = second


class Sum(Pair, keras.regularizers.Regularizer):
    """The sum of two regularizers on one variable."""

    def __call__(self, weight: Any) -> Any:
        return self.first(weight) + self.second(weight)


class Chain(Pair, keras.constraints.Constraint):
    """One constraint after another on one variable."""

    def __call__(self, weight: Any) -> Any:
        return self.second(self.first(weight))


def joined(pair: type[Pair], own: Any, new: Any) -> Any:
    """Returns a pair of both, or the new one alone where a variable has none of its own."""
    return new if own is None else pair(own, new)


def without(whole: Any, part: Any) -> Any:
    """Returns a regularizer or constraint, possibly a pair, with one part taken out; `None` where nothing is left."""
    if whole is part:
        return None
    if not isinstance(whole, Pair):
        return whole
    first, second = without(whole.first, part), without(whole.second, part)
    if first is None or second is None:
        return second if first is None else first
    return type(whole)(first, second)
