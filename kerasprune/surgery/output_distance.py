"""How far an output of one model is from that of another: by its spread, and by the class, if it is classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
from scipy.special import logsumexp

FEW = 20  # examples of a class, below which it is said by its count
USELESS, WARNED = 0.5, 0.1  # of errors relative to the spread
_CONSTANT = 1e-12  # of the mean square: a smaller variance is rounding
_ROUNDED, _LEAST = 1e-2, 1e-30  # sums of probabilities in half precision differ so much from 1; a probability
_SHOWN = 4  # rare classes in a line


@dataclass
class OutputDistance:
    """The distance between an output b and the expected a, over batches.

    Args:
        name: Name of the output.
        classes: Whether its last axis is classes, of which the largest is chosen.

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
    max_error: float = 0.0
    scale: float = 0.0
    samples: int = 0
    wrong: float = 0.0
    square: float = 0.0
    diverging: float = 0.0
    totals: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0, int), repr=False, compare=False)
    same: np.ndarray = field(default_factory=lambda: np.zeros(0, int), repr=False, compare=False)
    _lengths: Counter[tuple[int, ...]] = field(default_factory=Counter, repr=False, compare=False)

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        """Adds a batch."""
        a, b = (np.asarray(each).astype(np.float64) for each in (a, b))
        self.max_error = float(np.maximum(self.max_error, np.max(np.abs(b - a), initial=0.0)))
        self.scale = float(np.maximum(self.scale, np.max(np.abs(a), initial=0.0)))
        self.wrong += float(np.sum((b - a) ** 2))
        self.square += float(np.sum(a**2))
        self.totals[a.shape[1:]] = self.totals.get(a.shape[1:], 0.0) + a.sum(axis=0)
        self._lengths[a.shape[1:]] += len(a)
        self.samples += len(a)
        if self.classes:
            chosen, size = a.argmax(-1).ravel(), a.shape[-1]
            same = chosen[chosen == b.argmax(-1).ravel()]
            counts, hits = (np.bincount(each, minlength=size) for each in (chosen, same))
            self.diverging += float(np.sum(_divergences(a, b)))
            before = [each if each.size else 0 for each in (self.counts, self.same)]
            self.counts, self.same = before[0] + counts, before[1] + hits

    @property
    def spread(self) -> float:
        """`Σ ‖a − mean(a)‖²`, the mean being over the examples, and along axes whose length differs between batches."""
        differ = tuple(axis for axis, sizes in enumerate(zip(*self.totals, strict=True)) if len({*sizes}) > 1)
        total = sum((each.sum(axis=differ) for each in self.totals.values()), np.zeros(()))
        number = sum(prod(shape[axis] for axis in differ) * self._lengths[shape] for shape in self.totals)
        return self.square - float(np.sum(np.square(total))) / max(number, 1)

    @property
    def error(self) -> float:
        """`Σ ‖b − a‖² / Σ ‖a − mean(a)‖²`, 1 = no better than a constant; of an output that is constant, `/ Σ ‖a‖²`."""
        return joint_error([self])

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
            few = f", {reason}" if self.classes else ""
            return f"{self.name}: error {lack_of_variance([self]) or f'{self.error:.2g}'}{few}"
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


def distances(
    wanted: Iterable[Sequence[np.ndarray]], made: Iterable[Sequence[np.ndarray]], classes: Mapping[str, bool]
) -> list[OutputDistance]:
    """Returns the distance of each output.

    Args:
        wanted: The expected outputs of each batch.
        made: The outputs of the other model.
        classes: As `class_outputs` returns it; without the outputs, they are numbered and not classes.
    """
    found: list[OutputDistance] = []
    for pair in zip(wanted, made, strict=True):
        found = found or of_outputs(len(pair[0]), classes)
        for each, a, b in zip(found, *pair, strict=True):
            each.add(a, b)
    return found


def joint_error(found: Sequence[OutputDistance]) -> float:
    """Returns `Σ ‖b − a‖² / Σ ‖a − mean(a)‖²` over all outputs; `/ Σ ‖a‖²` if none varies."""
    wrong, spread, square = (sum(getattr(each, name) for each in found) for name in ("wrong", "spread", "square"))
    return wrong / max(square if lack_of_variance(found) else spread, 1e-30)


def lack_of_variance(found: Sequence[OutputDistance]) -> str:
    """Returns why errors relative to the spread cannot be judged; empty if they can."""
    if any(each.spread > _CONSTANT * each.square for each in found):
        return ""
    return f"cannot be judged: the same output for all examples, of which there are {max(e.samples for e in found)}"


def of_outputs(count: int, classes: Mapping[str, bool]) -> list[OutputDistance]:
    """Returns an empty distance for each of some outputs; see `distances`."""
    named = classes if len(classes) == count else {f"output_{number}": False for number in range(count)}
    return [OutputDistance(name, of) for name, of in named.items()]


def least_agreement(found: Sequence[OutputDistance]) -> OutputDistance | None:
    """Returns the output of classes whose balanced agreement is least; `None` without classes."""
    judged = [each for each in found if each.agreement is not None]
    return min(judged, key=lambda each: each.balanced) if judged else None
