"""Plans that shrink a network along one dimension, in one step or in rounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from kerasprune import criteria
from kerasprune.checks import choice_faults, fraction_faults, whole_number_faults
from kerasprune.criteria.base import Criterion
from kerasprune.errors import raise_faults
from kerasprune.graph.kept_channels import fill_slices
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import trace
from kerasprune.papers.three_dimensional.block_criterion import BlockCriterion, blocks_of, least_blocks, score_blocks
from kerasprune.papers.three_dimensional.extents import DIMENSIONS, Extent, check_side
from kerasprune.papers.three_dimensional.registry import block_criteria
from kerasprune.planning.budgets.base import top
from kerasprune.recipes.populations.store import describe_criterion


def depth_plan(model: keras.Model, extent: Extent, depth: float, scores: Mapping[str, float]) -> Plan:
    """Returns the plan that drops the blocks of lowest score until a depth is reached.

    Args:
        model: The model; it may have lost blocks already.
        extent: The extent of the dense model.
        depth: Fraction of the dense model's blocks that is kept.
        scores: `{block: score}` of the model's droppable blocks.
    """
    graph = trace(model, unknown="freeze")
    droppable = len(blocks_of(graph))
    more = extent.blocks - extent.droppable + droppable - extent.blocks_at(depth)
    number = min(max(0, more), droppable)
    return Plan.of(graph, {}, least_blocks(dict(scores), number))


@dataclass(frozen=True)
class Judges:
    """The criteria of blocks and channels.

    Args:
        blocks: Criterion of blocks. Defaults to `"discrimination"`.
        channels: Criterion of channels. Defaults to `"bn_scale"`.
        data: Batches of `(inputs, labels)` for criteria that use data. Defaults to `None`.
        seed: Seed of all random draws. Defaults to 0.
        loss: Loss for criteria that use gradients. Defaults to the compiled one.
    """

    blocks: str | dict | BlockCriterion = "discrimination"
    channels: str | dict | Criterion = "bn_scale"
    data: Any = None
    seed: int = 0
    loss: Any = None

    def importance(self, model: keras.Model) -> dict[str, float]:
        """Returns the score of every droppable block."""
        return score_blocks(self.blocks, trace(model, unknown="freeze"), self.data, seed=self.seed)

    def width_plan(self, model: keras.Model, extent: Extent, width: float) -> Plan:
        """Returns the plan that keeps one fraction of every group's channels, those of highest score in the group.

        Args:
            model: The model; it may have lost channels already.
            extent: The extent of the dense model.
            width: Fraction of the dense model's channels that is kept.
        """
        graph = trace(model, unknown="freeze")
        numbers = extent.channels_at(graph, width)
        if all(number == graph.groups[name].size for name, number in numbers.items()):
            return Plan.of(graph, {name: np.arange(number) for name, number in numbers.items()})
        scores = criteria.score(criteria.get(self.channels), graph, self.data, self.loss, self.seed)
        chosen = {name: top(scores[name], number) for name, number in numbers.items()}
        return Plan.of(graph, fill_slices(graph, chosen, scores))

    def next_plan(self, model: keras.Model, extent: Extent, dimension: str, fraction: float) -> Plan:
        """Returns the plan that shrinks a model along one dimension to a fraction of the dense model."""
        if dimension == "depth":
            return depth_plan(model, extent, fraction, self.importance(model))
        if dimension == "width":
            return self.width_plan(model, extent, fraction)
        side = extent.side_at(fraction)
        check_side(model, side)
        return Plan.of(trace(model, unknown="freeze"), {}, resolution=side)

    def described(self, dimensions: Collection[str]) -> dict[str, Any]:
        """Returns the criteria that decide along some dimensions, as plain data."""
        judges = {"blocks": describe_criterion(block_criteria.get(self.blocks))} if "depth" in dimensions else {}
        return judges | ({"channels": describe_criterion(criteria.get(self.channels))} if "width" in dimensions else {})


def continue_plan(plan: Plan, step: Plan) -> Plan:
    """Returns the plan equal to two plans applied in turn, with the fingerprint of the dense model."""
    return replace(plan.then(step), fingerprint=plan.fingerprint or step.fingerprint)


def fractions_by_round(keep: float, rounds: int) -> list[float]:
    """Returns the fractions kept after each round, `x_n = 1 − n (1 − keep) / rounds`."""
    return [1 - number * (1 - keep) / rounds for number in range(1, rounds + 1)]


def check_rounds(dimension: str, keep: float, rounds: int, epochs_per_round: int) -> None:
    """Checks the arguments that describe rounds."""
    faults = [
        *fraction_faults(keep=keep),
        *choice_faults(DIMENSIONS, dimension=dimension),
        *whole_number_faults(1, rounds=rounds),
        *whole_number_faults(0, epochs_per_round=epochs_per_round),
    ]
    raise_faults("Invalid rounds:", faults)
