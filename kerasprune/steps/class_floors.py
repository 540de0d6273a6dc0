"""Accuracies of single classes, and how far they are below the least that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import keras
import numpy as np

from kerasprune.checks import is_number
from kerasprune.data.arrays_or_batches import as_numpy
from kerasprune.data.examples import Examples
from kerasprune.errors import PruneError, short
from kerasprune.steps.objective import Objective
from kerasprune.steps.paired_drop import MeanTally, standard_error
from kerasprune.steps.tallies import Run, outputs_of_batches
from kerasprune.surgery.output_kind import last_axes


@dataclass(frozen=True, eq=False)
class ClassFloors:
    """The least accuracies of some classes, of each the fraction of its examples, or of its positions, that are found.

    Args:
        least: The accuracy of each class by its number.
        model: The dense model, whose first output of classes is judged.
        objective: The loss, which tells outputs of classes.
        examples: Labelled examples.
        groups: As for `paired_drop`. Defaults to `None`.
    """

    least: Mapping[int, float]
    model: keras.Model
    objective: Objective
    examples: Examples
    groups: Sequence[Any] | None = None

    def check(self, dense: Run) -> None:
        """Raises a `PruneError` if a class has no examples, or the dense model does not reach its floor."""
        if not self.least:
            return
        for label, found in self._accuracies(dense).items():
            if not found.weights.any():
                raise PruneError(
                    f"Expected examples of every class in floor. Received: none of class {label}. Give validation= "
                    "with examples of it, or leave it out of floor."
                )
            if found.value < self.least[label]:
                raise PruneError(
                    f"Expected the dense model to reach every floor. Received: class {label} at {found.value:.3f}, "
                    f"floor {self.least[label]}. Lower it, or train the model further."
                )

    def shortfall(self, run: Run, confidence: float) -> tuple[float, str]:
        """Returns how far a class is below its floor, with what it is at least by a confidence, and a sentence on it.

        Args:
            run: A model, or its file.
            confidence: One-sided confidence.
        """
        worst, said = 0.0, ""
        for label, found in self._accuracies(run).items() if self.least else ():
            error = standard_error(found, self.groups)
            missing = self.least[label] - found.value + NormalDist().inv_cdf(confidence) * error
            if missing > worst:
                worst, said = missing, f"class {label} at {found.value:.3f} ± {error:.2g}, floor {self.least[label]}"
        return worst, said

    def _accuracies(self, run: Run) -> dict[int, MeanTally]:
        kinds = [axis.classes for axis in last_axes(self.model, self.objective.loss).values()]
        if not any(kinds):
            raise PruneError(
                "Expected an output of classes with floor: a softmax, or logits with a loss of logits. Received: "
                f"{short(self.model.name)} without any. Leave floor out."
            )
        place, sums = kinds.index(True), {label: ([], []) for label in self.least}
        for batch, outputs in outputs_of_batches(run, self.model, self.examples):
            made, wanted = as_numpy(outputs[place]), as_numpy(keras.tree.flatten(batch.labels)[place])
            numbers = wanted.argmax(-1) if wanted.shape == made.shape else wanted.reshape(made.shape[:-1])
            numbers, right = (each.reshape(len(made), -1) for each in (numbers, made.argmax(-1) == numbers))
            for label, (hits, counts) in sums.items():
                there = numbers == label
                hits.append((there & right).sum(1))
                counts.append(there.sum(1))
        return {label: MeanTally(*map(np.concatenate, found)) for label, found in sums.items()}


def class_numbers(floor: Mapping[Any, float] | None) -> dict[int, float]:
    """Returns least accuracies by the number of the class, which may be a text, as in JSON."""
    return {int(label): float(least) for label, least in (floor or {}).items()}


def floor_faults(floor: Any) -> list[str]:
    """Returns a fault if `floor` is not a dict of class numbers and fractions."""

    def is_class(label: Any) -> bool:
        return str(label).isdecimal()

    right = (
        floor is None
        or isinstance(floor, Mapping)
        and all(is_class(label) and is_number(least) and 0 < least <= 1 for label, least in floor.items())
    )
    return [] if right else [
        f"Expected floor as a dict of class numbers and least accuracies, above 0 and at most 1. Received: "
        f'floor={short(floor)}. Write {{"3": 0.95}}.'
    ]  # fmt: skip
