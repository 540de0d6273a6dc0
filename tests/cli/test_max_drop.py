"""The smallest allowed model on the command line."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from keras import layers
from support.commands import run_command

import kerasprune as kp

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(600, 4)).astype("float32")
Y = (X[:, 0] * X[:, 1] > 0).astype("int32")
PARTS = {"train": slice(300), "val": slice(300, 500), "test": slice(500, 600)}


@pytest.fixture
def folder(tmp_path):
    """A folder with a trained classifier and its examples by split."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(32, "relu", name="wide"), layers.Dense(2, "softmax")])
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X[:300], Y[:300], epochs=30, verbose=0)
    model.save(tmp_path / "mine.keras")
    parts = {f"{name}_{part}": each[rows] for name, each in (("x", X), ("y", Y)) for part, rows in PARTS.items()}
    np.savez(tmp_path / "mine.npz", **parts)
    return tmp_path


def called(folder, *words):
    files = (folder / "mine.keras", "--data", folder / "mine.npz", "--out", folder / "out")
    return run_command(["prune", *files, "--max-drop", 0.1, "--trials", 2, "--round-to", 1, *words])


@pytest.mark.thorough
def test_what_is_delivered_is_the_trial_that_was_chosen(folder):
    result = called(folder, "--finetune-epochs", 1)
    assert result.exit_code == 0, result.output
    report = json.loads((folder / "out/trials/report.json").read_text())
    chosen = report["curve"]["chosen"]
    slim, trial = (
        keras.models.load_model(folder / "out" / name) for name in ("slim.keras", f"trials/trial_{chosen + 1}.keras")
    )
    assert all(map(np.array_equal, slim.get_weights(), trial.get_weights()))
    plan = kp.Plan.load(folder / "out/plan.json")
    assert slim.get_layer("wide").units == len(plan.keep["wide"]) < 32
    rows = slice(300, 500)
    judged = np.mean(slim.predict(X[rows], verbose=0).argmax(1) == Y[rows])
    assert report["curve"]["points"][chosen]["value"] == pytest.approx(judged)
    assert "Searched sizes" in (folder / "out/report.html").read_text()
    assert "drop of accuracy of at most 0.1" in result.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--macs", 0.5), "--macs 0.5"),
        (("--metric", "f1", "--finetune-epochs", 0), "accuracy"),
        (("--max-drop", 0), "> 0"),
    ],
)
def test_what_cannot_be_answered_is_told(folder, words, told):
    result = called(folder, *words)
    assert result.exit_code == 2 and told in " ".join(result.output.split()), result.output


def test_options_of_a_search_need_what_is_allowed(folder):
    result = run_command(["prune", folder / "mine.keras", "--macs", 0.5, "--by", "params", "--out", folder / "out"])
    assert result.exit_code == 2 and "--max-drop with --by" in " ".join(result.output.split())
