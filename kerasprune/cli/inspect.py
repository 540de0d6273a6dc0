"""Shows what can be pruned and what it costs."""

from __future__ import annotations

import json
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kerasprune.checks import choice_faults
from kerasprune.cli.application import commands
from kerasprune.cli.export import check_data, inputs_of
from kerasprune.cli.options import (
    CODE,
    check_model_path,
    check_needed,
    given_values,
    load,
    option,
    start_command,
    take_options,
)
from kerasprune.cli.pack import PACKED, print_sizes
from kerasprune.cli.tables import print_table
from kerasprune.defaults import COUPLINGS
from kerasprune.errors import PruneError, raise_faults
from kerasprune.export.destination import check_place
from kerasprune.tables import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras

    from kerasprune.graph.graph import ChannelGraph
    from kerasprune.surgery.costs.counts import Cost

ORDERS = ("model", "macs", "params")


@commands.command()
@take_options(*CODE)
def inspect(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .keras, .h5 or .kpz file; with --ram a .tflite.")],
    coupling: Annotated[str | None, option("prune.plan.coupling")] = None,
    freeze: Annotated[list[str] | None, option("prune.plan.freeze")] = None,
    prunable: Annotated[bool, typer.Option("--prunable", help="Show only what can be pruned.")] = False,
    sort: Annotated[str, typer.Option(help="Order of the layers: model, macs or params.")] = "model",
    size: Annotated[str | None, option("model.size")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print groups and layers as JSON, and nothing else.")] = False,
    advise: Annotated[bool, typer.Option("--advise", help="Measure what quantizing and pruning would give.")] = False,
    data: Annotated[str | None, option("data.name", "For --advise.")] = None,
    scale: Annotated[str | None, option("data.scale")] = None,
    seconds: Annotated[float, typer.Option(help="How long --advise may take.")] = 60,
    plot: Annotated[Path | None, typer.Option(help="Draw what is coupled: a .svg, .png or .pdf file.")] = None,
    plan: Annotated[Path | None, typer.Option(help="A plan, for --plot: what it removes.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the picture at --plot.")] = False,
    ram: Annotated[bool, typer.Option("--ram", help="Of a .tflite file: the RAM of a microcontroller.")] = False,
    **options: Any,
) -> None:
    """Show which channels of a model are coupled, and what its layers cost; of a .kpz file, its bytes by array.

    With --advise: what time and bytes quantizing and pruning would save, and at which error, with the commands. With
    --plot: a picture of it, and of what a plan removes. With --ram: the RAM and flash that a .tflite file needs.
    """
    check_needed(context, advise=("data", "seconds"), data=("scale",), plot=("plan", "overwrite"))
    check_data(data, options["trust"])
    _check_one_answer(context)
    if ram:
        _print_ram(model, as_json)
        return
    if model.suffix == ".tflite":
        raise PruneError(f"Expected a Keras model. Received: {model}. Give --ram for the RAM that this file needs.")
    if plot is not None:
        check_place(plot, overwrite)
    if model.suffix == PACKED and plot is None and not advise:
        print_sizes(model, as_json)
        return
    check_model_path(model)
    coupling_faults = [] if coupling is None else choice_faults(COUPLINGS, coupling=coupling)
    raise_faults("Invalid arguments for inspect:", choice_faults(ORDERS, sort=sort) + coupling_faults)
    start_command(options)
    from kerasprune.graph.plans import Plan
    from kerasprune.graph.trace import trace
    from kerasprune.graph.walk import has_free_axes
    from kerasprune.surgery.costs.cost import cost
    from kerasprune.surgery.inlining.plain import plain
    from kerasprune.surgery.picture import plot as draw

    loaded = plain(load(model))
    if advise:
        asked = {"data": data, "scale": scale, "size": size, "seconds": seconds, "as_json": as_json}
        _advise(loaded, model, asked)
        return
    removed = None if plan is None else Plan.load(plan)
    coupling = removed.coupling if removed and coupling is None else coupling
    graph = trace(loaded, **given_values(coupling=coupling, freeze=freeze), unknown="freeze", size=size)
    if plot is not None:
        typer.echo(draw(graph, removed, plot, size=size))
        typer.echo(f"picture: {plot}")
        return
    free = size is None and has_free_axes(loaded)
    counted = None if free else cost(graph)
    if as_json:
        typer.echo(_as_json(graph, counted))
        return
    several = [name for name, group in graph.prunable.items() if group.size > 1]  # a single channel stays
    typer.echo(_groups(graph, several) if prunable else graph.report())
    if counted is None:
        typer.echo("\nThe side or the length of the input is free: give --size to see multiply–adds.")
        return
    _print_costs(counted, sort, _makers(graph, several) if prunable else None)


def _print_ram(path: Path, as_json: bool) -> None:
    """Prints the RAM that a `.tflite` file needs."""
    from kerasprune.export.arena.memory_report import memory

    if path.suffix != ".tflite":
        raise PruneError(
            f"Expected a .tflite file with --ram. Received: {path}. Write one with kerasprune export {path} --format "
            "tflite-int8."
        )
    found = memory(path)
    typer.echo(json.dumps(asdict(found) | {"ram": found.ram}, indent=2) if as_json else str(found))


def _check_one_answer(context: typer.Context) -> None:
    """Raises if something is asked for besides a picture, or besides the RAM of a file, that would not be answered."""
    asked = context.params
    others = {f"--{name}": asked[name] for name in ("advise", "prunable", "size", "coupling", "freeze", "ram")}
    named = [name for name, given in others.items() if given] + ["--sort"] * (asked["sort"] != "model")
    of_picture = [name for name in named if name not in ("--size", "--coupling", "--freeze")]
    of_picture += ["--json"] * asked["as_json"]
    alone = {"plot": of_picture, "ram": [name for name in named if name != "--ram"]}
    faults = [
        f"Expected --{name} alone. Received: --{name} with {', '.join(idle)}. Leave --{name} out, or the others."
        for name, idle in alone.items()
        if asked[name] and idle
    ]
    raise_faults("Invalid arguments for inspect:", faults)


def _advise(model: keras.Model, path: Path, options: Mapping[str, Any]) -> None:
    """Prints advice, with commands for the files that were named."""
    from kerasprune.steps.advise import advise

    data, size = options["data"], options["size"]
    inputs = inputs_of(model, data, None, options["scale"], size)
    found, names = advise(model, inputs, seconds=options["seconds"], size=size), (str(path), data or "DATA")
    if options["as_json"]:
        offers = [asdict(each) | {"command": each.command(*names, found.size)} for each in found.offers]
        typer.echo(json.dumps(asdict(found) | {"line": found.line, "offers": offers}, indent=2))
    else:
        typer.echo(found.shown(*names))


def _groups(graph: ChannelGraph, names: list[str]) -> str:
    lines = [f"{name}: {graph.groups[name].size} channels" for name in names]
    return "\n".join(lines) if lines else "No group of channels can be pruned: see the whole report without --prunable."


def _makers(graph: ChannelGraph, groups: list[str]) -> set[str]:
    """Returns the names of the layers whose weights make or read the channels of some groups."""
    return {each.owner.name for name in groups for each, *_ in (*graph.made_by(name), *graph.read_by(name))}


def _print_costs(cost: Cost, sort: str, only: set[str] | None) -> None:
    layers = [layer for layer in cost.layers if only is None or layer.name in only]
    if sort != "model":
        layers = sorted(layers, key=attrgetter(sort), reverse=True)
    rows = []
    for layer in layers:
        macs = f"≈ {layer.estimated:,}" if layer.estimated else f"{layer.macs:,}"
        share = f"{100 * layer.macs / cost.macs:.1f}" if cost.macs else "–"
        rows.append((layer.name, layer.kind, f"{layer.params:,}", macs, share))
    total = ("total", "", f"{cost.params:,}", f"{cost.macs:,}", "100")
    print_table(Table(("layer", "class", "parameters", "MACs", "MACs, %"), [*rows, total]))
    if cost.estimated:
        typer.echo(f"≈ layers without a rule: some {cost.estimated:,} MACs, not in the total.")


def _as_json(graph: ChannelGraph, cost: Cost | None) -> str:
    groups = [{"name": group.name, "size": group.size} for group in graph.prunable.values()]
    layers = None if cost is None else [asdict(layer) for layer in cost.layers]
    total = {} if cost is None else {"params": cost.params, "macs": cost.macs}
    return json.dumps({"groups": groups, "layers": layers, **total}, indent=2)
