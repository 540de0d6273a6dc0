"""A criterion of one's own on the command line, by each of the ways that are documented."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune.cli import app
from kerasprune.criteria.registry import criteria

CODE = '''
from dataclasses import dataclass

import kerasprune as kp


@kp.criteria.add("spread")
@dataclass(frozen=True)
class Spread(kp.criteria.Criterion):
    """`score(c) = −Σ |w|`: the smallest are kept, which no other criterion does."""

    def saliency(self, weight, gradient=None):
        return -abs(weight)
'''
WAYS = (("--import", "my_crit.py", "--criterion", "spread"), ("--criterion", "my_crit:Spread"))
WAYS = (*WAYS, ("--criterion", "my_crit.py:Spread"))


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """A folder with a model and the code; the table of criteria is as before afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(criteria, "_added", dict(criteria._added))
    monkeypatch.setitem(sys.modules, "my_crit", None)
    monkeypatch.delitem(sys.modules, "my_crit")
    (tmp_path / "my_crit.py").write_text(CODE)
    inputs = keras.Input((8,))
    x = keras.layers.Dense(16, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.save("m.keras")


def run(*words: str):
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_a_criterion_of_ones_own_prunes(way):
    done = run("prune", "m.keras", "--keep", "0.5", "--trust", "--out", "half", "--quiet", *way)
    assert done.exit_code == 0, done.output
    model, plan = keras.models.load_model("m.keras"), kp.Plan.load("half/plan.json")
    smallest = np.argsort(np.abs(model.get_layer("hidden").kernel).sum(axis=0), kind="stable")[:8]
    assert list(plan.keep["hidden"]) == sorted(smallest.tolist())


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_without_trust_no_code_is_imported(way):
    done = run("prune", "m.keras", "--keep", "0.5", "--out", "half", *way)
    assert done.exit_code == 2 and "--trust" in done.output + done.stderr


@pytest.mark.thorough
def test_compare_and_recipes_take_it_too():
    rng = np.random.default_rng(0)
    np.savez("data.npz", x=rng.normal(size=(64, 8)).astype("float32"), y=rng.integers(0, 3, 64))
    words = ("--data", "data.npz", "--macs", "0.5", "--trust", "--import", "my_crit.py", "--seeds", "1", "--quiet")
    done = run("compare", "m.keras", "--criteria", "l1,spread", *words, "--out", "contest")
    assert done.exit_code == 0, done.output + done.stderr
    recipe = (
        "name: own\nwhy: a test\nmodel: {start: m.keras}\nprune: {plan: {criterion: 'my_crit.py:Spread', keep: 0.5}}\n"
    )
    Path("own.yaml").write_text(recipe)
    assert run("validate", "own.yaml", "--trust").exit_code == 0
    assert run("validate", "own.yaml").exit_code == 2
