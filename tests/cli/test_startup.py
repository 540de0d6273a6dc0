"""What TensorFlow writes while it is imported is held back, also if it comes after Keras; a failure is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kerasprune

STARTED = """
from kerasprune.cli.startup import start
start(verbose={verbose})
from importlib.util import find_spec
assert find_spec("tensorflow")  # asked for, not imported
import {modules}
print(tensorflow.works, len([each for each in __import__("sys").meta_path if "Late" in type(each).__name__]))
"""
WRITES = "import os\nos.write(2, b'cudart_stub.cc: no GPU\\n')\n"


def run(tmp_path, *, verbose=False, keras="", fails=False):
    """Runs Python with a Keras and a TensorFlow that write to standard error as C++ does."""
    (tmp_path / "keras.py").write_text(keras)
    (tmp_path / "tensorflow.py").write_text(f"{WRITES}works = True\n" + ("1 / 0\n" if fails else ""))
    root = str(Path(kerasprune.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), root])}
    code = STARTED.format(verbose=verbose, modules="tensorflow, json")
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("keras", ["", "import tensorflow", f"{WRITES}import tensorflow"])
def test_lines_of_an_import_are_held_back(tmp_path, keras):
    done = run(tmp_path, keras=keras)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True 0\n", "")


def test_lines_are_shown_if_they_are_asked_for_or_the_import_fails(tmp_path):
    assert "cudart_stub" in run(tmp_path, verbose=True).stderr
    done = run(tmp_path, fails=True)
    assert done.returncode and "cudart_stub" in done.stderr and "ZeroDivisionError" in done.stderr
