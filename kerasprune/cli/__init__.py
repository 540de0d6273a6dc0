"""The command line `kerasprune`: one file per command.

A new command is one new file and one word in the import below.
"""

import importlib

from kerasprune.cli import (
    compare,
    export,
    inspect,
    latency,
    names,
    pack,
    profile,
    prune,
    report,
    reproduce,
    run,
    search,
    unpack,
)
from kerasprune.cli.application import INTERRUPTED, app, main
from kerasprune.registry import additions_of_papers

for _command in additions_of_papers("commands").values():
    importlib.import_module(_command)

__all__ = [
    "INTERRUPTED",
    "app",
    "compare",
    "export",
    "inspect",
    "latency",
    "main",
    "names",
    "pack",
    "profile",
    "prune",
    "report",
    "reproduce",
    "run",
    "search",
    "unpack",
]
