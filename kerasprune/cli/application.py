"""The program: its commands, their help, and how it ends after an error: a message on standard error, exit code 2."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from copy import copy
from functools import cached_property
from operator import attrgetter
from os.path import expanduser
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typer.models import CommandInfo

import kerasprune
from kerasprune.cli.options import expand_options
from kerasprune.cli.startup import Messages
from kerasprune.cli.words import in_options, word_of
from kerasprune.errors import PruneError, in_own_code
from kerasprune.files.system_errors import denied_error

INTERRUPTED = 130  # the shell's exit code for a program that Ctrl-C has ended

commands = typer.Typer(add_completion=False)
"""The commands, as their files add them."""

PANELS = {
    "Which channels": ("budget", "coupling", "freeze", "unknown", "round_to", "min_keep"),
    "A search by --max-drop": ("by", "metric", "trials"),
    "A time, a size, RAM": ("time", "table", "device", "bytes", "ram", "precision", "beside"),
    "Data": ("size", "samples", "batch", "validation", "test", "loss", "calibrate"),
    "Reconstruction and training": ("reconstruct", "distil", "optimizer", "learning_rate", "deliver", "seed"),
    "Code of your own": ("imports", "trust"),
    "What is printed": ("as_json", "quiet", "verbose", "log_file", "help"),
}
"""Options by the title of their panel, as parameters; all others are in the first."""
FIRST = "Options"


class HelpfulCommand(TyperCommand):
    """A command whose help has the common options first, the others in panels by subject; no name is cut short."""

    def format_help(self, context: Any, formatter: Any) -> None:
        """Prints the help."""
        parameters = [each for each in self.get_params(context) if not getattr(each, "hidden", False)]
        panels: dict[str, list[Any]] = {"Arguments": [], FIRST: [], **{title: [] for title in PANELS}}
        for parameter in parameters:
            argument = parameter.param_type_name == "argument"
            panels["Arguments" if argument else _panel(parameter.name)].append(parameter)
        width = max((len(line) for each in parameters for line in _names(each)), default=0)
        console = Console()
        paragraphs = [each.replace("\n", " ") for each in (self.help or "").split("\n\n")]
        console.print(Padding(Text("\n\n".join([self.get_usage(context), *paragraphs])), 1))
        for title, members in panels.items():
            if members:
                console.print(Panel(_table(members, width), title=title, title_align="left", border_style="dim"))


def _panel(name: str) -> str:
    return next((title for title, names in PANELS.items() if name in names), FIRST)


def _table(parameters: list[Any], width: int) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(min_width=width, style="bold cyan", no_wrap=True)
    table.add_column()
    for parameter in parameters:
        table.add_row(Text("\n".join(_names(parameter))), Text(_help(parameter)))
    return table


def _names(parameter: Any) -> Iterator[str]:
    """Yields the names of a parameter line by line, with what it takes."""
    if parameter.param_type_name == "argument":
        yield parameter.metavar or parameter.name.upper()
        return
    yield " ".join(filter(None, (", ".join(sorted(parameter.opts, key=len)), parameter.metavar)))
    yield from parameter.secondary_opts


def _help(parameter: Any) -> str:
    """Returns the purpose of a parameter, whether it is required, and its default if the text does not have it."""
    text, default = parameter.help or "", parameter.default
    if parameter.required:
        return f"{text} Required."
    if default is None or default is False or "Defaults to" in text or callable(default):
        return text
    return f"{text} Defaults to {parameter.opts[0] if default is True else default}."


class Command(TyperCommand):
    """A command whose options are made when it is asked for, many of them from the schema of recipes.

    Args:
        info: Its function, and its name if that is another one.
    """

    def __init__(self, info: CommandInfo) -> None:
        super().__init__(info.name or info.callback.__name__, help=inspect.getdoc(info.callback))
        self.info = copy(info)  # one for each program: its callback gets all options below

    @cached_property
    def whole(self) -> TyperCommand:
        """The command with its options."""
        self.info.callback, self.info.cls = expand_options(self.info.callback), HelpfulCommand
        alone = typer.Typer(add_completion=False)
        alone.registered_commands.append(self.info)
        return get_command(alone)

    def make_context(self, name: str | None, typed: list[str], *arguments: Any, **more: Any) -> Any:
        """Reads the words typed after the name."""
        home = f"={expanduser('~/')}"  # shells expand ~ only at the beginning of a word
        typed = [text.replace("=~/", home, 1) if text.startswith("--") else text for text in typed]
        for option, text in zip(["", *typed], typed, strict=False):
            if not text or text.startswith("--") and text.partition("=")[1:] == ("=", ""):
                raise PruneError(f"Expected no empty text. Received: {text or f'{option} nothing'}.")
        return self.whole.make_context(name, typed, *arguments, **more)


class Commands(TyperGroup):
    """The group of commands: errors in what a user gave become a message, not a traceback."""

    def __init__(self, **settings: Any) -> None:
        known = sorted(map(Command, commands.registered_commands), key=attrgetter("name"))
        super().__init__(**{**settings, "commands": known})

    def invoke(self, context: Any) -> Any:
        """Runs a command; warnings are lines without a place in the program."""

        def command() -> Any:  # known once its name has been read
            return self.commands[context.invoked_subcommand].whole

        def words(text: str) -> str:
            return in_options(text, command())

        try:
            with Messages(words=words).shown():
                return super().invoke(context)
        except Exception as error:
            message = _message(error)
            if message is None:
                raise
            text = words(message.spelled(word_of(command())))
            Console(stderr=True).print(Text(text), soft_wrap=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as interrupt:
            resumes = any("--resume" in each.opts for each in command().params)
            remedy = " Finished work is on disk: carry on with --resume." if resumes else ""
            Console(stderr=True).print(f"Interrupted.{remedy}")
            raise typer.Exit(INTERRUPTED) from interrupt


def _message(error: Exception) -> PruneError | None:
    """Returns the message for an error; `None` if it is a fault of the program, or of the reader of its output."""
    if isinstance(error, PruneError):
        return error
    if isinstance(error, OSError | MemoryError) and not isinstance(error, BrokenPipeError):
        return denied_error(error)
    if type(error).__name__ == "ResourceExhaustedError":  # of TensorFlow, which is not imported for this
        return denied_error(MemoryError(str(error).partition("\n")[0]))
    where = in_own_code(error) if type(error).__module__.startswith("tensorflow.") else None
    return where and PruneError(
        f"Expected data that can be read to the end. Received: {where}. Correct the cause there."
    )


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
