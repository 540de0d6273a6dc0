"""Models and files that once came out wrong, or crashed: `python FILE` must end with 0, on every backend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

HERE = Path(__file__).parent
FILES = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith(("_", "test_")))
OF_TENSORFLOW = {"recipe_files", "recipe_rehearsal"}  # what runs recipes

SOME = {"attention_scores": ["mask_of_heads_input"], "normalisation_axes": ["group_norm_axis", "layer_norm_axes_1"]}


def run(name: str, *cases: str) -> str:
    """Runs a file of cases in a process of its own, and returns what it says of each."""
    path = os.pathsep.join(filter(None, [str(HERE.parents[1]), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, f"{name}.py", *cases]
    done = subprocess.run(
        command, cwd=HERE, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=1500
    )
    bad = [line for line in done.stdout.splitlines() if line.startswith(("WRONG", "CRASH"))]
    assert done.returncode == 0, "\n".join([*bad, done.stderr[-2000:]])
    return done.stdout


@pytest.mark.thorough
@pytest.mark.parametrize("name", SOME)
def test_some_cases_of_a_file(name):
    assert "OK " in run(name, *SOME[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_all_cases_of_a_file(name):
    if keras.backend.backend() != "tensorflow" and name in OF_TENSORFLOW:
        pytest.skip("recipes run on TensorFlow")
    assert run(name)
