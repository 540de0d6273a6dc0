"""Pruning without data: examples are drawn, in Python and on the command line, and errors are told from accuracies."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune.cli import app
from kerasprune.steps import drawn as steps


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((8, 8, 3))
    for channels in (8, 8):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(channels, 3, padding="same")(x)))
    made = keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))
    return kp.recalibrate(made, np.random.default_rng(0).normal(size=(200, 8, 8, 3)).astype("float32"))


def names(report) -> list[str]:
    return [step.name for step in report.steps]


def test_without_data_kernels_are_solved_on_drawn_examples(model, monkeypatch):
    monkeypatch.setattr("kerasprune.synthesis.drawing.STEPS", 40)
    slim, plan, report = kp.prune(model, keep=0.5, examples=100, verbose=0)
    assert names(report) == ["dense", "removed", "reconstructed"] and steps.REMARK in str(report)
    real = np.random.default_rng(9).normal(size=(300, 8, 8, 3)).astype("float32")
    wanted = model.predict(real, verbose=0)

    def error(one):
        return np.square(one.predict(real, verbose=0) - wanted).mean() / wanted.var()

    cut = kp.rebuild(model, plan)
    assert error(slim) < 0.5 * error(cut)
    assert plan == kp.plan(kp.trace(model, coupling="tied"), keep=0.5)


def test_none_only_cuts_and_a_number_beside_data_is_refused(model):
    assert names(kp.prune(model, keep=0.5, examples="none", verbose=0).report) == ["dense", "removed"]
    with pytest.raises(kp.PruneError, match="without data="):
        kp.prune(model, keep=0.5, data=np.zeros((4, 8, 8, 3)), examples=10)
    for wrong in (0, True, "all", 2.5, None):
        with pytest.raises(kp.PruneError, match="examples"):
            kp.prune(model, keep=0.5, examples=wrong)


def test_what_takes_long_is_left_out_and_the_report_names_the_call(model, monkeypatch):
    monkeypatch.setattr(steps, "AT_ONCE", 0.0)
    report = kp.prune(model, keep=0.5, verbose=0).report
    assert names(report) == ["dense", "removed"] and "kp.synthesise(model, store=folder)" in str(report)


def test_a_model_without_statistics_is_only_cut_by_default():
    plain = keras.Sequential([keras.Input((6,)), layers.Dense(12, "relu"), layers.Dense(2)])
    report = kp.prune(plain, keep=0.5, verbose=0).report
    assert names(report) == ["dense", "removed"] and "has none" in str(report) and "examples=600" in str(report)


def test_a_number_draws_noise_if_there_are_no_statistics():
    plain = keras.Sequential([keras.Input((6,)), layers.Dense(12, "relu"), layers.Dense(2)])
    report = kp.prune(plain, keep=0.5, examples=50, verbose=0).report
    assert names(report) == ["dense", "removed", "reconstructed"] and steps.REMARK in str(report)


def test_a_layer_without_gradients_is_no_reason_to_fail(model, monkeypatch):
    def fails(self):
        raise RuntimeError("no gradient")

    monkeypatch.setattr("kerasprune.synthesis.fitting.InputFit.step", fails)
    assert names(kp.prune(model, keep=0.5, verbose=0).report) == ["dense", "removed"]


def test_a_fault_of_drawn_examples_is_a_remark_and_one_of_data_an_error(model, monkeypatch):
    def fails(*args, **kwargs):
        raise kp.PruneError("not finite")

    monkeypatch.setattr("kerasprune.steps.prune.reconstructed", fails)
    monkeypatch.setattr("kerasprune.synthesis.drawing.STEPS", 2)
    report = kp.prune(model, keep=0.5, verbose=0).report
    assert names(report) == ["dense", "removed"] and "only cut. not finite" in str(report)
    with pytest.raises(kp.PruneError, match="not finite"):
        kp.prune(model, keep=0.5, data=np.zeros((40, 8, 8, 3)), verbose=0)


@pytest.mark.whole
def test_the_command_draws_examples_and_resumes(model, tmp_path, monkeypatch):
    monkeypatch.setattr("kerasprune.synthesis.drawing.STEPS", 1)
    model.save(tmp_path / "model.keras")
    out = tmp_path / "run"
    command = ["prune", str(tmp_path / "model.keras"), "--keep", "0.5", "--out", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "examples drawn from the model" in " ".join(result.output.split()), result.output
    summary = json.loads((out / "summary.json").read_text())
    assert (out / "drawn" / "drawn.json").exists() and summary["slim"]["loss"] is None
    (out / "report.html").unlink()
    again = CliRunner().invoke(app, [*command, "--resume"])
    assert again.exit_code == 0 and (out / "report.html").exists(), again.output
    refused = CliRunner().invoke(app, [*command, "--examples", "x"])
    assert refused.exit_code == 2 and "--examples" in refused.output
