"""Progress of `kp.prune` on standard error, and the words for the comparison with the masked model."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.steps.report import line_of_verification


def convolutional(padding: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(8, 3, activation="relu", bias_initializer="random_normal", name="first")(inputs)
    x = layers.Conv2D(4, 3, padding=padding, name="second")(x)
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_progress_is_a_line_per_step_and_per_epoch_on_standard_error(verbose, capsys):
    inputs = keras.Input((4,))
    x = layers.Dense(8, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    data = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
    capsys.readouterr()
    kp.prune(model, 0.5, data, epochs=2, verbose=verbose)
    shown = capsys.readouterr()
    lines = [re.sub(r"\d[\d.e-]*( s)?$", "#", line) for line in shown.err.splitlines()]
    steps = [f"{name}: #" for name in ("measure", "plan", "remove", "reconstruct", "fine-tune")]
    epochs = [f"fine-tune {epoch}/2: loss #" for epoch in (1, 2)]
    expected = {0: [], 1: steps, 2: [*steps[:-1], *epochs, steps[-1]]}
    assert not shown.out and [line for line in lines if ": #" in line or "loss" in line] == expected[verbose]


def test_verbose_is_one_of_three():
    with pytest.raises(kp.PruneError, match="Expected verbose to be 'auto', 0, 1 or 2. Received: verbose=5"):
        kp.prune(convolutional("same"), verbose=5)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_difference_is_named_for_what_it_is(padding):
    model = convolutional(padding)
    slim, plan, report = kp.prune(model, keep=0.5, verbose=0)
    line = next(line for line in str(report).splitlines() if line.startswith("verified"))
    if padding == "valid":
        assert line == "verified: equal to the masked model" and report.verified < 1e-5
        return
    assert line == line_of_verification(report.verified, "folding constants at padded borders")
    verdict = kp.verify(model, slim, plan, reload=False)
    assert report.verified > 1e-4 and verdict.error == pytest.approx(report.verified, rel=1e-3)
    exact = kp.rebuild(model, plan, absorb=False)  # without folding nothing differs
    assert kp.verify(model, exact, plan, reload=False).error < 1e-5


def test_random_outputs_are_not_compared():
    assert (
        line_of_verification(float("nan"))
        == "verified: the predicted cost; outputs are random, so they are not compared"
    )


@pytest.mark.parametrize(
    ("error", "equal"), [(1e-6, True), (6.6e-3, True), (0.02, False), (0.56, False), (40.0, False)]
)
def test_outputs_that_move_noticeably_are_not_called_equal(error, equal):
    reason = "folding constants at padded borders" if error > 1e-4 else ""
    line = line_of_verification(error, reason)
    assert line.startswith("verified: equal to") if equal else line.startswith("verified, but not equal to")
    assert not reason or f"{reason} moves outputs by up to {error:.1e}" in line
