"""How far an output of one model is from that of another: by its spread, by column, and by class if it is classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import prod
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

FEW = 20  # examples of a class, below which it is said by its count
USELESS, WARNED = 0.5, 0.1  # of errors relative to the spread
_CONSTANT = 1e-12  # of the mean square: a smaller variance is rounding
_ROUNDED, _LEAST = 1e-2, 1e-30  # sums of probabilities in half precision differ so much from 1; a probability
_SHOWN = 4  # rare classes in a line
_MOST_COLUMNS = 20  # of an output, or of what is concatenated in it, that are quantities of their own
_ABOVE = 1.2  # the error of all together, by which that of a quantity is named
_MOST_NUMBERS = 2**16  # class numbers that are told apart
TIES = 0.05  # of the class numbers, which rounding decides


class LastAxis(NamedTuple):
    """What the last axis of an output holds.

    Args:
        classes: Whether it is classes, of which the largest is chosen. Defaults to `False`.
        widths: The widths of what is concatenated in it. Defaults to none: they are not known.
    """

    classes: bool = False
    widths: tuple[int, ...] = ()


@dataclass
class OutputDistance:
    """The distance between an output b and the expected a, over batches.

    Whole numbers and booleans are the numbers of classes: those that differ are counted, and no squares are summed.

    Args:
        name: Name of the output.
        classes: Whether its last axis is classes, of which the largest is chosen.
        widths: The widths of what is concatenated in its last axis.

    Example:
        >>> import numpy as np
        >>> found = OutputDistance("label", classes=True)
        >>> a = np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]] * 10)
        >>> found.add(a, np.where(a == 1.0, -1.0, a))
        >>> round(found.agreement, 3), found.balanced, str(found)
        (0.667, 0.5, 'label: same class 66.67 %, balanced 50.00 % (class 1: 0 of 10)')
    """

    name: str
    classes: bool = False
    widths: tuple[int, ...] = ()
    numbers: bool = False
    max_error: float = 0.0
    scale: float = 0.0
    samples: int = 0
    wrong: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    square: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    diverging: float = 0.0
    totals: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0, int), repr=False, compare=False)
    same: np.ndarray = field(default_factory=lambda: np.zeros(0, int), repr=False, compare=False)
    _lengths: Counter[tuple[int, ...]] = field(default_factory=Counter, repr=False, compare=False)

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        """Adds a batch."""
        a, b = map(np.asarray, (a, b))
        self.samples += len(a)
        if a.dtype.kind in "biu":
            self._add_numbers(a, b)
            return
        a, b = (each.astype(np.float64) for each in (a, b))
        self.max_error = float(np.maximum(self.max_error, np.max(np.abs(b - a), initial=0.0)))
        self.scale = float(np.maximum(self.scale, np.max(np.abs(a), initial=0.0)))
        self.wrong, self.square = _joined(self.wrong, _squares(b - a)), _joined(self.square, _squares(a))
        self.totals[a.shape[1:]] = self.totals.get(a.shape[1:], 0.0) + a.sum(axis=0)
        self._lengths[a.shape[1:]] += len(a)
        if self.classes:
            self._choose(a.argmax(-1), b.argmax(-1))
            self.diverging += float(np.sum(_divergences(a, b)))

    def _add_numbers(self, a: np.ndarray, b: np.ndarray) -> None:
        """Adds a batch of class numbers: by the number of those that differ, of all and of the rarer ones."""
        self.numbers, differ = True, float(np.sum(a != b))
        self.max_error, self.scale = max(self.max_error, float(differ > 0)), 1.0
        self.wrong, self.square = _joined(self.wrong, np.array([differ])), _joined(self.square, np.array([a.size]))
        self._choose(a, b)

    def _choose(self, a: np.ndarray, b: np.ndarray) -> None:
        """Counts classes, and those of them that are the same."""
        chosen = np.clip(a, 0, _MOST_NUMBERS).astype(int)
        size = max(self.counts.size, int(chosen.max(initial=0)) + 1)
        for name, found in (("counts", chosen), ("same", chosen[a == b])):
            before = getattr(self, name)
            setattr(self, name, np.bincount(found.ravel(), minlength=size) + np.pad(before, (0, size - before.size)))

    @property
    def spread(self) -> float:
        """`Σ ‖a − mean(a)‖²`, the mean being over the examples, and along axes whose length differs between batches.

        Of class numbers, the number of those that are not the most frequent one.
        """
        return float(np.sum(self._spreads()))

    def _spreads(self) -> np.ndarray:
        """Returns the spread by column, of one if the columns differ between batches."""
        if self.numbers:
            return np.array([self.counts.sum() - self.counts.max(initial=0)])
        differ = tuple(axis for axis, sizes in enumerate(zip(*self.totals, strict=True)) if len({*sizes}) > 1)
        total = sum((each.sum(axis=differ) for each in self.totals.values()), np.zeros(()))
        number = sum(prod(shape[axis] for axis in differ) * self._lengths[shape] for shape in self.totals)
        return self.square - np.square(total).reshape(-1, self.square.size).sum(axis=0) / max(number, 1)

    @property
    def error(self) -> float:
        """`Σ ‖b − a‖² / Σ ‖a − mean(a)‖²`, 1 = no better than a constant; of an output that is constant, `/ Σ ‖a‖²`.

        Of class numbers, the number of those that differ in place of `Σ ‖b − a‖²`.
        """
        return joint_error([self])

    @property
    def errors(self) -> dict[str, float]:
        """The error of each of its quantities that varies, by the place in the last axis.

        A quantity is a column, or a wide part of those that are concatenated; classes are one together, and so are the
        columns of an output that has more than 20 and is not concatenated.
        """
        size = self.wrong.size
        widths = self.widths if sum(self.widths) == size else (size,)
        if self.classes or self.numbers or size < 2 or max(widths) == size > _MOST_COLUMNS:
            return {"": self.error} if not lack_of_variance([self]) else {}
        ends = np.cumsum(widths)
        parts = [(end - width, end) for end, width in zip(ends, widths, strict=True)]
        split = ([(a, b)] if b - a > _MOST_COLUMNS else [(n, n + 1) for n in range(a, b)] for a, b in parts)
        sums, found = (self.wrong, self._spreads(), self.square), {}
        for begin, end in chain.from_iterable(split):
            wrong, spread, square = (float(each[begin:end].sum()) for each in sums)
            if spread > _CONSTANT * square:
                found[f"[{begin}]" if end - begin == 1 else f"[{begin}:{end}]"] = wrong / spread
        return found

    @property
    def worst(self) -> tuple[str, float]:
        """The name and the error of the quantity whose error is largest; of the output if none is above it."""
        place, error = max(self.errors.items(), key=lambda item: item[1], default=("", self.error))
        named = place and error > max(_ABOVE * self.error, WARNED)
        return (f"{self.name}{place}", error) if named else (self.name, self.error)

    @property
    def said(self) -> str:
        """The error, or why it cannot be judged, and the quantity whose error is larger."""
        return lack_of_variance([self]) or f"{self.error:.2g}{worst_of([self], self.error)}"

    @property
    def is_few(self) -> bool:
        """Whether fewer than 20 classes were chosen: their agreement says nothing."""
        return self.counts.sum() < FEW

    @property
    def agreement(self) -> float | None:
        """Fraction of the same class; `None` if the output is not classes, or they are fewer than 20."""
        return None if self.is_few else float(self.same.sum() / self.counts.sum())

    @property
    def balanced(self) -> float | None:
        """Mean, over the classes that a chooses, of the fraction of them that b chooses too; `None` as `agreement`."""
        there = self.counts > 0
        return None if self.is_few else float(np.mean(self.same[there] / self.counts[there]))

    @property
    def divergence(self) -> float:
        """`Σ p log(p/q)` of the probabilities p of a and q of b, the mean over all choices; 0 without classes."""
        return self.diverging / max(self.counts.sum(), 1)

    @property
    def useless(self) -> bool:
        """Whether the error is above 0.5, and, of classes, the balanced agreement below."""
        far = self.error > USELESS and (self.balanced is None or self.balanced < USELESS)
        return far and not lack_of_variance([self])

    @property
    def rare(self) -> dict[int, tuple[int, int]]:
        """`{class: (same, count)}` of classes with fewer than 20 examples, of which some are lost, the most first."""
        lost = self.counts - self.same
        found = np.flatnonzero((self.counts < FEW) & (lost > 0))
        found = found[np.argsort(-lost[found], kind="stable")]
        return {int(n): (int(self.same[n]), int(self.counts[n])) for n in found}

    def __str__(self) -> str:
        """Returns the distance in a line."""
        if self.agreement is None:
            reason = f"same class cannot be judged: {self.counts.sum()} examples, fewer than {FEW}"
            few = f", {reason}" if self.classes or self.numbers else ""
            return f"{self.name}: error {self.said}{few}"
        rare = [f"class {n}: {same} of {count}" for n, (same, count) in self.rare.items()]
        rare = rare[:_SHOWN] + [f"{len(rare) - _SHOWN} more"] * (len(rare) > _SHOWN)
        found = f"{self.name}: same class {100 * self.agreement:.2f} %, balanced {100 * self.balanced:.2f} %"
        return found + (f" ({', '.join(rare)})" if rare else "")


def _divergences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the terms of `Σ p log(p/q)`; p and q are a and b, or these are logits."""
    if all(each.min(initial=0.0) >= 0 and np.allclose(each.sum(-1), 1, atol=_ROUNDED) for each in (a, b)):
        p, q = (np.log(np.maximum(each, _LEAST)) for each in (a, b))
    else:
        p, q = (each - logsumexp(each, axis=-1, keepdims=True) for each in (a, b))
    return np.exp(p) * (p - q)


def _squares(x: np.ndarray) -> np.ndarray:
    """Returns the sum of squares by column."""
    return np.sum(np.square(x).reshape(-1, x.shape[-1] if x.ndim > 1 else 1), axis=0)


def _joined(before: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Returns the sum by column, or of all if there are other columns than before."""
    return before + new if before.size == new.size else np.array([before.sum() + new.sum()]) if before.size else new


def distances(
    pairs: Iterable[tuple[Sequence[np.ndarray], Sequence[np.ndarray]]], axes: Mapping[str, LastAxis]
) -> list[OutputDistance]:
    """Returns the distance of each output.

    Args:
        pairs: The expected outputs of each batch, and those of the other model.
        axes: As `last_axes` returns it; without the outputs, they are numbered and not classes.
    """
    found: list[OutputDistance] = []
    for wanted, made in pairs:
        named = axes if len(axes) == len(wanted) else {f"output_{number}": LastAxis() for number in range(len(wanted))}
        found = found or [OutputDistance(name, *axis) for name, axis in named.items()]
        for each, a, b in zip(found, wanted, made, strict=True):
            each.add(a, b)
    return found


def joint_error(found: Sequence[OutputDistance]) -> float:
    """Returns `Σ ‖b − a‖² / Σ ‖a − mean(a)‖²` over all outputs; `/ Σ ‖a‖²` if none varies.

    Class numbers count only if there is nothing else.
    """
    found = without_class_numbers(found)
    wrong, spread, square = (float(sum(np.sum(getattr(e, n)) for e in found)) for n in ("wrong", "spread", "square"))
    return wrong / max(square if lack_of_variance(found) else spread, 1e-30)


def error_of_quantities(found: Sequence[OutputDistance]) -> float:
    """Returns the error of several quantities: `joint_error`, or the mean of the errors of each if that is larger.

    In the mean none counts more than 1, a constant: what hardly varies does not outweigh the others.
    """
    errors = [min(error, 1.0) for each in without_class_numbers(found) for error in each.errors.values()]
    return float(np.maximum(joint_error(found), np.mean(errors) if errors else 0.0))


def worst_of(found: Sequence[OutputDistance], error: float) -> str:
    """Returns the quantity that is worst, with its error, in words; empty if it is hardly above that of all."""
    quantities = [each.worst for each in without_class_numbers(found)]
    place, most = max(quantities, key=lambda each: each[1], default=("", 0.0))
    return f", of {place} {most:.2g}" if most > max(_ABOVE * error, WARNED) else ""


def without_class_numbers(found: Sequence[OutputDistance]) -> Sequence[OutputDistance]:
    """Returns those that are not class numbers, if there are any."""
    return [each for each in found if not each.numbers] or found


def lack_of_variance(found: Sequence[OutputDistance]) -> str:
    """Returns why errors relative to the spread cannot be judged; empty if they can."""
    if any(each.spread > _CONSTANT * np.sum(each.square) for each in without_class_numbers(found)):
        return ""
    return f"cannot be judged: the same output for all examples, of which there are {max(e.samples for e in found)}"


def least_agreement(found: Sequence[OutputDistance]) -> OutputDistance | None:
    """Returns the output of classes, or without any of class numbers, whose balanced agreement is least, or `None`."""
    judged = without_class_numbers([each for each in found if each.agreement is not None])
    return min(judged, key=lambda each: each.balanced) if judged else None
