"""Laws of growth from steps to λ (`kp.schedules`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import ceil, floor
from typing import Any, ClassVar, Protocol, Self

from keras import ops

from kerasprune.checks import (
    given_values,
    interval_faults,
    is_number,
    kind_faults,
    positive_faults,
    whole_number_faults,
)
from kerasprune.errors import PruneError, raise_faults
from kerasprune.registry import Registry

_EXACT = 1e-9  # so that 0.01 / 1e-5 counts as the 1000 updates that it is


class Followed(Protocol):
    """The properties of an optimizer that a law uses: critical damping and the learning rate at a step."""

    critical: float

    def rate(self, step: Any) -> Any:
        """Returns the learning rate η at a step of the fit, bounded below."""


class Growth:
    """Base: λ of the pushed entries at every step, and the length of the schedule."""

    name: ClassVar[str] = ""
    """The registered name."""
    settle: int
    """Steps at the end with constant λ."""
    stop: bool = True
    """Whether `fit` stops at its end."""

    def __post_init__(self) -> None:
        raise_faults(f"Invalid arguments for {type(self).__name__}:", self.faults())

    @property
    def length(self) -> int:
        """Steps of the whole schedule."""
        raise PruneError(f"{type(self).__name__} has no length. Override it.")

    @property
    def pick(self) -> int:
        """The step at which a method that picks late picks."""
        raise PruneError(f"{type(self).__name__} has no step at which to pick. Use another schedule, or override pick.")

    def __call__(self, step: Any) -> Any:
        """Returns λ at a step, as a tensor; called inside the compiled step."""
        raise PruneError(f"{type(self).__name__} has no λ. Override __call__.")

    def faults(self) -> list[str]:
        """Returns the faults of the arguments."""
        return kind_faults(bool, "", stop=self.stop)

    def within(self, followed: Followed | None) -> Self:
        """Returns the law fitted to an optimizer; `None` stands for one that divides gradients by their size."""
        return self

    def highest(self, critical: float) -> float:
        """Returns the `η·λ` above which to warn, for an optimizer of that critical damping."""
        return critical


@dataclass(frozen=True)
class LinearGrowth(Growth):
    """`λ(t) = min(step · (⌊t / every⌋ + 1), ceiling)`: as in the papers.

    Args:
        step: δλ, added at every update. Defaults to 1e-4.
        every: K_u, steps between two updates; the first is at step 0. Defaults to 10.
        ceiling: τ, where it stops growing. Defaults to 1.
        settle: K_s, steps with λ at the ceiling. Defaults to 5000.
        stop: Whether `fit` stops at the end of the schedule. Defaults to `True`.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> LinearGrowth().length  # (10,000 − 1) updates apart by 10 steps, then 5,000 steps
        104990

    Reference:
        Wang et al., Neural Pruning via Growing Regularization, ICLR 2021, Algorithm 1.
    """

    name: ClassVar[str] = "linear"
    step: float = 1e-4
    every: int = 10
    ceiling: float = 1.0
    settle: int = 5000
    stop: bool = True

    def faults(self) -> list[str]:
        """Returns the faults of the arguments."""
        faults = super().faults()
        if not is_number(self.step) or not is_number(self.ceiling) or not 0 < self.step <= self.ceiling:
            faults.append(f"Expected 0 < step ≤ ceiling. Received: step={self.step!r}, ceiling={self.ceiling!r}.")
        return [*faults, *whole_number_faults(1, every=self.every), *whole_number_faults(0, settle=self.settle)]

    @property
    def length(self) -> int:
        """`(⌈τ/δλ⌉ − 1)·K_u + K_s`."""
        return (self.updates_to(self.ceiling) - 1) * self.every + self.settle

    def updates_to(self, height: float) -> int:
        """Returns the number of updates until λ is at least `height`."""
        return ceil(height / self.step - _EXACT)

    def updates_beyond(self, height: float) -> int:
        """Returns the number of updates until λ is greater than `height`."""
        return floor(height / self.step + _EXACT) + 1

    def __call__(self, step: Any) -> Any:
        updates = ops.cast(step // self.every + 1, "float32")
        return ops.minimum(updates * self.step, self.ceiling)

    def squeezed(self, steps: int) -> LinearGrowth:
        """Returns the law in fewer steps: an update at every one, growth and settling keeping their shares."""
        settle = min(max(1, round(steps * self.settle / self.length)), steps - 2)
        return replace(self, step=self.ceiling / (steps - settle + 1), every=1, settle=settle)


@dataclass(frozen=True)
class TwoSlopeGrowth(Growth):
    """λ grows slowly until the pick, then faster: as in GReg-2.

    `pick_step` is added every `every` steps up to the first update with `λ > pick_at`, `push_step` from there on, up
    to the ceiling.

    Args:
        pick_step: δλ while picking. Defaults to 1e-5.
        push_step: δλ while pushing. Defaults to 1e-4.
        every: K_u, steps between two updates; the first is at step 0. Defaults to 10.
        pick_at: τ'. Defaults to 0.01.
        ceiling: τ, where it stops growing. Defaults to 1.
        settle: K_s, steps with λ at the ceiling. Defaults to 5000.
        stop: Whether `fit` stops at the end of the schedule. Defaults to `True`.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> TwoSlopeGrowth().pick, TwoSlopeGrowth().length
        (10010, 114000)

    Reference:
        Wang et al., Neural Pruning via Growing Regularization, ICLR 2021, Algorithm 1.
    """

    name: ClassVar[str] = "two_slopes"
    pick_step: float = 1e-5
    push_step: float = 1e-4
    every: int = 10
    pick_at: float = 0.01
    ceiling: float = 1.0
    settle: int = 5000
    stop: bool = True

    def faults(self) -> list[str]:
        """Returns the faults of the arguments."""
        found, values = super().faults(), (self.pick_step, self.pick_at, self.ceiling)
        if not all(map(is_number, values)) or not 0 < values[0] <= values[1] < values[2] - values[0]:
            text = "pick_step={!r}, pick_at={!r}, ceiling={!r}".format(*values)
            found.append(f"Expected 0 < pick_step ≤ pick_at < ceiling − pick_step. Received: {text}.")
        if not is_number(self.push_step) or not is_number(self.ceiling) or not 0 < self.push_step <= self.ceiling:
            found.append(f"Expected 0 < push_step ≤ ceiling. Received: push_step={self.push_step!r}.")
        return [*found, *whole_number_faults(1, every=self.every), *whole_number_faults(0, settle=self.settle)]

    @property
    def picking(self) -> LinearGrowth:
        """The law before the pick."""
        return LinearGrowth(self.pick_step, self.every, self.ceiling, self.settle)

    @property
    def pushing(self) -> LinearGrowth:
        """The law after the pick."""
        return LinearGrowth(self.push_step, self.every, self.ceiling, self.settle)

    @property
    def pick(self) -> int:
        """The first update with λ > τ'."""
        return self.picking.updates_beyond(self.pick_at) * self.every

    @property
    def height(self) -> float:
        """λ at the pick."""
        return self.picking.updates_beyond(self.pick_at) * self.pick_step

    @property
    def length(self) -> int:
        """Steps of the whole schedule."""
        pushes = self.pushing.updates_to(self.ceiling - self.height)
        return self.pick + (pushes - 1) * self.every + self.settle

    def __call__(self, step: Any) -> Any:
        shared = ops.cast(step // self.every + 1, "float32") * self.pick_step
        pushes = ops.cast((step - self.pick) // self.every + 1, "float32")
        pushed = ops.minimum(self.height + pushes * self.push_step, self.ceiling)
        return ops.where(step < self.pick, shared, pushed)


@dataclass(frozen=True)
class GeometricGrowth(Growth):
    """λ grows by the same factor at every step, from far below critical damping of the optimizer to far above it.

    `η·λ(step) = x · ratio^(min(K_u ⌊step/K_u⌋ / (steps − settle), 1) − 1)`, with `x = max(strength, c)`, c the
    optimizer's critical damping, `(1 − √momentum)²`, and η the learning rate of the step. From c on a pushed weight
    decays by √momentum a step, the fastest possible; one with gradient g of the loss against the penalty is left at
    g/λ, which falls further. With a decoupled penalty x = c = 1. If Adam or another optimizer divides the penalty by
    its size, critical damping does not exist: λ grows to 1, as in the papers. A rate that a callback sets during `fit`
    is followed too (on JAX, only that of a schedule).

    Args:
        steps: Steps of the whole schedule, at least 3.
        settle: Steps at the end at full strength. Defaults to three tenths of `steps`.
        every: K_u, steps between two updates; the first is at step 0. Defaults to 1.
        ratio: Full strength ÷ that of the first step. Defaults to 10,000.
        strength: `η·λ` at full strength, in (0, 1], unless critical damping is above it. Defaults to 0.25.
        ceiling: λ at full strength, whatever the optimizer. Defaults to `None`: determined by `strength`.
        stop: Whether `fit` stops at the end of the schedule. Defaults to `True`.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> law = GeometricGrowth(steps=400, settle=200, ratio=100.0, ceiling=1.0)
        >>> [round(float(law(step)), 3) for step in (0, 100, 200, 399)]
        [0.01, 0.1, 1.0, 1.0]
    """

    name: ClassVar[str] = "geometric"
    steps: int
    settle: int | None = None
    every: int = 1
    ratio: float = 10_000.0
    strength: float = 0.25
    ceiling: float | None = None
    stop: bool = True
    full: float | None = field(default=None, init=False, repr=False, compare=False)  # η·λ, within a fit
    rate: Callable[[Any], Any] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.settle is None:
            object.__setattr__(self, "settle", max(1, 3 * self.steps // 10))

    def faults(self) -> list[str]:
        """Returns the faults of the arguments."""
        faults = super().faults() + whole_number_faults(3, steps=self.steps) + whole_number_faults(1, every=self.every)
        faults += whole_number_faults(0, **given_values(settle=self.settle))
        if not faults and self.settle is not None and self.settle > self.steps - 2:
            faults.append(f"Expected settle ≤ steps − 2. Received: settle={self.settle}, steps={self.steps}.")
        if not is_number(self.ratio) or not self.ratio >= 1:
            faults.append(f"Expected ratio ≥ 1. Received: ratio={self.ratio!r}.")
        faults += positive_faults(**given_values(ceiling=self.ceiling))
        return [*faults, *interval_faults("(0, 1]", "a share of a weight that a step takes", strength=self.strength)]

    @property
    def length(self) -> int:
        """Steps of the whole schedule."""
        return self.steps

    @property
    def pick(self) -> int:
        """Halfway through the growth, where λ is full strength ÷ √ratio."""
        return (self.steps - self.settle) // 2  # at least 1, since settle ≤ steps − 2

    def within(self, followed: Followed | None) -> GeometricGrowth:
        """Returns the law in a fit with an optimizer."""
        law = replace(self)
        if followed is not None and self.ceiling is None:
            object.__setattr__(law, "full", self.highest(followed.critical))
            object.__setattr__(law, "rate", followed.rate)
        return law

    def highest(self, critical: float) -> float:
        """Returns η·λ at full strength."""
        return critical if self.ceiling is not None else max(self.strength, critical)

    def __call__(self, step: Any) -> Any:
        updated = ops.cast(step // self.every * self.every, "float32")
        grown = ops.minimum(updated / (self.steps - self.settle), 1.0)
        share = ops.power(float(self.ratio), grown - 1.0)
        if self.rate is None:
            return share * (1.0 if self.ceiling is None else self.ceiling)
        return share * self.full / self.rate(step)


growths = Registry(
    "growth",
    {"geometric": GeometricGrowth, "linear": LinearGrowth, "two_slopes": TwoSlopeGrowth},
    base="kerasprune.training.regularizers.growth:Growth",
)
