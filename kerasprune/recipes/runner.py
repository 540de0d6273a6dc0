"""Runs a recipe stage by stage; each saves its results in the run folder before the next begins."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kerasprune.backend.process_death import REMEDY
from kerasprune.data.signature import signature_of
from kerasprune.errors import Key, PruneError, check_installed, extras, raise_faults, warn
from kerasprune.export.registry import formats
from kerasprune.files import path_of, read_text, write_text
from kerasprune.files.made_of import MADE_OF, check_made_of
from kerasprune.graph.trace import size_to_try
from kerasprune.models.sets.lookup import SYNTHETIC, own
from kerasprune.planning.budgets.registry import budgets
from kerasprune.planning.make_plan import request_faults
from kerasprune.progress import step_line
from kerasprune.recipes import loader, lookup, schema
from kerasprune.recipes.checkpoint_check import check_chance_level
from kerasprune.recipes.loader import locate_files
from kerasprune.recipes.registry import STAGES
from kerasprune.recipes.reports.tables import judge_expected
from kerasprune.recipes.run_folder import MARK, RunFolder, begun, broken_off, take_folder
from kerasprune.recipes.run_warnings import Warnings
from kerasprune.recipes.schema import only_hands_on, stage_names
from kerasprune.recipes.stages import prune
from kerasprune.recipes.stages.context import Run
from kerasprune.registry import import_address
from kerasprune.surgery.costs.cost import cost
from kerasprune.training.callback import facts

if TYPE_CHECKING:
    from rich.console import Console

    from kerasprune.planning.budgets.base import Budget

# Removed at the end of a run.
INTERMEDIATE = ("pruned.keras", "rebuilt.keras", "reconstructed.keras")

# Of a smoke run.
SMOKE_SIDE = 64  # pixels at most
SMOKE_BATCH = 4  # images at most
SMOKE_FIT = {"epochs": 2, "steps": None, "batch": None}  # a schedule needs a few steps


def run(
    recipe: str | Path | schema.Recipe,
    folder: str | Path | None = None,
    *,
    settings: Sequence[str] = (),
    resume: bool = False,
    trust: bool = False,
    smoke: bool = False,
    strict: bool = False,
    console: Console | None = None,
) -> Path:
    """Runs a recipe.

    Args:
        recipe: Name of a recipe of the package, path of a `.yaml` file, or a loaded `Recipe`.
        folder: Folder for all files. Defaults to `runs/<recipe>-<hash of its keys>`.
        settings: Changes to the recipe as `"key.key=value"`. Defaults to none.
        resume: Continue in the folder: finished stages are kept, and an interrupted fit resumes at the epoch that it
            was in, with bit-identical results. Defaults to `False`: the folder must be empty.
        trust: Whether user code (`package.module:Name`) may be imported. Defaults to `False`.
        smoke: Try all stages on two batches of generated images, one epoch each. Defaults to `False`.
        strict: Raise an error at the end if the recipe's expected figures are not reached. Defaults to `False`.
        console: Console for progress. Defaults to standard output.

    Returns:
        The folder, with `recipe.yaml`, `plan.json`, `metrics.csv`, `summary.json`, `dense.keras`, `slim.keras`,
        `report.html`, `exports/`, and `warnings.txt` if there were warnings.

    Raises:
        PruneError: The recipe is invalid, or the folder is not empty; with `strict`, expected figures are not reached.
    """
    if console is None:
        from rich.console import Console

        console = Console()
    if not isinstance(recipe, schema.Recipe):
        recipe = loader.load(recipe, settings, trust=trust)
    if smoke:
        recipe = smoke_form(recipe)
    if strict and recipe.smoke:
        raise PruneError("Expected a full run with strict. Received: a smoke run, whose figures mean nothing.")
    path = path_of(folder) if folder is not None else default_folder(recipe)
    return carry_out(Run(locate_files(recipe), RunFolder(path), console), resume=resume, strict=strict)


def carry_out(one: Run, *, resume: bool = False, strict: bool = False) -> Path:
    """Runs all stages of a run; see `run`.

    Args:
        one: The run.
        resume: See `run`. Defaults to `False`.
        strict: See `run`. Defaults to `False`.

    Returns:
        The folder.
    """
    path = one.folder.path
    died = broken_off(path)
    with take_folder(path, [MARK], resume=resume), Warnings(path, MARK).collected() as heard:
        _same_recipe(one)
        made_of = loader.made_of(one.recipe)
        if one.folder.file(MARK).exists():
            check_made_of(path, one.folder.json(MADE_OF), made_of)
        if resume:
            one.folder.check_files()
            _report_nothing_left(one)
        if died:
            one.console.print(f"the last process of this run was killed or crashed. {REMEDY}", soft_wrap=True)
        one.folder.tidy()
        with one.console.status("rehearse: model, groups, budget, data"):
            rehearse(one)
        one.folder.write_json(MADE_OF, made_of)
        write_text(one.folder.file(MARK), loader.dump(one.recipe))
        heard.write()
        for name in stage_names(one.recipe):
            _finish(one, name)
        for name in INTERMEDIATE:
            one.folder.file(name).unlink(missing_ok=True)
        if strict:
            raise_faults(f"The run is finished, see {path / 'report.html'}, but misses what is expected:", _missed(one))
    return path


def resume(folder: str | Path, *, trust: bool = False, strict: bool = False, console: Console | None = None) -> Path:
    """Resumes an interrupted run, with the recipe and the settings stored in its folder.

    Args:
        folder: The folder of the run.
        trust: Whether user code (`package.module:Name`) may be imported. Defaults to `False`.
        strict: See `run`. Defaults to `False`.
        console: Console for progress. Defaults to standard output.

    Returns:
        The folder.

    Raises:
        PruneError: The folder is not that of a run; or as for `run`.
    """
    recipe = begun(folder, trust=trust)
    return run(recipe, folder, resume=True, trust=trust, strict=strict, console=console)


def smoke_form(recipe: schema.Recipe) -> schema.Recipe:
    """Returns a recipe that runs every stage on two batches of generated images, for an epoch or two.

    Its figures mean nothing.
    """
    if recipe.smoke:
        return recipe
    changes: dict[str, object] = {"smoke": True}
    for stage in ("train", "finetune"):
        spec = getattr(recipe, stage)
        changes[stage] = spec and spec.one_epoch()
    if recipe.data:
        given = own(recipe.data.name) not in (None, SYNTHETIC) or not isinstance(recipe.data.size, int | None)
        smaller = {} if given else {"size": min(recipe.data.side, SMOKE_SIDE)}
        smaller["batch"] = min(recipe.data.batch, SMOKE_BATCH)
        changes["data"] = recipe.data.model_copy(update=smaller)
    if recipe.prune:
        shorter: dict[str, object] = SMOKE_FIT if recipe.prune.callback else {}
        if recipe.prune.alone:
            shorter = {recipe.prune.section: recipe.prune.alone.least()}
        changes["prune"] = recipe.prune.model_copy(update=shorter)
    return recipe.model_copy(update=changes)


def default_folder(recipe: schema.Recipe) -> Path:
    """Returns `runs/<name>-<hash>`: recipes that differ have different folders."""
    label = f"{recipe.name}-smoke" if recipe.smoke else recipe.name
    return Path("runs") / f"{label}-{loader.fingerprint(recipe)}"


def check_plan(recipe: schema.Recipe) -> None:
    """Checks without a model that the plan of a recipe can be made: how much is kept, and from which data.

    Raises:
        PruneError: A criterion or budget lacks an argument or the data that it needs, or nothing says how much is kept.
    """
    criterion, budget = recipe.prune.plan.criterion, _budget(recipe)
    raise_faults("Invalid arguments for plan:", request_faults(budget, **recipe.prune.plan.asked))
    needs = ", ".join(sorted(lookup.make("criterion", criterion.name, criterion.arguments).needs))
    for key, named, why, more in (
        ("criterion", criterion, needs and f"needs {needs}", ""),
        ("budget", recipe.prune.plan.budget, "data" in budget.needs and "measures", "; labels are not used"),
    ):
        if why and recipe.data is None:
            beside = (Key(f"prune.plan.{key}"), f": {named.name}, which {why}. Received: no data. Give ")
            raise PruneError(
                "Expected data for ", *beside, Key("data.name"), f": a data set, a folder or a file{more}."
            )


def _budget(recipe: schema.Recipe) -> Budget:
    """Returns the budget of a recipe's plan."""
    named = recipe.prune.plan.budget
    return budgets.get(lookup.make("budget", named.name, named.arguments))


def rehearse(one: Run) -> None:
    """Checks in advance everything that would otherwise fail after hours of training."""
    recipe = one.recipe
    model = one.dense_model()
    spec, plan = recipe.prune and recipe.prune.plan, None
    graph = one.traced(model, spec) if spec else model
    cost(graph, size=size_to_try(model, one.free_side(model)))  # as the evaluation will
    if spec:
        check_plan(recipe)
        cheap = {"criterion": schema.Named(name="l1")}
        if "data" in _budget(recipe).needs:
            cheap["budget"] = schema.Named(name="uniform")  # where it starts
        plan = one.plan(graph, spec.model_copy(update=cheap))
    if recipe.prune and recipe.prune.callback:
        callback = one.callback(recipe.prune.callback, plan, model)
        if recipe.prune.epochs is None and recipe.prune.steps is None:
            prune.own_length(callback)
        facts(callback).rehearse(model)
        if recipe.reconstruct and callback.leaves_masks:
            raise PruneError(
                f"Expected a plan to reconstruct by. Received: {type(callback).__name__}, which removes weights one by "
                "one. Leave reconstruct out."
            )
    if section := recipe.prune and recipe.prune.alone:
        section.stage().rehearse(one, model, section)
    for each in (each for fit in (recipe.train, recipe.finetune) if fit for each in fit.callbacks):
        one.callback(each, None, model)  # their arguments
    if recipe.finetune:
        one.aware(model)  # as the slim one, which has the same layers
    _warn_of_missing_modules(one)
    needing = [name for name in one.exports if formats.member(name).needs]
    if needing:
        from kerasprune.export.carried import check_writable
        from kerasprune.export.tflite_export import check_takes_numbers

        check_writable(model, signature := signature_of(model))
        if any(name.startswith("tflite") for name in needing):
            check_takes_numbers(model, signature)
    if recipe.data is not None:
        if one.draws:
            _ = one.drawing  # checked as it is made
        else:
            for split in dict.fromkeys(("train", recipe.data.validation, recipe.data.test)):
                if split is not None:
                    one.examples(split, model)
            if recipe.prune and recipe.prune.callback and not recipe.smoke:
                prune.check_length(one, model, callback)
        one.check_labels(model)
        if isinstance(recipe.model, schema.Start) and not recipe.smoke:
            check_chance_level(one, model)


def _warn_of_missing_modules(one: Run) -> None:
    """Warns, for every format that this machine cannot write, that the rest is delivered without it."""
    for name in one.recipe.export:
        try:
            with extras(f"the export {name}"):
                check_installed(*formats.member(name).needs)
        except PruneError as error:
            warn(f"{error} The run delivers the rest; write that file afterwards, with kerasprune export slim.keras.")


def _report_nothing_left(one: Run) -> None:
    """Reports if there is nothing to resume; stages and fits that resume report it themselves."""
    finished, path = one.folder.stages(), str(one.folder.path)
    if not one.folder.file("recipe.yaml").exists():
        one.console.print(f"nothing to resume in {path}: the run begins", highlight=False, soft_wrap=True)
    elif all(name in finished for name in stage_names(one.recipe)):
        text = f"nothing to resume in {path}: every stage is finished; the report is written again"
        one.console.print(text, highlight=False, soft_wrap=True)


def _missed(one: Run) -> list[str]:
    """Returns a line for every expected figure that the run has missed or not measured."""
    figures = judge_expected(loader.resolve_defaults(one.recipe), one.folder.json("summary.json"))
    return [
        f"{figure['name'].replace('_', ' ')}: expected {figure['expected']:.4g}. Received: "
        f"{'nothing measured' if figure['here'] is None else format(figure['here'], '.4g')}"
        for figure in figures
        if not figure["met"]
    ]


def _same_recipe(one: Run) -> None:
    path = one.folder.file(MARK)
    if path.exists() and read_text(path, "the recipe of a run") != loader.dump(one.recipe):
        raise PruneError(
            "Expected the recipe that the run in this folder began with. "
            f"Received: another one for {str(path.parent)!r}. Resume with the same recipe and settings, "
            "or choose another folder=."
        )


def _finish(one: Run, name: str) -> None:
    if name in one.folder.stages() and name != "report":
        one.console.print(f"{name}: finished earlier", highlight=False)
        return
    began = time.perf_counter()
    import_address(STAGES[name])(one)
    seconds = time.perf_counter() - began
    one.folder.finish(name, seconds)
    one.folder.forget_states()
    if not only_hands_on(one.recipe, name):
        one.console.print(step_line(name, seconds), highlight=False)
