"""What iterative magnitude pruning and learning-rate rewinding share: rounds of training and removal in one fit."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from kerasprune.callbacks._scored import Scored
from kerasprune.errors import PruneError, is_number, raise_faults, whole_number_faults
from kerasprune.schedules import Point
from kerasprune.training.callback import State
from kerasprune.training.clock import accumulated
from kerasprune.training.phases import Phases


class RoundsOfRemoval(Scored):
    """Base: `total = k + (rounds + 1)·L` steps; after each of the first `rounds` phases of L steps some weights go.

    A subclass says what is rewound after a removal (`rewind`). Steps are batches; phases end where a step, or an
    execution of several, ends.

    Args:
        rounds: Number of removals.
        keep_per_round: Fraction of what is left that stays at each. After n rounds `keep_per_round**n` of all stays.
        rewind_to: The point in training, e.g. `"500it"` or `"2ep"`.
        criterion, granularity, scope, freeze: As for `GradualMagnitude`.
    """

    def __init__(
        self,
        rounds: int,
        keep_per_round: float = 0.8,
        rewind_to: str | int | Point = "0it",
        *,
        criterion: Any = "l1",
        granularity: Any = "weight",
        scope: Any = "global",
        freeze: Sequence[str] = (),
    ) -> None:
        faults = whole_number_faults(1, rounds=rounds)
        if not is_number(keep_per_round) or not 0 < keep_per_round < 1:
            faults.append(f"Expected a fraction kept in (0, 1). Received: keep_per_round={keep_per_round!r}.")
        raise_faults(f"{type(self).__name__} cannot be made:", faults)
        super().__init__(criterion, granularity, scope, freeze)
        self.rounds = rounds
        self.keep_per_round = keep_per_round
        self.rewind_to = Point.read(rewind_to)
        self._phases: Phases | None = None
        self._done_steps = 0
        self._epoch_began = 0
        self._round = 0

    @abstractmethod
    def remember(self) -> None:
        """Called at the rewind point."""

    @abstractmethod
    def rewind(self) -> None:
        """Called after each removal, before the masks are applied."""

    def span(self, steps_per_epoch: int, steps: int) -> float:
        """Returns how many epochs one training takes, from the beginning to the end of a phase: a learning-rate
        schedule should span so many.

        Args:
            steps_per_epoch: Batches in an epoch.
            steps: Batches of the whole fit.
        """
        rewind = self.rewind_to.steps(steps_per_epoch)
        return (rewind + (steps - rewind) / (self.rounds + 1)) / steps_per_epoch

    def compressed(self, steps: int) -> Self:
        """Returns the same callback with one removal instead of its rounds, and nothing before the rewind point.

        This is another method; it is for trying things out.
        """
        raise_faults("No shorter schedule can be made:", whole_number_faults(2, steps=steps))
        other = copy.copy(self)
        other.rounds, other.keep_per_round = 1, self.keep_per_round**self.rounds
        other.rewind_to = Point()
        return other

    def rewound(self) -> int:
        """Returns the optimizer's own count of batches at the rewind point."""
        return self._clock.start * accumulated(self.model.optimizer) + self._phases.rewind

    def begin(self) -> None:
        """Cuts the fit into phases and attaches the masks."""
        steps, epochs = self.params.get("steps"), self.params.get("epochs")
        if steps is None:
            raise PruneError(
                "Expected data of known length, so that the fit can be cut into phases. Received: no number of steps. "
                "Give fit steps_per_epoch=."
            )
        rewind = self.rewind_to.steps(steps)
        phases = Phases.of(rewind, self.rounds, steps, epochs, self.model.steps_per_execution)
        self._phases, self._done_steps, self._epoch_began, self._round = phases, 0, 0, 0
        super().begin()
        self._check_rounds()
        if rewind == 0:
            self.remember()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Remembers, removes and rewinds where a phase ends."""
        before = self._done_steps
        self._done_steps = self._epoch_began + min(batch + 1, self.params["steps"])
        if before < self._phases.rewind <= self._done_steps:
            self.remember()
        due = sum(end <= self._done_steps for end in self._phases.ends)
        if due > self._round:
            _ = self.model  # on JAX this brings the variables up to date
            self._round = due
            self._remove()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Notes where the next epoch begins."""
        self._epoch_began = self._done_steps

    def state(self) -> State:
        """Returns masks, clock and place."""
        place = [self._done_steps, self._epoch_began, self._round]
        return {**super().state(), "place": np.asarray(place)}

    def restore(self, state: State) -> None:
        """Puts them back."""
        super().restore(state)
        self._done_steps, self._epoch_began, self._round = (int(number) for number in state["place"])

    def _remove(self) -> None:
        held = self._held
        held.assign(held.lowest(held.numbers(self.keep_per_round**self._round)))
        self.rewind()
        held.apply()

    def _check_rounds(self) -> None:
        sizes = self._held.numbers(1.0)
        last = self._held.numbers(self.keep_per_round**self.rounds)
        before = self._held.numbers(self.keep_per_round ** (self.rounds - 1))
        if (last >= before).all():
            raise PruneError(
                f"Expected rounds that leave something to remove. Received: rounds={self.rounds}, keep_per_round="
                f"{self.keep_per_round}, which would leave {int(last.sum())} of {int(sizes.sum())} entries. "
                "Take fewer rounds."
            )
