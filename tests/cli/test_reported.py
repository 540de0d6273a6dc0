"""What a run reports: the same in its folder, on its page, on the terminal and for programs."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

from kerasprune import cli

RUNNER = CliRunner()
RANDOM = np.random.default_rng(0)


def invoke(*arguments):
    result = RUNNER.invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A classifier of two numbers, with labelled examples and with inputs alone."""
    folder = tmp_path_factory.mktemp("files")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    hidden = layers.Dense(8, "relu", name="hidden")(inputs)
    keras.Model(inputs, layers.Dense(2, name="classes")(hidden)).save(folder / "mine.keras")
    x = RANDOM.normal(size=(400, 2)).astype("float32")
    np.savez(folder / "mine.npz", x=x, y=(x[:, 0] > x[:, 1]).astype("int64"))
    np.save(folder / "inputs.npy", x)
    return folder


def test_warnings_are_the_same_everywhere(files, tmp_path):
    out = tmp_path / "out"
    start = ("prune", files / "mine.keras", "--keep", 0.3, "--round-to", 8, "--out", out)
    shown = invoke(*start, "--json")
    (text,) = json.loads((out / "summary.json").read_text())["warnings"]
    assert text.startswith("With min_keep=1 and round_to=8, 8 channels stay where 2 were asked for.")
    assert json.loads(shown.stdout)["warnings"] == [text]
    assert (out / "warnings.txt").read_text() == f"warning: {text}\n"
    assert f"Warning: {text}" in unescape((out / "report.html").read_text())
    assert f"warning: {text}" in shown.stderr
    assert json.loads(invoke(*start, "--json", "--resume").stdout)["warnings"] == [text]
    assert json.loads(invoke(*start[:3], 0.5, *start[6:], "--json", "--overwrite").stdout)["warnings"] == []
    assert not (out / "warnings.txt").exists()
