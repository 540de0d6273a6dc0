"""Shows what can be pruned and what it costs."""

from __future__ import annotations

from typing import Annotated

import typer

from kerasprune.cli.application import app
from kerasprune.cli.options import Import, ModelPath, Size, Trust, Verbose, check_model_path, import_code, load
from kerasprune.cli.startup import start
from kerasprune.cli.tables import print_table


@app.command()
def inspect(
    model: ModelPath,
    coupling: Annotated[str, typer.Option(help="tied, free or padded.")] = "tied",
    size: Size = None,
    imports: Import = None,
    trust: Trust = False,
    verbose: Verbose = False,
) -> None:
    """Show which channels of a model are coupled, and what its layers cost."""
    check_model_path(model)
    start(verbose=verbose)
    from kerasprune.costs.cost import cost as count
    from kerasprune.graph.trace import trace
    from kerasprune.surgery.inline import plain

    import_code(imports, trust)
    loaded = plain(load(model))
    graph = trace(loaded, coupling=coupling, unknown="freeze", resolution=size)
    typer.echo(graph.report())
    if size is None and None in loaded.inputs[0].shape[1:]:
        typer.echo("\nThe image side is free: give --size to see multiply–adds.")
        return
    cost = count(graph)
    macs = [f"≈ {layer.estimated:,}" if layer.estimated else f"{layer.macs:,}" for layer in cost.layers]
    rows = [(layer.name, layer.kind, f"{layer.params:,}", n) for layer, n in zip(cost.layers, macs, strict=True)]
    print_table(
        "",
        ("layer", "class", "parameters", "MACs"),
        [*rows, ("total", "", f"{cost.params:,}", f"{cost.macs:,}")],
    )
    if cost.estimated:
        typer.echo(f"≈ layers without a rule: some {cost.estimated:,} MACs, not in the total.")
