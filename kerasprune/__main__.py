"""The command line as a program: `kerasprune`, or `python -m kerasprune`."""

from __future__ import annotations

import sys

from kerasprune.errors import PruneError, extras
from kerasprune.files.writing import replace_unprintable


def main() -> None:
    """Runs the command line; without its extra, reports how to install it."""
    replace_unprintable()
    try:
        with extras("the command line"):
            from kerasprune.cli import main as run
    except PruneError as error:
        sys.exit(str(error))
    run()


if __name__ == "__main__":
    main()
