"""The figures by which a search allows models, and by how much a model is worse in them than the dense one."""

from __future__ import annotations

from math import ceil, isfinite, sqrt
from typing import NamedTuple

import keras
import numpy as np

from kerasprune.data.arrays_or_batches import as_numpy, batch_parts
from kerasprune.data.examples import Examples
from kerasprune.errors import PruneError, warn
from kerasprune.graph.built_model import body_of
from kerasprune.steps.class_floors import ClassFloors, class_numbers
from kerasprune.steps.judge import check_examples
from kerasprune.steps.judged_figures import AGREEMENT, ERROR, Figure, NearnessFigure, metric_figures, run_of
from kerasprune.steps.objective import Objective
from kerasprune.steps.paired_drop import Drop, paired_drop, standard_error
from kerasprune.steps.search_settings import SearchSettings
from kerasprune.steps.tallies import Run

_REFUSED = 10.0  # times what is allowed, in place of a drop that is no number
_DIFFER = 4.0  # examples on which two models differ, for one that is lost where as many are as may be
_ENOUGH = 2.0, 4.0  # standard errors in what is allowed: fewer are said; what is recommended


class JudgedFigure(NamedTuple):
    """The figure of a model that decides.

    Args:
        name: Its name.
        relative: Whether its drop is a fraction of the dense model's figure.
        value: The figure of the model.
        dense: That of the dense model.
        drop: By how much it is worse.
    """

    name: str
    relative: bool
    value: float
    dense: float
    drop: Drop


class SearchFigures:
    """The figures of the dense model, against which slim ones are judged.

    Args:
        settings: The arguments of the search.
        dense: The dense model.
        objective: Its loss and metrics.
        judged: The examples that judge.
        batch: Number of examples in a batch.

    Raises:
        PruneError: There are no labels or no loss; or examples with `groups` come in another order on every pass.
    """

    def __init__(
        self, settings: SearchSettings, dense: keras.Model, objective: Objective, judged: Examples, batch: int
    ) -> None:
        self._settings, self._dense, self._objective, self._examples = settings, dense, objective, judged
        self._check_order()
        self._figures = self._of(judged)
        self.tested = self._of_test(batch)
        self._tallies = [each.tally(run_of(dense)) for each in self._figures]
        self.floors = ClassFloors(class_numbers(settings.floor), dense, objective, judged, settings.groups)

    @property
    def of_dense(self) -> dict[str, float]:
        """The figures of the dense model by name."""
        return {f"dense {each.name}": one.value for each, one in zip(self._figures, self._tallies, strict=True)}

    def first(self) -> tuple[str, float, float, float]:
        """Returns of the first figure its name, that of the dense model, what is a drop of one, its standard error."""
        figure, dense, settings = self._figures[0], self._tallies[0], self._settings
        scale = (-1 if figure.higher else 1) * (abs(dense.value) if self.relative(0) else 1.0)
        return figure.name, dense.value, scale, standard_error(dense, settings.groups, settings.seed) / abs(scale)

    def relative(self, place: int) -> bool:
        """Returns whether the drop of a figure is a fraction of the dense model's."""
        if self._settings.max_drop is None:
            return False
        if self._settings.drop_type is not None:
            return self._settings.drop_type == "relative"
        return not (self._figures[place].higher and 0 <= self._tallies[place].value <= 1)

    def judge(self, run: Run) -> JudgedFigure:
        """Returns the figure of a model whose drop is the worst.

        Args:
            run: The model, or its file, as a function.
        """
        settings, found = self._settings, []
        for place, (figure, dense) in enumerate(zip(self._figures, self._tallies, strict=True)):
            slim, relative = figure.tally(run), self.relative(place)
            how = {"higher": figure.higher, "relative": relative, "groups": settings.groups, "seed": settings.seed}
            drop, value = paired_drop(dense, slim, **how), slim.value
            if not isfinite(drop.value):  # NaN is written to no file
                drop, value = Drop(_REFUSED * settings.limit, 0.0), 0.0
            found.append(JudgedFigure(figure.name, relative, value, dense.value, drop))
        return max(found, key=lambda each: each.drop.bound(settings.confidence))

    def check(self) -> None:
        """Raises if a figure of the dense model is no number; warns if its examples cannot tell the allowed drop."""
        settings, number = self._settings, len(self._tallies[0])
        self.floors.check(run_of(self._dense))
        if settings.groups is not None and len(settings.groups) != number:
            raise PruneError(
                f"Expected groups with an entry for each of the {number:,} examples that judge. Received: "
                f"{len(settings.groups):,}. Give validation=, and its groups."
            )
        for place, (figure, dense) in enumerate(zip(self._figures, self._tallies, strict=True)):
            if not np.isfinite(dense.value) or self.relative(place) and dense.value == 0:
                raise PruneError(
                    f"Expected a {figure.name} of the dense model that a drop can be measured from. Received: "
                    f"{figure.name}={dense.value}. Check the weights and the scale of the data, or give "
                    "drop_type='absolute'."
                )
            scale, limit = abs(dense.value) if self.relative(place) else 1.0, settings.limit
            if figure.higher and limit >= 1 and settings.max_drop is not None and abs(dense.value) <= 1:
                raise PruneError(
                    f"Expected a drop of {figure.name} below 1. Received: max_drop={limit:g}, at which every model is "
                    f"allowed. For {limit:g} points give max_drop={limit / 100:g}."
                )
            error = standard_error(dense, settings.groups, settings.seed) / scale
            if not self.relative(place) and settings.groups is None:  # four times as many differ as are lost
                error = min(error, sqrt(_DIFFER * limit / len(dense)))
            if error > limit / _ENOUGH[0]:
                enough = ceil(len(dense) * (_ENOUGH[1] * error / limit) ** 2)
                warn(
                    f"{len(dense):,} examples can hardly tell a drop of {limit:.3g} in {figure.name}, whose standard "
                    f"error is about {error:.2g}: much of what is allowed is lost to it. Some {enough:,} would do."
                )

    def _of(self, examples: Examples) -> list[Figure]:
        """Returns the figures: metrics or the user's own function, or without labels the outputs alone."""
        settings, given = self._settings, (self._dense, self._objective, examples)
        if settings.max_drop is None:
            return [NearnessFigure(ERROR if settings.agreement is None else AGREEMENT, *given)]
        if not examples.labelled or self._objective.loss is None and not callable(settings.metric):
            received = "inputs alone" if not examples.labelled else f"no loss, {settings.model.name!r} is not compiled"
            raise PruneError(
                f"Expected labels and a loss with max_drop. Received: {received}. Give data=(x, y) and loss=, or "
                "without labels agreement= or max_error= in place of max_drop."
            )
        return metric_figures(*given, settings.metric)

    def _of_test(self, batch: int) -> list[Figure]:
        """Returns the figures on the data that nothing is chosen by, checked before anything is trained."""
        if self._settings.test is None:
            return []
        examples = Examples(self._settings.test, batch, len(body_of(self._dense).inputs))
        check_examples(self._dense, self._objective, examples)
        return self._of(examples)

    def _check_order(self) -> None:
        """Warns of data that come in another order on every pass, which cannot be paired; raises with `groups`."""
        if self._examples.arrays:
            return
        one, other = (keras.tree.flatten(batch_parts(next(iter(self._examples.batches())))) for _ in range(2))
        if all(np.array_equal(as_numpy(a), as_numpy(b)) for a, b in zip(one, other, strict=True)):
            return
        remedy = "Leave .shuffle() and random changes out of it."
        if self._settings.groups is not None:
            raise PruneError(
                "Expected validation data in one order, to which groups belong. Received: validation=, whose first "
                f"batch is another on every pass. {remedy}"
            )
        warn(f"validation= is not the same on every pass: drops are not paired, their errors larger. {remedy}")
