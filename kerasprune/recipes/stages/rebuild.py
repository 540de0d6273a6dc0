"""The stages that make the slim model: rebuilding and reconstruction."""

from __future__ import annotations

from kerasprune.errors import Key, PruneError, warn
from kerasprune.recipes.stages.context import Run, note, write
from kerasprune.steps.removal import remove
from kerasprune.steps.report import line_of_verification
from kerasprune.surgery.fresh_weights import reinitialise
from kerasprune.surgery.picture import plot
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
        cut = run.cut()
        plan = cut.plan
        kept = {
            name: [group.size, len(plan.keep.get(name, range(group.size))) if name in cut.graph.groups else 0]
            for name, group in cut.whole.prunable.items()
        }
        run.folder.write_json("widths.json", kept)
        drawn = plot(cut.whole, plan)
        run.folder.write_json("graph.json", {"groups": drawn.table.rows, "dot": drawn.dot})
        if plan.removed:
            run.console.print(f"dropped whole: {', '.join(plan.removed)}", highlight=False)
        examples = None if run.recipe.data is None or run.draws else run.plain_examples(cut.model)
        slim, verdict = remove(cut, examples=examples)
        found = {"error": verdict.error, "reason": verdict.reason, "approximate": list(verdict.approximate)}
        run.folder.write_json("verified.json", found)
        run.console.print(line_of_verification(verdict.error, verdict.reason), highlight=False)
        model = reinitialise(slim, seed=run.recipe.seed) if run.recipe.prune.untrained else slim
    note(run, "dense", run.model("dense"))
    note(run, "rebuild", model)
    run.hand_over("rebuilt", model)


def reconstruct(run: Run) -> None:
    """Solves the kernels of the slim model by least squares on training inputs: `reconstructed.keras`.

    If its outputs on validation examples are then farther from the dense ones, the kernels are not changed.
    """
    from kerasprune.steps.repair import NO_GAIN, reconstruct_if_nearer  # slow to import, and rarely used

    spec, slim = run.recipe.reconstruct, run.model("rebuilt")
    with run.console.status("reconstruct"):
        try:
            before, inputs = run.folder.steps().get("rebuild"), run.plain_examples(slim).inputs
            solved = reconstruct_if_nearer(
                slim, run.cut(), run.validation_judge, inputs, before,
                samples=spec.samples, positions=spec.positions, ridge=spec.ridge, slack=run.slack,
                seed=run.recipe.seed, verbose=run.verbose, remedy=DRAW_MORE if run.draws else GIVE_MORE,
            )  # fmt: skip
        except PruneError as error:
            raise PruneError(*error.args, " Or switch ", Key("reconstruct"), " off.") from error
    for remark in solved.remarks:
        run.console.print(remark, highlight=False)
    if solved.step is None:
        warn(NO_GAIN)
    else:
        write(run, "reconstruct", solved.step)
    run.save("reconstructed", solved.model)
