"""The program: its commands, and how it ends where one cannot do what was asked.

A command says so in plain words on standard error and ends with exit code 2.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

import kerasprune
from kerasprune.errors import PruneError

INTERRUPTED = 130  # what a shell says of a program that Ctrl-C has ended


class Commands(TyperGroup):
    """Commands whose `PruneError` is a message, not a traceback."""

    def invoke(self, context: Any) -> Any:
        """Runs a command."""
        try:
            return super().invoke(context)
        except PruneError as error:
            Console(stderr=True).print(Text(str(error)), soft_wrap=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as interrupt:
            Console(stderr=True).print("Interrupted. What is finished is on disk: carry on with --resume.")
            raise typer.Exit(INTERRUPTED) from interrupt


app = typer.Typer(
    cls=Commands,
    help="Make Keras 3 models genuinely smaller.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"kerasprune {kerasprune.__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Make Keras 3 models genuinely smaller."""


def main() -> None:
    """Runs the command line."""
    app()
