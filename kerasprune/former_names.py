"""Names that were public at the top of the package, and where they are now."""

from __future__ import annotations

import importlib
from operator import attrgetter

from kerasprune.errors import warn

UNTIL = "0.5.0"
FORMER_NAMES = {
    "Block": "kerasprune.graph.channels.Block",
    "ChannelGraph": "kerasprune.graph.graph.ChannelGraph",
    "Chosen": "papers.spaces.Chosen",
    "Cost": "surgery.Cost",
    "Group": "kerasprune.graph.channels.Group",
    "MetaPruned": "papers.MetaPruned",
    "PlanReport": "surgery.PlanReport",
    "Point": "papers.three_dimensional.Point",
    "Population": "recipes.Population",
    "Pruned": "kerasprune.steps.prune.Pruned",
    "PruningNet": "papers.pruning_nets.PruningNet",
    "PruningReport": "kerasprune.steps.report.PruningReport",
    "Ranking": "papers.spaces.Ranking",
    "SearchedPlan": "recipes.SearchedPlan",
    "SensitivityTable": "analysis.SensitivityTable",
    "ThreeDimensions": "papers.ThreeDimensions",
    "Ticket": "papers.Ticket",
    "Verdict": "surgery.Verdict",
    "border_error": "surgery.border_error",
    "compare": "recipes.compare",
    "correct_biases": "quantization.correct_biases",
    "eagle_eye": "papers.eagle_eye",
    "equalise": "quantization.equalise",
    "gated": "surgery.gated",
    "lottery": "papers.lottery",
    "meta_pruning": "papers.meta_pruning",
    "one_dimension": "papers.one_dimension",
    "precrop": "papers.precrop",
    "rank": "papers.spaces.rank",
    "reconfigure": "papers.reconfigure",
    "reinitialise": "surgery.reinitialise",
    "reorder": "surgery.reorder",
    "reports": "recipes.reports",
    "rounds": "papers.three_dimensional.rounds",
    "search": "recipes.search",
    "search_plan": "recipes.search_plan",
    "search_widths": "papers.search_widths",
    "spaces": "papers.spaces",
    "three_dimensions": "papers.three_dimensions",
    "thresholds": "callbacks.thresholds",
}
"""`{old name: new address}`, after `kp.`, or that of the module of a class that no public module holds."""


def find_renamed(name: str) -> object:
    """Returns the object of an old name, with a `FutureWarning`; raises `AttributeError` if a paper is not there."""
    address = FORMER_NAMES[name]
    if address.startswith("kerasprune."):
        module, _, inside = address.rpartition(".")
        now = address
    else:
        module, inside = "kerasprune", address
        now = f"kp.{address}"
    found = attrgetter(inside)(importlib.import_module(module))
    warn(f"kp.{name} is now {now}: the old name is accepted until {UNTIL}.", FutureWarning)
    return found
