"""The pruning stage of PreCrop and PreConfig: widths before training."""

from __future__ import annotations

import keras

from kerasprune.graph.plans import Plan
from kerasprune.papers.synexp.precrop import precrop
from kerasprune.papers.synexp.section import PreCrop
from kerasprune.recipes.experiment import Experiment


def choose(run: Experiment, model: keras.Model, spec: PreCrop) -> Plan:
    """Returns the plan of a recipe's precrop section."""
    return precrop(run.traced(model, spec), params=spec.params, macs=spec.macs)


rehearse = choose
