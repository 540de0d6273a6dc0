"""Gradual magnitude pruning by a schedule."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from keras import ops

from kerasprune.checks import count_faults, whole_number_faults
from kerasprune.errors import PruneError, raise_faults
from kerasprune.training import schedules
from kerasprune.training.callback import PruningCallback
from kerasprune.training.in_step import cond
from kerasprune.training.mask_updates import Updates, updates
from kerasprune.training.masks import Selection
from kerasprune.training.optimizer import batches_per_update
from kerasprune.training.schedules import Moment
from kerasprune.training.scope import Pattern, Scope

EVERY = 100


class GradualMagnitude(PruningCallback):
    """Gradually sets the weights of lowest score to zero, for good, on a schedule.

    After each of the steps `begin, begin + every, …, end` the fraction `schedule(step)` is kept. Masks are chosen and
    applied inside the compiled step, after the weight update. On a model that was pruned before, such as a checkpoint,
    the schedule goes on from the fraction that its zeros show.

    Args:
        schedule: The fraction kept as a function of the step: one of `kp.schedules`, any function of a step, a dict
            such as `{"name": "cubic", "keep": 0.1}`, or a pruning schedule of tensorflow-model-optimization. Defaults
            to `None`, for patterns only: the fraction of the pattern, from the first step on.
        criterion: `"l1"`, `"l2"` or another criterion with a score for single weights. Defaults to `"l1"`.
        every: Steps between two mask updates. Defaults to `None`: the `frequency` of `PolynomialDecay`, otherwise 100.
        granularity: `"weight"`, `"filter"`, `{"name": "block", "rows": 1, "columns": 4}`. Defaults to `"weight"`.
        scope: `"layer"`, `"global"`, `{"name": "pattern", "keep": 2, "of": 4}`. Defaults to `"layer"`: each kernel
            loses the same fraction, as in the reference.
        freeze: Names of layers, or wildcards, that are kept whole. Defaults to none.
        strict: Whether to raise a `PruneError`, rather than warn, after a fit in which the callback had no effect.
            Defaults to `True`.

    Raises:
        PruneError: An argument is out of range; in `fit`: there is nothing to prune, or the number of steps is unknown.

    Example:
        >>> from kerasprune.training.schedules import cubic
        >>> callback = GradualMagnitude(cubic(keep=0.1, end="10ep"), every=100)

    Reference:
        Zhu & Gupta, To prune, or not to prune, arXiv 1710.01878, section 3.
    """

    follows_weights = True

    def __init__(
        self,
        schedule: Any = None,
        *,
        criterion: Any = "l1",
        every: int | None = None,
        granularity: Any = "weight",
        scope: Any = "layer",
        freeze: Sequence[str] = (),
        strict: bool = True,
    ) -> None:
        raise_faults("Invalid arguments for GradualMagnitude:", count_faults(every=every))
        super().__init__(strict=strict)
        self.selection = Selection(criterion, granularity, scope, freeze)
        self.schedule = schedules.get(_of_pattern(self.selection.scope) if schedule is None else schedule)
        own = self.schedule.every if isinstance(self.schedule, schedules.Ramp) else None
        self.every = every or own or EVERY
        self.scope = repr(self.selection.scope)  # a setting that Resume compares
        self._updates = Updates((), ())

    def compressed(self, steps: int) -> Self:
        """Returns a copy whose cubic or stepwise schedule takes `steps` steps; other schedules are kept.

        Masks are renewed at least ten times on the way, if there are as many steps.
        """
        raise_faults("Invalid arguments for compressed:", whole_number_faults(1, steps=steps))
        other = copy.copy(self)
        other.every = min(self.every, max(1, steps // 10))
        if isinstance(self.schedule, schedules.Ramp):
            other.schedule = replace(self.schedule, begin=Moment(), end=Moment(iterations=steps))
        elif isinstance(self.schedule, schedules.Steps):
            number = len(self.schedule.points)
            points = tuple(Moment(iterations=steps * index // number) for index in range(number))
            other.schedule = replace(self.schedule, points=points)
        return other

    def begin(self) -> None:
        """Attaches the masks, and removes the share of the schedule before the first step."""
        per_epoch, epochs = self.params.get("steps"), self.params.get("epochs") or 1
        accumulation = batches_per_update(self.model.optimizer)
        known = None if per_epoch is None else per_epoch / accumulation
        total = None if per_epoch is None else per_epoch * epochs // accumulation + self.session.now()
        self._updates = updates(self.schedule, self.every, known, total)
        self._meant = self._updates.steps[-1] if total is None else min(self._updates.steps[-1], total)
        if total is not None and self._updates.steps[-1] > total:
            self._diagnosis.say_once(
                "cut short",
                f"The schedule ends after {self._updates.steps[-1]} steps, fit after {total}: then "
                f"{self._updates.at(total):.3g} is kept. Train longer, or end the schedule earlier.",
            )
        self.hold(self.selection.masks(self.model), self._renew)
        if self.restored_epoch and known is not None:
            self.session.start -= int(known * self.restored_epoch)
        self._count()
        if not (self.goes_on or self.restored_epoch):
            self._find_place()
        now = self.session.now()
        self.held.renew(self._updates.at(now))
        over = np.int32(sum(due <= now for due in self._updates.steps) - 1)
        self._renewals = self.session.variable("place", over)

    def end(self) -> None:
        """Warns if the fit has ended before the step that was known as it began: nothing tells it `initial_epoch`."""
        now, last = self.session.now(), self._updates.steps[-1]
        if now < self._meant and self._updates.at(now) > self._updates.keep[-1]:
            remedy = f", with {self._updates.at(now):.3g} kept. Train longer, or end the schedule earlier."
            self._diagnosis.cut_short(f"keep {self._updates.keep[-1]:.3g} after {last} steps", f"after {now}", remedy)

    def _find_place(self) -> None:
        """Goes on from the renewal that earlier zeros show, at the optimizer's step if it is before the next one."""
        left, steps = sum(len(unit.kept_indices()) for unit in self.held.units), self._updates.steps
        whole = sum(unit.size for unit in self.held.units)
        done = [due for due, number in zip(steps, self._numbers.sum(1), strict=True) if left <= number < whole]
        if done:
            last = min([due - 1 for due in steps if due > done[-1]], default=np.inf)
            self.session.start -= int(min(max(self.session.start, done[-1]), last))

    def _count(self) -> None:
        """Computes the number of entries kept after each renewal."""
        self._numbers = np.stack([self.held.numbers(keep) for keep in self._updates.keep])

    @property
    def finished(self) -> bool:
        """Whether the schedule is over."""
        return self.session is not None and bool(self._updates.steps) and self.session.now() >= self._updates.steps[-1]

    def shortfalls(self) -> list[str]:
        """Returns a fault if the masks are behind their schedule."""
        over = sum(due <= self.session.now() for due in self._updates.steps) - 1
        behind = int(ops.convert_to_numpy(self._renewals)) < over
        found = [f"{self.kept:.3g} is kept instead of the schedule's {self._updates.keep[over]:.3g}."] if behind else []
        return [*super().shortfalls(), *found]

    def _renew(self) -> None:
        """Renews the masks at the steps of the schedule; if steps were left out, as soon as possible."""
        due = ops.convert_to_tensor(np.asarray(self._updates.steps, "int32"))  # torch compares tensors with tensors
        index = ops.sum(ops.cast(self.session.step_after_update() >= due, "int32")) - 1
        before = ops.convert_to_tensor(self._renewals)
        numbers = ops.take(ops.convert_to_tensor(self._numbers), ops.maximum(index, 0), axis=0)
        removed = cond(
            index > before,
            lambda: self.held.lowest(numbers),
            lambda: [ops.convert_to_tensor(unit.pruned) for unit in self.held.units],
        )
        self.held.assign(removed)
        self._renewals.assign(ops.maximum(index, before))


def _of_pattern(scope: Scope) -> schedules.Schedule:
    """Returns the constant schedule of a pattern."""
    if not isinstance(scope, Pattern):
        raise PruneError(
            "Expected a schedule, such as kp.schedules.cubic(keep=0.1, end='10ep'); only a pattern says by itself how "
            "much is kept. Received: schedule=None."
        )
    return schedules.constant(scope.keep / scope.of)
