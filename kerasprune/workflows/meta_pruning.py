"""`meta_pruning`: widths found with one network that makes the weights of all of them, then trained from scratch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kerasprune._keras import inner_layers
from kerasprune.errors import fraction_faults, kind_faults, raise_faults, seed_faults, whole_number_faults
from kerasprune.files import replacing
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.values import values
from kerasprune.plans import Plan
from kerasprune.search.evolution import Evolution, Evolved, Genes
from kerasprune.surgery.compiled import compile_like
from kerasprune.surgery.example_batches import example_batches
from kerasprune.surgery.inline import plain
from kerasprune.surgery.rebuild import rebuild
from kerasprune.surgery.recalibrate import recalibrate
from kerasprune.surgery.reinitialise import reinitialise
from kerasprune.workflows.pruning_net import PruningNet, traced_alike
from kerasprune.workflows.remembered_scores import RememberedScores, digest
from kerasprune.workflows.rounds import Fit
from kerasprune.workflows.search_plan import SearchedPlan, searched
from kerasprune.workflows.widths import FRACTIONS
