"""The pruning stage along one dimension: the control of the stage along three."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.graph.plans import Plan
from kerasprune.papers.three_dimensional.one_dimension import one_dimension
from kerasprune.papers.three_dimensional.one_dimension_section import OneDimensionSection
from kerasprune.papers.three_dimensional.stage import blocks_of
from kerasprune.recipes import lookup
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.stages.context import Run


def choose(run: Run, model: keras.Model, spec: OneDimensionSection) -> Plan:
    """Returns the plan of a recipe's section; the fine-tuning stage trains what it leaves."""
    blocks = blocks_of(run, model, spec) if spec.dimension == "depth" else "random"  # which are not asked
    return _planned(run, model, spec, data=run.examples("train", model).batches(), blocks=blocks)


def rehearse(run: Experiment, model: keras.Model, spec: OneDimensionSection) -> None:
    """Raises errors that would come after training: of sides, blocks, channels without scores, budgets out of reach."""
    lookup.make("block criterion", spec.blocks.name, spec.blocks.arguments)
    _planned(run, model, spec, blocks="random")


def _planned(run: Experiment, model: keras.Model, spec: OneDimensionSection, **more: Any) -> Plan:
    """Returns the plan of the network whose multiply–adds are nearest; it is neither trained nor measured."""
    channels = lookup.make("criterion", spec.channels.name, spec.channels.arguments)
    size, seed = run.recipe.data.side, run.recipe.seed
    options = {"macs": spec.macs, "size": size, "epochs": 0, "channels": channels, "seed": seed}
    return one_dimension(model, lambda *_, **__: 0.0, spec.dimension, **options, **more).plan
