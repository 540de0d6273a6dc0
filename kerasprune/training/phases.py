"""Phases of a fit with rewinding: the steps before the rewind point, then rounds of equal length."""

from __future__ import annotations

from dataclasses import dataclass

from kerasprune.errors import PruneError


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
