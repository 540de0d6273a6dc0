"""The base of methods that remove weights in rounds within one fit."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from kerasprune.checks import proper_fraction_faults, whole_number_faults
from kerasprune.errors import PruneError, raise_faults
from kerasprune.training.callback import PruningCallback
from kerasprune.training.fit import RunningFit
from kerasprune.training.masks import Selection
from kerasprune.training.optimizer import batches_per_update
from kerasprune.training.schedules import Moment


@dataclass(frozen=True)
class Phases:
    """`total = rewind + (rounds + 1)·length` steps: up to the rewind point, before each removal, and after the last.

    Args:
        rewind: Steps before the rewind point.
        rounds: Number of removals.
        length: Steps of each of the `rounds + 1` phases.
    """

    rewind: int
    rounds: int
    length: int

    @classmethod
    def of(cls, rewind: int, rounds: int, steps_per_epoch: int, epochs: int, together: int = 1) -> Phases:
        """Divides a fit into phases.

        Args:
            rewind: Steps before the rewind point.
            rounds: Number of removals.
            steps_per_epoch: Batches in an epoch.
            epochs: Epochs of the fit.
            together: Steps per execution, at whose ends phases must end.

        Raises:
            PruneError: The steps do not divide; the message names the nearest numbers of epochs that do.

        Example:
            >>> Phases.of(rewind=0, rounds=4, steps_per_epoch=10, epochs=15)
            Phases(rewind=0, rounds=4, length=30)
        """
        total = steps_per_epoch * epochs
        if rewind >= total:
            raise PruneError(
                f"Expected a rewind point inside the fit of {total} steps. Received: {rewind} steps. "
                "Rewind to an earlier point, or train longer."
            )
        length, rest = divmod(total - rewind, rounds + 1)
        if rest or not length:
            fitting = _fitting_epochs(rewind, rounds, steps_per_epoch, epochs)
            raise PruneError(
                f"Expected steps that divide into {rounds + 1} equal phases after the first {rewind}. Received: "
                f"{epochs} epochs of {steps_per_epoch} steps. {fitting}"
            )
        phases = cls(rewind, rounds, length)
        torn = [end for end in (rewind, *phases.ends) if end % steps_per_epoch % together]
        if torn:
            raise PruneError(
                f"Expected phases that end where an execution of {together} steps ends. Received: ends after the steps "
                f"{torn[:5]} with {steps_per_epoch} steps an epoch. Compile with steps_per_execution=1, or choose "
                "phases of whole epochs."
            )
        return phases

    @property
    def ends(self) -> tuple[int, ...]:
        """The steps of the removals."""
        return tuple(self.rewind + n * self.length for n in range(1, self.rounds + 1))


def _fitting_epochs(rewind: int, rounds: int, steps_per_epoch: int, epochs: int) -> str:
    """Returns a sentence with the nearest numbers of epochs that divide."""

    def fits(number: int) -> bool:
        rest = number * steps_per_epoch - rewind
        return rest > 0 and rest % (rounds + 1) == 0

    span = range(1, rounds + 2)  # remainders repeat after so many epochs
    below = next((epochs - n for n in span if epochs > n and fits(epochs - n)), None)
    above = next((epochs + n for n in span if fits(epochs + n)), None)
    found = [str(number) for number in (below, above) if number is not None]
    if not found:
        return f"No number of epochs does; rewind to a multiple of {steps_per_epoch} steps."
    return f"The nearest numbers of epochs that do: {' and '.join(found)}."


class IterativeRemoval(PruningCallback):
    """Base: `total = k + (rounds + 1)·L` steps; after each of the first `rounds` phases of L steps weights are removed.

    A method defines the rewinding after a removal (`rewind`). Steps are batches; phases end with a step, or with an
    execution of several.

    Args:
        rounds: Number of removals. Defaults to 1.
        keep_per_round: Fraction kept of the remaining weights at each, so that n rounds keep `keep_per_round**n`.
        rewind_to: The point in training, e.g. `"500it"` or `"2ep"`.
        criterion, granularity, scope, freeze: As for `GradualMagnitude`.
        strict: As for `PruningCallback`.
    """

    def __init__(
        self,
        rounds: int = 1,
        keep_per_round: float = 0.8,
        rewind_to: str | int | Moment = "0it",
        *,
        criterion: Any = "l1",
        granularity: Any = "weight",
        scope: Any = "global",
        freeze: Sequence[str] = (),
        strict: bool = True,
    ) -> None:
        faults = whole_number_faults(1, rounds=rounds)
        faults += proper_fraction_faults(keep_per_round=keep_per_round)
        raise_faults(f"Invalid arguments for {type(self).__name__}:", faults)
        super().__init__(strict=strict)
        self.selection = Selection(criterion, granularity, scope, freeze)
        self.rounds = rounds
        self.keep_per_round = keep_per_round
        self.rewind_to = Moment.read(rewind_to)

    @abstractmethod
    def remember(self) -> None:
        """Hook: called at the rewind point."""

    @abstractmethod
    def rewind(self) -> None:
        """Hook: called after each removal, before the masks are applied."""

    def span(self, steps_per_epoch: int, steps: int) -> float:
        """Returns the epochs of one training, from the beginning to the end of a phase, which a learning-rate schedule
        should span.

        Args:
            steps_per_epoch: Batches in an epoch.
            steps: Batches of the whole fit.
        """
        rewind = self.rewind_to.steps(steps_per_epoch)
        return (rewind + (steps - rewind) / (self.rounds + 1)) / steps_per_epoch

    def check_length(self, steps_per_epoch: int, epochs: int) -> None:
        """Raises if the steps of a fit do not divide into the phases."""
        Phases.of(self.rewind_to.steps(steps_per_epoch), self.rounds, steps_per_epoch, epochs)

    def compressed(self, steps: int) -> Self:
        """Returns the same callback with one removal instead of its rounds, and the rewind point at step 0.

        This is another method, for trials.
        """
        raise_faults("Invalid arguments for compressed:", whole_number_faults(2, steps=steps))
        other = copy.copy(self)
        other.rounds, other.keep_per_round = 1, self.keep_per_round**self.rounds
        other.rewind_to = Moment()
        return other

    def rewound(self) -> int:
        """Returns the optimizer's own count of batches at the rewind point; a new optimizer has counted none before."""
        return max(self.session.start, 0) * batches_per_update(self.model.optimizer) + self._phases.rewind

    def begin(self) -> None:
        """Holds the masks, and remembers the weights if the rewind point is the beginning."""
        steps = self.params.get("steps")
        if steps is None:
            raise PruneError(
                "Expected data of known length, so that the fit can be cut into phases. Received: no number of steps. "
                "Give fit steps_per_epoch=."
            )
        self.hold(self.selection.masks(self.model))
        self._note(0, 0, 0)
        if not self.goes_on:
            self._check_rounds()
            self._say_that_rounds_begin()
            if self.rewind_to.steps(steps) == 0:
                self.remember()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Divides the fit into phases, of which a continued fit has its own: only here Keras tells `initial_epoch`."""
        if not self.goes_on and not self.restored_epoch:
            steps, together = self.params["steps"], self.model.steps_per_execution
            first = epoch - self._position()[1] // steps
            with RunningFit.of(self.model).refusing():
                epochs = self.params["epochs"] - first
                self._phases = Phases.of(self.rewind_to.steps(steps), self.rounds, steps, epochs, together)
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Remembers, removes and rewinds at the end of a phase."""
        before, epoch_began, last = self._position()
        now = epoch_began + min(batch + 1, self.params["steps"])
        due = sum(end <= now for end in self._phases.ends)
        self._note(now, epoch_began, max(due, last))
        if before < self._phases.rewind <= now:
            self.remember()
        if due > last:
            _ = self.model  # on JAX this brings the variables up to date
            self.held.mark(self.keep_per_round**due)
            before = self.session.now()
            self.rewind()
            self.held.apply()
            for each in RunningFit.of(self.model).callbacks:
                each.session.count_on(before - self.session.now())

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Stores the step at which the next epoch begins."""
        steps, _, last = self._position()
        self._note(steps, steps, last)
        super().on_epoch_end(epoch, logs)

    def end(self) -> None:
        """Warns if removals are missing."""
        if not self.finished:
            remedy = ", with what was removed so far. Train longer, or take fewer rounds."
            self._diagnosis.cut_short(f"make rounds={self.rounds} removals", f"after {self._position()[2]}", remedy)

    @property
    def advanced(self) -> bool:
        """Whether the last fit has made a step; the optimizer's own count may have been rewound to 0."""
        return self._position()[0] > 0

    @property
    def finished(self) -> bool:
        """Whether all rounds are over."""
        return self.session is not None and self._position()[2] >= self.rounds

    def gauges(self) -> dict[str, float]:
        """Returns the number of removals so far, and the fraction kept."""
        return {**super().gauges(), "round": float(self._position()[2])}

    def shortfalls(self) -> list[str]:
        """Returns a fault if fewer entries were removed than the rounds so far should have."""
        wanted = int(self.held.numbers(self.keep_per_round ** self._position()[2]).sum())
        kept = sum(len(unit.kept_indices()) for unit in self.held.units)
        behind = [f"{kept} entries are kept after a round that should leave {wanted}."] if kept > wanted else []
        return [*super().shortfalls(), *behind]

    def _note(self, steps: int, epoch_began: int, round: int) -> None:
        self.session.notes["place"] = np.array([steps, epoch_began, round])

    def _position(self) -> tuple[int, int, int]:
        """Returns the steps done, those done when the epoch began, and the number of removals."""
        return tuple(self.session.notes["place"].tolist())

    def _say_that_rounds_begin(self) -> None:
        left = self.held.share()
        if left < 1 and not any(callback.restores for callback in RunningFit.of(self.model).callbacks):
            self._diagnosis.say_once(
                "begins",
                f"An earlier pruning has left {left:.3g} of the weights: {type(self).__name__} begins its "
                f"{self.rounds} rounds on them. To continue rounds that were interrupted, use Resume in both fits.",
            )

    def _check_rounds(self) -> None:
        shares = (1.0, self.keep_per_round ** (self.rounds - 1), self.keep_per_round**self.rounds)
        sizes, before, last = map(self.held.numbers, shares)
        if (last >= before).all():
            raise PruneError(
                f"Expected rounds that leave something to remove. Received: rounds={self.rounds}, keep_per_round="
                f"{self.keep_per_round}, which would leave {int(last.sum())} of {int(sizes.sum())} entries. "
                "Take fewer rounds."
            )
