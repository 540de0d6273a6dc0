"""kerasprune makes Keras 3 models genuinely smaller.

Public names are imported on first use: help and lists of names need neither Keras nor NumPy.
"""

from __future__ import annotations

from kerasprune.registry import lazy, of_papers

__version__ = "0.3.0"

_find, __dir__, __all__ = lazy(
    {
        "Block": "kerasprune.graph.channels:Block",
        "ChannelGraph": "kerasprune.graph.graph:ChannelGraph",
        "Cost": "kerasprune.costs.cost:Cost",
        "Group": "kerasprune.graph.channels:Group",
        "Plan": "kerasprune.plans:Plan",
        "Population": "kerasprune.populations.population:Population",
        "PruneError": "kerasprune.errors:PruneError",
        "Pruned": "kerasprune.steps.prune:Pruned",
        "PruningReport": "kerasprune.steps.report:PruningReport",
        "SearchedPlan": "kerasprune.search.width_search:SearchedPlan",
        "SensitivityTable": "kerasprune.analysis.sensitivity_table:SensitivityTable",
        "Verdict": "kerasprune.verification:Verdict",
        "analysis": "kerasprune.analysis",
        "border_error": "kerasprune.surgery.mask:border_error",
        "budgets": "kerasprune.budgets",
        "callbacks": "kerasprune.callbacks",
        "compare": "kerasprune.recipes.compare:compare",
        "cost": "kerasprune.costs.cost:cost",
        "criteria": "kerasprune.criteria",
        "data": "kerasprune.data",
        "distil": "kerasprune.distillation.student:distil",
        "export": "kerasprune.export",
        "functional": "kerasprune.inlining.inline:functional",
        "gated": "kerasprune.surgery.gates:gated",
        "latency": "kerasprune.latency",
        "mask": "kerasprune.surgery.mask:mask",
        "models": "kerasprune.models",
        "plan": "kerasprune.planning:plan",
        "prune": "kerasprune.steps.prune:prune",
        "prune_at_init": "kerasprune.sparsity.at_initialisation:prune_at_init",
        "rebuild": "kerasprune.surgery.rebuild:rebuild",
        "recalibrate": "kerasprune.reconstruction.recalibrate:recalibrate",
        "recipes": "kerasprune.recipes",
        "reconstruct": "kerasprune.reconstruction.reconstruct:reconstruct",
        "regularizers": "kerasprune.regularizers",
        "reinitialise": "kerasprune.surgery.reinitialise:reinitialise",
        "reorder": "kerasprune.surgery.reorder:reorder",
        "report": "kerasprune.costs.report:report",
        "reports": "kerasprune.reports",
        "rule": "kerasprune.graph.rule:rule",
        "rules": "kerasprune.rules",
        "schedules": "kerasprune.schedules",
        "search": "kerasprune.search",
        "search_plan": "kerasprune.search.search_plan:search_plan",
        "sensitivity": "kerasprune.analysis.sensitivity_table:sensitivity",
        "sparsity": "kerasprune.sparsity",
        "testing": "kerasprune.testing",
        "thresholds": "kerasprune.thresholds",
        "trace": "kerasprune.graph.trace:trace",
        "verify": "kerasprune.verification:verify",
    }
    | of_papers("kerasprune")
)


def __getattr__(name: str) -> object:
    globals()[name] = found = _find(name)
    return found
