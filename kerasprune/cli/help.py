"""The help of a command: the common options first, the others in panels by subject."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

PANELS = {
    "Which channels": ("budget", "coupling", "freeze", "unknown", "round_to", "min_keep"),
    "A time or a size": ("time", "table", "bytes", "precision"),
    "Data": ("size", "batch", "validation", "test", "loss", "calibrate"),
    "Reconstruction and training": ("reconstruct", "distil", "optimizer", "learning_rate", "deliver", "seed"),
    "Code of your own": ("imports", "trust"),
    "What is printed": ("as_json", "quiet", "verbose", "log_file", "help"),
}
"""Options by the title of their panel, as parameters; all others are in the first."""
FIRST = "Options"


class HelpfulCommand(TyperCommand):
    """A command that prints its help in two columns, no name of an option cut at 80 characters."""

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
