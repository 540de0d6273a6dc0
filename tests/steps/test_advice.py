"""Advice: what files and cuts give is what the commands give, ranked by time among small errors."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from keras import layers
from support.commands import run_command

import kerasprune as kp
from kerasprune.errors import PruneError
from kerasprune.steps.advice import ALLOWED, Advice, Offer
from kerasprune.steps.advise import advise

X = np.random.default_rng(0).normal(size=(400, 30)).astype("float32")


def network(of_use: int = 200) -> keras.Model:
    """Returns a network of two wide layers, most of whose channels are nearly silent, if few are of use."""
    keras.utils.set_random_seed(0)
    wide = [layers.Dense(200, "relu", name=name) for name in ("first", "second")]
    model = keras.Sequential([keras.Input((30,)), *wide, layers.Dense(3)])
    for each in wide:
        each.kernel.assign(each.kernel * np.where(np.arange(200) < of_use, 1.0, 1e-3))
    return model


def advice(*offers: Offer) -> Advice:
    return Advice(1, 1, 1.0, 1, (), None, (), offers)


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        (Offer(None, "int8", 0.01, 0.4, 0.3), "quantize, do not prune: int8"),
        (Offer(0.5, None, 0.01, 0.4, 0.3), "prune to 0.50 of the multiply–adds: "),
        (Offer(0.5, "int8", 0.01, 0.4, 0.3), "prune to 0.50 of the multiply–adds, then int8"),
        (Offer(None, None, 0.0, 1.0, 1.0), "leave it as it is"),
    ],
)
def test_the_line_says_what_the_first_offer_does(offer, words):
    assert advice(offer).line.startswith(words) and offer.command("m.keras", "x.npy") in advice(offer).shown(
        "m.keras", "x.npy"
    )


def test_there_is_no_line_without_errors():
    assert advice(Offer(None, "float16", None, 0.4, 0.3)).line == "" == advice().line


def test_arguments_and_weights_are_checked():
    with pytest.raises(PruneError, match="seconds"):
        advise(network(), X, seconds=0)
    broken = network()
    broken.layers[0].kernel.assign(np.full((30, 200), np.nan))
    with pytest.raises(PruneError, match="NaN"):
        advise(broken, X)


@pytest.mark.thorough
@pytest.mark.experiments
def test_a_redundant_network_is_pruned_and_what_is_said_of_files_is_so(tmp_path):
    model = network(of_use=40)
    before = [each.copy() for each in model.get_weights()]
    found = advise(model, (X, np.zeros(400)), seconds=300)
    assert all(map(np.array_equal, before, model.get_weights()))
    times = [each.time for each in found.offers if each.error <= ALLOWED]
    assert times[0] <= 1.03 * min(times) and len(found.offers) == 5
    pruned = [each for each in found.offers if each.macs]
    assert pruned and all(each.macs < 0.5 and each.error <= ALLOWED for each in pruned if each.quantize is None)
    int8 = next(each for each in found.offers if (each.macs, each.quantize) == (None, "int8"))
    dense = kp.export.tflite(model, tmp_path / "dense.tflite").bytes
    report = kp.export.tflite(model, tmp_path / "int8.tflite", quantize="int8", data=X)
    assert int8.bytes == pytest.approx(report.bytes / dense, rel=0.01)
    assert int8.error == pytest.approx(report.error, rel=1, abs=1e-3)
    shares, errors = zip(*found.redundancy, strict=True)
    assert list(shares) == sorted(shares, reverse=True) and len(shares) >= 6 and min(errors) < 0.01
    assert found.dearest[0][0] == "second" and 0 < found.least_time < 1 and not found.remarks


@pytest.mark.thorough
@pytest.mark.experiments
def test_what_does_not_fit_is_said(monkeypatch):
    found = advise(network(), X, seconds=1e-3)
    assert "not measured within 0.001 seconds" in found.remarks[-1] and "int8" in found.remarks[-1]
    assert [each.name for each in found.offers] == ["leave it as it is"]


@pytest.mark.thorough
def test_a_model_without_channels_or_examples_is_still_answered():
    single = keras.Sequential([keras.Input((30,)), layers.Dense(3)])
    found = advise(single, X)
    assert any("no channel can be removed" in each for each in found.remarks) and not found.redundancy
    found = advise(network())
    assert any("Give" in each for each in found.remarks) and found.line == "", found


@pytest.mark.thorough
@pytest.mark.experiments
def test_free_sides_are_those_of_the_data_or_else_tried():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3), name="images")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(inputs))
    model = keras.Model(inputs, layers.Dense(4)(x))
    found = advise(model, np.random.default_rng(0).normal(size=(200, 12, 16, 3)).astype("float32"), seconds=300)
    assert found.size == {"images": (12, 16)} and found.macs == 10 * 14 * 8 * 27 + 8 * 4
    assert all("--size images=12x16" in each.command(size=found.size) for each in found.offers)
    assert "--size images=12x16" in str(found) and not any("size=" in each for each in found.remarks)
    tried = advise(model)
    assert tried.size == {"images": (32, 32)} and any("size=" in each for each in tried.remarks)


@pytest.mark.thorough
@pytest.mark.experiments
def test_the_command_prints_commands_that_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network().save("mine.keras")
    np.save("inputs.npy", X)
    result = run_command(["inspect", "mine.keras", "--advise", "--data", "inputs.npy", "--json"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    first = said["offers"][0]["command"]
    assert said["line"] and first.split()[0] == "kerasprune"
    assert run_command(first.split()[1:]).exit_code == 0
    result = run_command(["inspect", "mine.keras", "--data", "inputs.npy"])
    assert result.exit_code == 2 and "--advise with --data" in " ".join(result.output.split())


def test_a_pruning_says_where_its_answer_is_clear():
    keras.utils.set_random_seed(0)
    linear = keras.Sequential([keras.Input((4,)), layers.Dense(64), layers.Dense(1)])  # four columns need four channels
    x = np.random.default_rng(0).normal(size=(400, 4)).astype("float32")
    whole = [layers.Dense(256, name=f"whole_{place}") for place in range(2)]
    frozen = keras.Sequential([keras.Input((4,)), layers.Dense(8), *whole, layers.Dense(1)])
    random = keras.Sequential([keras.Input((4,)), layers.Dense(64, "relu"), layers.Dense(64)])
    assert any("nearly free" in each for each in kp.prune(linear, macs=0.5, data=x, verbose=0).report.remarks)
    remarks = kp.prune(frozen, keep=0.5, data=x, freeze=["whole_*"], verbose=0).report.remarks
    assert any("quantization" in each for each in remarks)
    assert not any("kp." in each for each in kp.prune(random, macs=0.1, data=x, verbose=0).report.remarks)
