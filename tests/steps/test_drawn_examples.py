"""Pruning without data: examples are drawn, in Python and on the command line, and errors are told from accuracies."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from keras import layers
from support.commands import run_command

import kerasprune as kp
from kerasprune.repair.synthesis import drawing as drawing_module
from kerasprune.repair.synthesis.drawing import Drawing
from kerasprune.steps import drawn_examples as steps


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


@pytest.mark.thorough
def test_without_data_kernels_are_solved_on_drawn_examples(model, monkeypatch):
    monkeypatch.setattr("kerasprune.repair.synthesis.drawing.STEPS", 40)
    slim, plan, report = kp.prune(model, keep=0.5, verbose=0)
    assert names(report) == ["dense", "removed", "reconstructed"] and steps.REMARK in str(report)
    real = np.random.default_rng(9).normal(size=(300, 8, 8, 3)).astype("float32")
    wanted = model.predict(real, verbose=0)

    def error(one):
        return np.square(one.predict(real, verbose=0) - wanted).mean() / wanted.var()

    cut = kp.rebuild(model, plan)
    assert error(slim) < 0.5 * error(cut)
    assert plan == kp.plan(kp.trace(model, coupling="tied"), keep=0.5)


def test_without_a_reconstruction_nothing_is_drawn(model):
    assert names(kp.prune(model, keep=0.5, reconstruct=False, verbose=0).report) == ["dense", "removed"]


def test_what_takes_long_is_left_out_and_the_report_names_the_call(model, monkeypatch):
    monkeypatch.setattr(steps, "AT_ONCE", 0.0)
    report = kp.prune(model, keep=0.5, verbose=0).report
    assert names(report) == ["dense", "removed"] and "kp.synthesise(model, store=folder)" in str(report)


def test_a_model_of_words_alone_is_only_cut_for_that_reason():
    x = layers.Flatten()(layers.Embedding(10, 4)(words := keras.Input((5,), dtype="int32")))
    x = layers.Dense(12, "relu")(layers.BatchNormalization()(x))
    model = keras.Model(words, layers.Dense(2)(x))
    _, reason = steps.affordable(lambda: Drawing(model, method=None))
    assert str(reason).startswith("only cut, since the model has no input of numbers and no statistics of")


def test_a_model_without_statistics_is_only_cut_by_default():
    plain = keras.Sequential([keras.Input((6,)), layers.Dense(12, "relu"), layers.Dense(2)])
    report = kp.prune(plain, keep=0.5, verbose=0).report
    assert names(report) == ["dense", "removed"]
    assert "the model has no statistics of BatchNormalization, which" in str(report)
    assert 'Give data=kp.synthesise(model, method="noise"), which draws noise' in str(report)


def test_the_remedy_for_a_model_without_statistics_is_one():
    plain = keras.Sequential([keras.Input((6,)), layers.Dense(12, "relu"), layers.Dense(2)])
    noise = kp.synthesise(plain, 50, method="noise", verbose=0)
    assert names(kp.prune(plain, keep=0.5, data=noise, verbose=0).report) == ["dense", "removed", "reconstructed"]


def test_a_layer_without_gradients_is_no_reason_to_fail(model, monkeypatch):
    def fails(self):
        raise RuntimeError("no gradient")

    monkeypatch.setattr("kerasprune.repair.synthesis.fitting.InputFit.step", fails)
    assert names(kp.prune(model, keep=0.5, verbose=0).report) == ["dense", "removed"]


@pytest.mark.thorough
def test_a_fault_of_drawn_examples_is_a_remark_and_one_of_data_an_error(model, monkeypatch):
    def fails(*args, **kwargs):
        raise kp.PruneError("not finite")

    monkeypatch.setattr("kerasprune.steps.repair.reconstruct_cut", fails)
    monkeypatch.setattr("kerasprune.repair.synthesis.drawing.STEPS", 2)
    report = kp.prune(model, keep=0.5, verbose=0).report
    assert names(report) == ["dense", "removed"] and "only cut. not finite" in str(report)
    with pytest.raises(kp.PruneError, match="not finite"):
        kp.prune(model, keep=0.5, data=np.zeros((40, 8, 8, 3)), verbose=0)


@pytest.mark.experiments
@pytest.mark.thorough
def test_the_command_draws_examples_and_resumes(model, tmp_path, monkeypatch):
    monkeypatch.setattr("kerasprune.repair.synthesis.drawing.STEPS", 1)
    model.save(tmp_path / "model.keras")
    out = tmp_path / "run"
    command = ["prune", str(tmp_path / "model.keras"), "--keep", "0.5", "--out", str(out)]
    result = run_command(command)
    assert result.exit_code == 0, result.output
    assert "examples drawn from the model" in " ".join(result.output.split()), result.output
    summary = json.loads((out / "summary.json").read_text())
    assert (out / "drawn" / "drawn.json").exists() and summary["slim"]["loss"] is None
    (out / "report.html").unlink()
    again = run_command([*command, "--resume"])
    assert again.exit_code == 0 and (out / "report.html").exists(), again.output
    refused = run_command([*command, "--examples", "x"])
    assert refused.exit_code == 2 and "--examples" in refused.output


@pytest.fixture
def prepared(model, tmp_path, monkeypatch):
    monkeypatch.setattr("kerasprune.repair.synthesis.drawing.STEPS", 1)
    model.save(tmp_path / "model.keras")
    return ["prune", str(tmp_path / "model.keras"), "--keep", "0.5", "--out", str(tmp_path / "run")]


def said(command) -> tuple[int, str]:
    result = run_command(command)
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.experiments
@pytest.mark.thorough
def test_the_command_makes_and_times_a_draw_once(prepared, monkeypatch):
    made, timed = [], []
    begin, step = Drawing.__init__, drawing_module.repeat
    monkeypatch.setattr(Drawing, "__init__", lambda self, *a, **b: made.append(1) or begin(self, *a, **b))
    monkeypatch.setattr(drawing_module, "repeat", lambda *a, **b: timed.append(1) or step(*a, **b))
    code, output = said(prepared)
    assert code == 0, output
    assert len(made) == len(timed) == 1 and "examples drawn from the model" in output


@pytest.mark.experiments
def test_the_examples_of_the_command_are_checked(prepared):
    for given in ("0", "5", "some", "2.5"):
        code, output = said([*prepared, "--examples", given])
        assert code == 2 and "Expected --examples to be 'auto', 'none' or an integer above 5" in output
    code, output = said([*prepared, "--examples", "none", "--data", "digits"])
    assert code == 2 and "Expected --examples without --data" in output


@pytest.mark.experiments
def test_why_no_examples_are_drawn_names_what_the_reader_has(prepared, tmp_path):
    plain = keras.Sequential([keras.Input((6,)), layers.Dense(12, "relu"), layers.Dense(2)])
    plain.save(tmp_path / "model.keras")
    code, output = said(prepared)
    assert code == 0 and "no statistics of BatchNormalization" in output
    assert "Give --examples, which draws noise" in output and "method=" not in output


@pytest.mark.experiments
@pytest.mark.thorough
def test_a_free_side_is_one_fault_with_one_remedy(prepared, tmp_path):
    inputs = keras.Input((None, None, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, activation="relu")(inputs))
    free = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    kp.recalibrate(free, np.ones((8, 8, 8, 3), "float32")).save(tmp_path / "model.keras")
    code, output = said(prepared)
    assert code == 0 and output.count("Expected") == 1 and output.count("--size") == 1 and "only cut" in output, output
    code, output = said([*prepared, "--size", "8", "--overwrite"])
    assert code == 0 and "examples drawn from the model" in output, output


@pytest.mark.experiments
@pytest.mark.thorough
def test_few_examples_are_told_with_what_the_caller_can_give(tmp_path):
    """A kernel of more unknowns than there are examples: `samples=` is an argument of `kp.reconstruct` alone."""
    few, wide = (
        np.random.default_rng(0).normal(size=(40, 60)).astype("float32"),
        (layers.Dense(60, "relu"), layers.Dense(50)),
    )
    wide = keras.Sequential([keras.Input((60,)), *wide])
    wide.save(tmp_path / "model.keras")
    np.save(tmp_path / "few.npy", few)
    plan = kp.plan(wide, keep=0.5)
    with pytest.warns(UserWarning, match=r"\(60 unknowns, 36 positions\).* Received: 40 examples"):
        kp.reconstruct(kp.rebuild(wide, plan), wide, plan, few)
    with pytest.warns(UserWarning, match=r"Fewer positions.*Give more data; of more than 1,000 examples kp"):
        kp.prune(wide, keep=0.5, data=few, verbose=0)
    start = ["prune", str(tmp_path / "model.keras"), "--keep", "0.5", "--out"]
    for more, given, words in (
        ("--data", str(tmp_path / "few.npy"), "Give more data, or in a recipe"),
        ("--examples", "40", "Give data, or draw more with --examples"),
    ):
        code, output = said([*start, str(tmp_path / more), more, given])
        assert code == 0 and words in output and "samples=" not in output, output


@pytest.mark.experiments
def test_a_model_of_texts_is_told_what_it_can_have(prepared, tmp_path):
    inputs = keras.Input((4,), dtype="string")
    x = layers.Embedding(4, 8)(layers.StringLookup(vocabulary=["a", "b", "c"])(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(16, "relu")(layers.Flatten()(x))))
    model.save(tmp_path / "model.keras")
    code, output = said(prepared)
    assert code == 0 and "texts for 'input_layer" in output and "Give real examples: --data." in output
    assert "synthesise" not in output and "examples: data." in str(kp.prune(model, keep=0.5, verbose=0).report)
    code, output = said([*prepared[:-1], str(tmp_path / "other"), "--export", "tflite"])
    assert code == 2 and "TFLite has no operators that look words up" in output
    assert not (tmp_path / "other" / "stages.json").exists()  # before anything was done
