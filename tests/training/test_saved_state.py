"""The file of a fit's state: what is wrong with it is said in words, whatever the interpreter leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.processes import run_python

import kerasprune

CODE = """
import sys
from pathlib import Path
import numpy as np
from kerasprune.errors import PruneError
from kerasprune.training.saved_state import SavedState

folder = Path(sys.argv[1])
wrong = {name: 3 for name in ("layers", "variables", "optimizer", "callbacks")}
try:
    SavedState.load(SavedState(0, 0, False, {"a": np.zeros(1)}, wrong).save(folder))
except PruneError as error:
    print(error)
"""


@pytest.mark.parametrize("options", [[], ["-OO"]], ids=["plain", "without docstrings"])
def test_faults_of_a_state_say_what_is_expected(options, tmp_path):
    said = run_python(CODE, tmp_path, options=options)
    for what in (
        "about.layers is 3, expected a list of texts",
        "about.variables is 3, expected a list of names and shapes",
        "about.optimizer is 3, expected a name and shapes",
    ):
        assert what in said


@pytest.mark.experiments
def test_no_message_is_a_docstring_of_the_package():
    """`python -OO` leaves docstrings out; a user's own entry, and an option in `--help`, may be described by one."""
    files = Path(kerasprune.__file__).parent.rglob("*.py")
    assert {path.name for path in files if ".__doc__" in path.read_text()} == {"keys.py", "entry.py"}
