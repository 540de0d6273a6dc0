"""Tables on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import rich.table
import typer
from rich.console import Console

from kerasprune.tables import Table


def print_table(table: Table) -> None:
    """Prints a table; nothing if it has no rows."""
    if not table.rows:
        return
    shown = rich.table.Table()
    for column, name in enumerate(table.header):
        shown.add_column(name, justify="left" if column in table.left else "right", overflow="fold")
    for row in table.rows:
        shown.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 120).print(shown)


def print_costs(folder: Path) -> None:
    """Prints the costs of the dense and the slim model of a run, and the measures of the exported files."""
    from kerasprune.recipes import reports
    from kerasprune.recipes.reports import tables

    record = reports.read(folder)
    print_table(tables.before_after(record.summary))
    print_table(tables.exports(record.summary))
    if record.search:
        from kerasprune.steps.search_report import SearchReport  # of few runs

        typer.echo(str(SearchReport.of(record.search)))


def print_summary(folder: Path) -> None:
    """Prints the measures of a run next to the expected figures."""
    from kerasprune.recipes import reports
    from kerasprune.recipes.reports import tables

    print_costs(folder)
    record = reports.read(folder)
    print_table(tables.steps(record.summary))
    print_table(tables.expected(record.recipe, record.summary))
    typer.echo(f"report: {folder / 'report.html'}")


def print_comparison(folders: Sequence[Path]) -> None:
    """Prints several runs next to each other, and names those that are not finished."""
    from kerasprune.recipes import reports
    from kerasprune.recipes.reports.comparison import comparison_table, runs_below

    finished, unfinished = runs_below(folders)
    if finished:
        print_table(comparison_table([reports.read(folder) for folder in finished]))
        typer.echo("mean ± standard deviation over the runs that differ in the seed only")
    for folder in unfinished:
        typer.echo(f"not finished: {folder}", err=True)
