"""The program: its commands, and how it ends where one cannot do what was asked.

A command says so in plain words on standard error and ends with exit code 2.
"""

from __future__ import annotations

import inspect
from functools import cached_property
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typer.models import CommandInfo

import kerasprune
from kerasprune.cli.options import word_of
from kerasprune.errors import PruneError, in_own_code
from kerasprune.files.denial import denied

INTERRUPTED = 130  # what a shell says of a program that Ctrl-C has ended

commands = typer.Typer(add_completion=False)
"""The commands, as their files add them."""


class Command(TyperCommand):
    """A command whose options are made when it is asked for: many are what the schema of recipes says.

    Args:
        info: Its function, and its name if that is another one.
    """

    def __init__(self, info: CommandInfo) -> None:
        super().__init__(_name(info), help=inspect.getdoc(info.callback))
        self.info = info

    @cached_property
    def whole(self) -> TyperCommand:
        """The command with its options."""
        alone = typer.Typer(add_completion=False)
        alone.registered_commands.append(self.info)
        return get_command(alone)

    def make_context(self, name: str | None, typed: list[str], *arguments: Any, **more: Any) -> Any:
        """Reads what was typed after the name."""
        for option, text in zip(["", *typed], typed, strict=False):
            if not text or text.startswith("--") and text.endswith("="):
                raise PruneError(f"Expected no empty text. Received: {text or f'{option} nothing'}.")
        return self.whole.make_context(name, typed, *arguments, **more)


def _name(info: CommandInfo) -> str:
    return info.name or info.callback.__name__


class Commands(TyperGroup):
    """Commands that say what is wrong with what they were given in a message, not a traceback."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            **{**settings, "commands": [Command(info) for info in sorted(commands.registered_commands, key=_name)]}
        )

    def invoke(self, context: Any) -> Any:
        """Runs a command."""
        try:
            return super().invoke(context)
        except Exception as error:
            message = _told(error)
            if message is None:
                raise
            text = message.spelled(word_of(self.commands[context.invoked_subcommand].whole))
            Console(stderr=True).print(Text(text), soft_wrap=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as interrupt:
            Console(stderr=True).print("Interrupted. What is finished is on disk: carry on with --resume.")
            raise typer.Exit(INTERRUPTED) from interrupt


def _told(error: Exception) -> PruneError | None:
    """Returns what there is to say of an error; `None` if it is a fault of the program, or of who reads from it."""
    if isinstance(error, PruneError):
        return error
    if isinstance(error, OSError | MemoryError) and not isinstance(error, BrokenPipeError):
        return denied(error)
    if type(error).__name__ == "ResourceExhaustedError":  # of TensorFlow, which is not imported for this
        return denied(MemoryError(str(error).partition("\n")[0]))
    where = in_own_code(error) if type(error).__module__.startswith("tensorflow.") else None
    return where and PruneError(f"Expected the data to be read to their end. Received: {where}. Mend it there.")


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
