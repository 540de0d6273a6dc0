"""`Trials`: output errors of many slim models, each right after least squares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kerasprune.data.batches import Batches, example_batches, rows_belong_together
from kerasprune.errors import PruneError
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.repair.reconstruction.dense_targets import Made, Targets, Wanted
from kerasprune.repair.reconstruction.feature_error import compared_outputs, last_outputs
from kerasprune.repair.reconstruction.pairing import pair_models
from kerasprune.repair.reconstruction.program import Program, ProgramRun
from kerasprune.repair.reconstruction.solving import Solving
from kerasprune.surgery.comparison import relative_error
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.rebuild import rebuild_cut


class Trials:
    """Measures plans of one model: rebuilds, solves on one half of the examples, and judges on the other half.

    The dense model's outputs are computed once and stored at `positions` positions of every kernel. All plans are
    solved on the same positions and judged on the same examples, so that their errors can be compared.

    Args:
        graph: The graph of the dense model.
        data: Examples, as for `kp.reconstruct`.
        samples: Largest number of examples, for both halves together. Defaults to 256.
        positions: Largest number of output positions that each layer is solved on. Defaults to 3000.
        ridge: ρ, the strength of the pull towards the present weights. Defaults to 1e-2.
        turns: Number of updates of the targets that a relu clips. Defaults to 2.
        seed: Random seed of the positions. Defaults to 0.

    Raises:
        PruneError: The data do not fit the model, or are fewer than four examples.
    """

    def __init__(
        self,
        graph: ChannelGraph,
        data: Any,
        *,
        samples: int = 256,
        positions: int = 3000,
        ridge: float = 1e-2,
        turns: int = 2,
        seed: int = 0,
    ) -> None:
        self.graph = graph
        self._fitted, self._judged = halves(graph.model, example_batches(graph.model, data, samples))
        self._positions, self._ridge, self._turns = positions, ridge, turns
        self._dense = Program(graph.model)
        self._memory = _Memory(self._dense, self._fitted, np.random.default_rng(seed))
        self._wanted: list[list[np.ndarray]] = []

    def error(self, plan: Plan) -> float:
        """Returns `Σ ‖slim − dense‖² / Σ ‖dense − mean(dense)‖²` of the logits, right after least squares.

        Raises:
            PruneError: The plan does not fit the model.
        """
        cut = Cut.of(self.graph, plan)
        pairing = pair_models(rebuild_cut(cut), cut, self._dense)
        slim = ProgramRun(pairing.slim, self._fitted, scratch=self._memory.scratch)
        Solving(pairing, slim, self._memory, self._positions, [self._ridge], turns=self._turns).solve_all()
        measured = last_outputs(pairing)
        if not self._wanted:
            self._wanted = list(compared_outputs(pairing.dense, self._judged, [each.dense for each in measured]))
        return relative_error(
            compared_outputs(pairing.slim, self._judged, [each.slim for each in measured]), self._wanted
        )


class _Memory(Targets):
    """Outputs of the dense model, computed once for all slim models: those of every channel."""

    def hold(self, wanted: Sequence[Wanted]) -> None:
        """Runs the dense model for what is not held yet."""
        super().hold([replace(each, columns=slice(None)) for each in wanted])

    def of(self, wanted: Wanted) -> Iterator[Made]:
        """Yields the columns that are wanted, batch by batch."""
        for made in super().of(wanted):
            y, total = (rows if rows is None else rows[:, wanted.columns] for rows in (made.y, made.sum))
            yield Made(made.chosen, y, total)

    def release(self, wanted: Wanted) -> None:
        """Keeps them for the next one."""


def halves(model: keras.Model, batches: Batches) -> tuple[Batches, Batches]:
    """Returns the first half of the examples and the second; raises a `PruneError` if there are fewer than four.

    Where rows belong together it is every other batch, or twice a single one.
    """
    if rows_belong_together(model, batches[0]):
        return batches[::2], batches[1::2] or batches
    count = sum(len(batch[0]) for batch in batches)
    if count < 4:
        raise PruneError(
            "Expected at least four examples, half of them to reconstruct from and half to measure on. "
            f"Received: {count}. Give a few hundred."
        )
    found: tuple[Batches, Batches] = [], []
    seen = 0
    for batch in batches:
        cut = min(max(count // 2 - seen, 0), len(batch[0]))
        for half, part in zip(found, (slice(None, cut), slice(cut, None)), strict=True):
            if len(batch[0][part]):
                half.append([array[part] for array in batch])
        seen += len(batch[0])
    return found
