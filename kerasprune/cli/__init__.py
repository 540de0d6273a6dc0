"""The command line: one file a command. A new command is one new file and one word in the import below."""

from kerasprune.cli import (
    compare,
    export,
    init,
    inspect,
    names,
    precrop,
    prune,
    report,
    reproduce,
    resume,
    run,
    search,
    space,
)
from kerasprune.cli.application import INTERRUPTED, app, main

__all__ = [
    "INTERRUPTED",
    "app",
    "compare",
    "export",
    "init",
    "inspect",
    "main",
    "names",
    "precrop",
    "prune",
    "report",
    "reproduce",
    "resume",
    "run",
    "search",
    "space",
]
