"""Fresh interpreters: code that must run where nothing is imported yet, or where some module cannot be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).parents[1]


def run_python(code: str, *arguments: object, options: Sequence[str] = ()) -> str:
    """Runs code in a fresh interpreter and returns what it prints; `support` can be imported there.

    Args:
        code: The code.
        arguments: What it finds in `sys.argv`.
        options: Those of the interpreter, such as `-OO`. Defaults to none.

    Raises:
        AssertionError: The code failed.
    """
    code = f"import sys; sys.path.insert(0, {str(TESTS)!r})\n{code}"
    done = subprocess.run([sys.executable, *options, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()
