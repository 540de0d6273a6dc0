"""The rebuilding stage."""

from __future__ import annotations

from kerasprune.graph.trace import trace, without
from kerasprune.plans import Plan
from kerasprune.recipes.stages import steps
from kerasprune.recipes.stages.context import Run
from kerasprune.reports.dependencies import described
from kerasprune.surgery.rebuild import rebuild as rebuilt
from kerasprune.surgery.reinitialise import reinitialise
from kerasprune.training.masks import apply_masks
from kerasprune.verification import verify


def rebuild(run: Run) -> None:
    """Builds the model that stays, with the weights it had: `rebuilt.keras`, `widths.json`, `graph.json`."""
    model = run.folder.model("pruned.keras")
    masks = run.folder.arrays("masks.npz")
    if masks is not None:
        apply_masks(model, masks)
    else:
        plan = Plan.load(run.folder.file("plan.json"))
        graph = trace(model, coupling=plan.coupling, unknown="freeze")
        there = without(graph, plan.removed).groups
        kept = {
            name: [group.size, len(plan.keep.get(name, range(group.size))) if name in there else 0]
            for name, group in graph.prunable.items()
        }
        run.folder.write_json("widths.json", kept)
        run.folder.write_json("graph.json", described(graph))
        if plan.removed:
            run.console.print(f"dropped whole: {', '.join(plan.removed)}", highlight=False)
        slim = rebuilt(model, plan)
        verdict = verify(model, slim, plan, strict=True, reload=False)
        folded = f", for the constants folded into {', '.join(verdict.approximate)}" if verdict.approximate else ""
        run.console.print(f"verified: {verdict.error:.1e} from the masked model{folded}", highlight=False)
        model = reinitialise(slim, run.recipe.seed) if run.recipe.prune.untrained else slim
    steps.note(run, "dense", run.folder.model("dense.keras"))
    logs = steps.note(run, "rebuild", model)
    if logs:
        run.folder.set_metrics("rebuild", [{"epoch": 0, **{f"val_{key}": value for key, value in logs.items()}}])
    run.folder.save_model("rebuilt.keras", model)
