"""kerasprune makes Keras 3 models genuinely smaller.

Public names are imported when they are used: neither Keras nor NumPy is needed to ask for help or to list names.
"""

from __future__ import annotations

from kerasprune.registry import lazy

__version__ = "0.3.0"

_find, __dir__, __all__ = lazy(
    {
        "Block": "kerasprune.graph.channels:Block",
        "ChannelGraph": "kerasprune.graph.graph:ChannelGraph",
        "Chosen": "kerasprune.workflows.ranking:Chosen",
        "Cost": "kerasprune.costs.cost:Cost",
        "Group": "kerasprune.graph.channels:Group",
        "MetaPruned": "kerasprune.workflows.meta_pruning:MetaPruned",
        "Plan": "kerasprune.plans:Plan",
        "Point": "kerasprune.training.depth_width_resolution:Point",
        "Population": "kerasprune.workflows.population:Population",
        "PruneError": "kerasprune.errors:PruneError",
        "Pruned": "kerasprune.steps.prune:Pruned",
        "PruningNet": "kerasprune.workflows.pruning_net:PruningNet",
        "PruningReport": "kerasprune.steps.report:PruningReport",
        "Ranking": "kerasprune.workflows.ranking:Ranking",
        "SearchedPlan": "kerasprune.workflows.width_search:SearchedPlan",
        "SensitivityTable": "kerasprune.workflows.sensitivity:SensitivityTable",
        "ThreeDimensions": "kerasprune.workflows.three_dimensions:ThreeDimensions",
        "Ticket": "kerasprune.workflows.lottery:Ticket",
        "Verdict": "kerasprune.verification:Verdict",
        "analysis": "kerasprune.analysis",
        "border_error": "kerasprune.surgery.border_error:border_error",
        "budgets": "kerasprune.budgets",
        "callbacks": "kerasprune.callbacks",
        "compare": "kerasprune.recipes.compare:compare",
        "cost": "kerasprune.costs.cost:cost",
        "criteria": "kerasprune.criteria",
        "data": "kerasprune.data",
        "distil": "kerasprune.training.distillation:distil",
        "eagle_eye": "kerasprune.workflows.ranking:eagle_eye",
        "export": "kerasprune.export",
        "functional": "kerasprune.surgery.inline:functional",
        "gated": "kerasprune.surgery.gates:gated",
        "latency": "kerasprune.export.latency",
        "lottery": "kerasprune.workflows.lottery:lottery",
        "mask": "kerasprune.surgery.mask:mask",
        "meta_pruning": "kerasprune.workflows.meta_pruning:meta_pruning",
        "models": "kerasprune.models",
        "one_dimension": "kerasprune.workflows.one_dimension:one_dimension",
        "plan": "kerasprune.planning:plan",
        "precrop": "kerasprune.budgets.precrop:precrop",
        "prune": "kerasprune.steps.prune:prune",
        "prune_at_init": "kerasprune.sparsity.at_initialisation:prune_at_init",
        "rank": "kerasprune.workflows.ranking:rank",
        "rebuild": "kerasprune.surgery.rebuild:rebuild",
        "recalibrate": "kerasprune.surgery.recalibrate:recalibrate",
        "recipes": "kerasprune.recipes",
        "reconfigure": "kerasprune.budgets.reconfigure:reconfigure",
        "reconstruct": "kerasprune.surgery.reconstruct:reconstruct",
        "regularizers": "kerasprune.regularizers",
        "reinitialise": "kerasprune.surgery.reinitialise:reinitialise",
        "reorder": "kerasprune.surgery.reorder:reorder",
        "report": "kerasprune.costs.report:report",
        "reports": "kerasprune.reports",
        "rounds": "kerasprune.workflows.rounds:rounds",
        "rule": "kerasprune.graph.rule:rule",
        "rules": "kerasprune.rules",
        "schedules": "kerasprune.schedules",
        "search": "kerasprune.search",
        "search_plan": "kerasprune.workflows.search_plan:search_plan",
        "search_widths": "kerasprune.workflows.meta_pruning:search_widths",
        "sensitivity": "kerasprune.workflows.sensitivity:sensitivity",
        "spaces": "kerasprune.spaces",
        "sparsity": "kerasprune.sparsity",
        "testing": "kerasprune.testing",
        "three_dimensions": "kerasprune.workflows.three_dimensions:three_dimensions",
        "thresholds": "kerasprune.thresholds",
        "trace": "kerasprune.graph.trace:trace",
        "verify": "kerasprune.verification:verify",
    }
)


def __getattr__(name: str) -> object:
    globals()[name] = found = _find(name)
    return found
