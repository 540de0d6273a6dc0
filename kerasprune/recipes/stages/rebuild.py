"""The stages that make the slim model: rebuilding and reconstruction."""

from __future__ import annotations

from kerasprune.errors import Key, PruneError
from kerasprune.graph.trace import without
from kerasprune.recipes.reports.dependencies import describe_graph
from kerasprune.recipes.stages.context import Run, note, write
from kerasprune.steps.judge import nearer
from kerasprune.steps.ready import remove
from kerasprune.steps.report import line_of_verification
from kerasprune.surgery.fresh_weights import reinitialise
from kerasprune.training.masks import apply_masks

GIVE_MORE = "Give more data, or in a recipe more reconstruct.samples and reconstruct.positions."
DRAW_MORE = "Give data, or draw more with --examples (in a recipe, data.samples)."
"""How a run gets more examples to solve on: given ones, or drawn ones."""


def rebuild(run: Run) -> None:
    """Removes channels, or applies masks: `rebuilt.keras`, `widths.json`, `graph.json`, `verified.json`."""
    masks = run.folder.arrays("masks.npz")
    if masks is not None:
        model = run.take("pruned")
        apply_masks(model, masks)
    else:
        model, plan = run.model("pruned"), run.plan_of()
        graph = run.graph(model, plan.coupling)
        remaining = without(graph, plan.removed).groups
        kept = {
            name: [group.size, len(plan.keep.get(name, range(group.size))) if name in remaining else 0]
            for name, group in graph.prunable.items()
        }
        run.folder.write_json("widths.json", kept)
        run.folder.write_json("graph.json", describe_graph(graph))
        if plan.removed:
            run.console.print(f"dropped whole: {', '.join(plan.removed)}", highlight=False)
        examples = None if run.recipe.data is None or run.draws else run.plain_examples(model)
        slim, verdict = remove(graph, plan, examples=examples)
        found = {"error": verdict.error, "reason": verdict.reason, "approximate": list(verdict.approximate)}
        run.folder.write_json("verified.json", found)
        run.console.print(line_of_verification(verdict.error, verdict.reason), highlight=False)
        model = reinitialise(slim, seed=run.recipe.seed) if run.recipe.prune.untrained else slim
    note(run, "dense", run.model("dense"))
    note(run, "rebuild", model)
    run.save("rebuilt", model)


def reconstruct(run: Run) -> None:
    """Solves the kernels of the slim model by least squares on training inputs: `reconstructed.keras`.

    If its outputs on validation examples are then farther from the dense ones, the kernels are not changed.
    """
    from kerasprune.repair.reconstruction.reconstruct import reconstruct_with_remarks  # slow to import, and rarely used

    spec, slim = run.recipe.reconstruct, run.model("rebuilt")
    with run.console.status("reconstruct"):
        try:
            solved, remarks = reconstruct_with_remarks(
                slim, run.model("pruned"), run.plan_of(), run.plain_examples(slim).inputs,
                samples=spec.samples, positions=spec.positions, ridge=spec.ridge, slack=run.slack,
                seed=run.recipe.seed, remedy=DRAW_MORE if run.draws else GIVE_MORE,
            )  # fmt: skip
        except PruneError as error:
            raise PruneError(*error.args, " Or switch ", Key("reconstruct"), " off.") from error
    for remark in remarks:
        run.console.print(remark, highlight=False)
    model, found = nearer(run.validation_judge, slim, solved, run.folder.steps().get("rebuild"))
    if found is not None:
        write(run, "reconstruct", found)
    run.save("reconstructed", model)
