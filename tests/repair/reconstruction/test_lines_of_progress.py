"""Long steps say how far they are, on standard error; short and quiet ones say nothing."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.repair.reconstruction import lines_of_progress

DATA = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")


def two_layers() -> keras.Model:
    hidden = layers.Dense(8, activation="relu", name="hidden")
    return keras.Sequential([keras.Input((4,)), hidden, layers.Dense(2, name="last")])


def solve(**options) -> None:
    model = two_layers()
    plan = kp.plan(model, keep=0.5)
    kp.reconstruct(kp.rebuild(model, plan), model, plan, DATA, **options)


STEPS = {
    "reconstruct": solve,
    "sensitivity": lambda **options: kp.sensitivity(two_layers(), DATA, keep=(0.5, 0.25), **options),
    "prune": lambda **options: kp.prune(two_layers(), 0.5, DATA, **options),
}


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.experiments] * (each == "sensitivity")) for each in STEPS]
)
@pytest.mark.parametrize("verbose", [0, 1])
def test_a_long_step_says_how_far_it_is_unless_it_is_quiet(name, verbose, capsys, monkeypatch):
    monkeypatch.setattr(lines_of_progress, "_EVERY", 0)
    STEPS[name](verbose=verbose)
    shown = capsys.readouterr()
    named = "reconstruct" if name == "prune" else name
    lines = [line for line in shown.err.splitlines() if line.startswith(f"{named} ")]
    assert not shown.out
    assert [line.split()[1] for line in lines] == (["0/2", "1/2"] if verbose else [])


def test_a_short_step_says_nothing(capsys):
    solve()
    assert "reconstruct" not in "".join(capsys.readouterr())
