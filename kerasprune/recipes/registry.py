"""What a recipe may name: families of members, stages, sections of pruning with their figures, and reproductions."""

from __future__ import annotations

from kerasprune.registry import Registry

families = Registry(
    "family",
    {
        "budget": "kerasprune.planning.budgets.registry:budgets",
        "callback": "kerasprune.callbacks.registry:callbacks",
        "criterion": "kerasprune.criteria.registry:criteria",
        "model": "kerasprune.models.registry:models",
        "target": "kerasprune.planning.targets.registry:targets",
    },
    table="families",
)

reproductions = Registry(
    "reproduction",
    {
        "dense-networks": "kerasprune.recipes.reproductions.dense_networks:dense_networks",
        "greg-tables": "kerasprune.recipes.reproductions.greg_tables:greg_tables",
        "hrank-tables": "kerasprune.recipes.reproductions.hrank_tables:hrank_tables",
        "snip-lstm": "kerasprune.recipes.reproductions.snip_lstm:snip_lstm",
        "snip-params": "kerasprune.recipes.reproductions.snip_params:snip_params",
    },
    table="reproductions",
)

# Sections that decide alone, see `kerasprune.recipes.alone_section`.
prune_sections = Registry(
    "section of the pruning stage",
    {
        "at_initialisation": "kerasprune.recipes.at_initialisation_section:AtInitialisation",
        "max_drop": "kerasprune.recipes.plan_section:MaxDrop",
    },
    table="prune_sections",
)

# Functions from an untrained model, and how much of its costs is kept, to the one that is trained.
beginnings = Registry("beginning of a recipe", table="beginnings")

# Tuples of (heading, function of a record, caption), shown in reports of recipes with the section.
section_figures = Registry("figures of a section", table="section_figures")

# Functions of a run, in the order of `kerasprune.recipes.schema`.
STAGES = {
    "evaluate": "kerasprune.recipes.stages.evaluate:evaluate",
    "export": "kerasprune.recipes.stages.export:export",
    "finetune": "kerasprune.recipes.stages.finetune:finetune",
    "prune": "kerasprune.recipes.stages.prune:prune",
    "rebuild": "kerasprune.recipes.stages.rebuild:rebuild",
    "reconstruct": "kerasprune.recipes.stages.rebuild:reconstruct",
    "report": "kerasprune.recipes.stages.report:report",
    "train": "kerasprune.recipes.stages.finetune:train",
}
