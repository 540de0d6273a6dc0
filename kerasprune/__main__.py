"""The command line as a program: `kerasprune`, or `python -m kerasprune`."""

from __future__ import annotations

import sys

from kerasprune.errors import PruneError, extras


def main() -> None:
    """Runs the command line; says what to install where it cannot."""
    try:
        with extras("the command line"):
            from kerasprune.cli import main as run
    except PruneError as error:
        sys.exit(str(error))
    run()


if __name__ == "__main__":
    main()
