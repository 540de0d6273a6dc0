"""Searches for the widths of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kerasprune.checks import choice_faults, given_values, whole_number_faults
from kerasprune.cli.application import commands
from kerasprune.cli.options import (
    CODE,
    MEASURED,
    SELECTION,
    ModelPath,
    Out,
    check_model_path,
    data_section,
    import_code,
    load,
    option,
    options_given,
    take_options,
    target_of,
)
from kerasprune.cli.startup import Messages, start
from kerasprune.cli.tables import print_table
from kerasprune.defaults import DELTA, SAMPLES
from kerasprune.errors import PruneError, raise_faults
from kerasprune.tables import Table

if TYPE_CHECKING:
    import keras

    from kerasprune.graph.graph import ChannelGraph
    from kerasprune.recipes.schema import Recipe
    from kerasprune.recipes.search.width_search import SearchedPlan

JUDGES = ("reconstruction", "recalibration")
SHOWN = 5
STORE, PLAN, TABLE, SLIM = "search.sqlite", "plan.json", "candidates.csv", "slim.keras"


@commands.command()
@take_options("data", "scale", "size", "criterion", *MEASURED, *SELECTION[2:], "seed", *CODE, "resume")
def search(
    context: typer.Context,
    model: ModelPath,
    out: Out,
    macs: Annotated[float | None, option("prune.plan.macs", "Defaults to 0.5 without a time or size.")] = None,
    judge: Annotated[
        str, typer.Option(help="How candidates are repaired before they are judged: reconstruction, recalibration.")
    ] = "reconstruction",
    delta: Annotated[float, typer.Option(help="By how much the target may be missed.")] = DELTA,
    population: Annotated[int, typer.Option(help="Candidates of a generation.")] = 20,
    generations: Annotated[int, typer.Option(help="How many generations are judged.")] = 10,
    samples: Annotated[int, typer.Option(help="Examples that candidates are repaired and judged with.")] = SAMPLES,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the best as JSON, and nothing else.")] = False,
    **options: Any,
) -> None:
    """Search for the widths of all groups by evolution, without labels and without training; needs --data."""
    check_model_path(model)
    raise_faults("Invalid arguments for search:", choice_faults(JUDGES, **{"--judge": judge}))
    if options["data"] is None:
        raise PruneError("Expected --data: candidates are judged by their outputs on examples. Received: no --data.")
    size = options["size"]
    asked = options_given(options, "time", "bytes", "ram")
    macs = 0.5 if macs is None and not asked else macs
    recipe = {
        "name": "search",
        "why": f"The widths of {model.name}.",
        **options_given(options, "seed"),
        "model": {"start": str(model), "size": size},
        "data": data_section(options),
        "prune": {"plan": target_of(context, options | {"macs": macs}) | options_given(options, *SELECTION)},
    }
    from kerasprune.files.made_of import MADE_OF, check_settings
    from kerasprune.files.temporary_files import remove
    from kerasprune.recipes import loader
    from kerasprune.recipes.run_folder import claim, take_folder
    from kerasprune.recipes.run_warnings import Warnings, texts_of_warnings
    from kerasprune.recipes.search.evolution import Evolution, delta_faults

    resume = options["resume"]
    import_code(*(options[name] for name in CODE))
    messages = Messages(quiet=quiet)
    half = max(population // 2, 1)
    evolution = Evolution(population, max(population // 4, 1), half, half, generations)
    faults = [*whole_number_faults(4, samples=samples), *delta_faults(delta)]
    raise_faults("Invalid arguments for search:", faults)
    checked = loader.check(recipe, source=f"Searching {model.name}", trust=options["trust"])
    claim(out, (STORE, MADE_OF), resume=resume)
    start(verbose=options["verbose"])
    with messages.shown(), take_folder(out, (STORE, MADE_OF), resume=resume), Warnings(out, STORE).collected():
        counts = {"population": population, "generations": generations, "samples": samples}
        settings = {
            "evolution": evolution,
            "samples": samples,
            "judge": judge,
            "delta": delta,
            "path": out / STORE,
            "verbose": int(not quiet and not as_json),
        }
        check_settings(out / MADE_OF, {**loader.made_of(checked), **counts, "judge": judge, "delta": delta})
        try:
            found, met = _searched(load(model), checked, out, **settings)
        finally:
            if not (out / STORE).exists():  # refused before anything was judged
                remove(out / MADE_OF)
    if as_json:
        best = {"macs": found.macs, "score": found.score, "candidates": len(found.search.candidates)}
        best |= given_values(target=met)
        named = {"plan": str(out / PLAN), "slim": str(out / SLIM)}
        typer.echo(json.dumps({**best, "warnings": texts_of_warnings(out), "files": named}, indent=2))
    elif not quiet:
        _print(found, met, out, judge)


def _searched(
    model: keras.Model, recipe: Recipe, out: Path, judge: str, **settings: Any
) -> tuple[SearchedPlan, str | None]:
    """Searches and writes what was found; returns it, and by how much its target is met."""
    from kerasprune.graph.trace import trace
    from kerasprune.recipes import lookup
    from kerasprune.recipes.examples import examples_of
    from kerasprune.recipes.search.search_plan import search_plan
    from kerasprune.surgery.inlining.plain import at_unknown, plain

    dense, spec, size = plain(model), recipe.prune.plan, recipe.model.size
    graph = trace(dense, coupling=spec.coupling, freeze=spec.freeze, unknown=at_unknown(dense, spec.unknown))
    examples = examples_of(recipe.data, "train", dense, size=size)
    target = spec.target and lookup.make("target", spec.target.name, spec.target.arguments).prepared(graph)
    settings |= {"criterion": spec.criterion.name, "macs": spec.macs, "target": target, "seed": recipe.seed}
    found = search_plan(graph, examples, judge=judge, size=size, **settings)
    _write(found, graph, examples, judge, out, recipe.seed, settings["verbose"])
    return found, target and target.report(graph, found.plan)


def _write(
    found: SearchedPlan, graph: ChannelGraph, examples: Any, judge: str, out: Path, seed: int, verbose: int
) -> None:
    """Writes the plan, the candidates and the slim model, reconstructed or recalibrated as the candidates were."""
    from kerasprune.data.examples import inputs_only
    from kerasprune.files.keras_model import save_and_load
    from kerasprune.repair.reconstruction.recalibrate import recalibrate
    from kerasprune.repair.reconstruction.reconstruct import reconstruct
    from kerasprune.surgery.rebuild import rebuild

    found.plan.save(out / PLAN)
    found.save(out / TABLE)
    slim, inputs = rebuild(graph, found.plan), inputs_only(examples)
    if judge == "reconstruction":
        slim = reconstruct(slim, graph, found.plan, inputs, seed=seed, verbose=verbose)
    else:
        slim = recalibrate(slim, inputs)
    save_and_load(slim, out / SLIM)


def _print(found: SearchedPlan, met: str | None, out: Path, judge: str) -> None:
    best = sorted(found.search.candidates, key=lambda one: -one.score)[:SHOWN]
    rows = [(f"{-one.score:.4g}", one.origin, str(one.generation)) for one in best]
    print_table(Table((f"error of the logits after {judge}", "made by", "generation"), rows))
    first = found.search.candidates[0]
    if first.origin == "given":
        typer.echo(f"nearly uniform widths: {-first.score:.4g}")
    typer.echo(f"kept: {found.macs:.4f} of the multiply–adds; {len(found.search.candidates)} candidates: {out / TABLE}")
    if met is not None:
        typer.echo(met)
    typer.echo(f"plan: {out / PLAN}\nslim model: {out / SLIM}")
    typer.echo(f"next: fit keras.models.load_model({str(out / SLIM)!r}), best with kp.distil, next to a uniform one")
