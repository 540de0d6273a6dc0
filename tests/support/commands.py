"""The command line in a test of the core, which is there only with the experiments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def run_command(words: Sequence[Any]) -> Any:
    """Returns the result of a command given word by word: its `exit_code`, its `output`."""
    from typer.testing import CliRunner

    from kerasprune.cli import app

    return CliRunner().invoke(app, [str(word) for word in words])
