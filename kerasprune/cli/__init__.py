"""The command line: one file a command. A new command is one new file and one word in the import below."""

from kerasprune.cli import export, inspect, names, prune, report, reproduce, run
from kerasprune.cli.application import INTERRUPTED, app, main

__all__ = ["INTERRUPTED", "app", "export", "inspect", "main", "names", "prune", "report", "reproduce", "run"]
