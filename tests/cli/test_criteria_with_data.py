"""Criteria and budgets that look at data, from all that choose by them: options, recipes, callbacks, dimensions."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune import cli
from kerasprune.papers.three_dimensional.extents import Extent
from kerasprune.papers.three_dimensional.shrinking_plans import Judges

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def invoke(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model, and images with labels in a file."""
    folder = tmp_path_factory.mktemp("files")
    kp.models.resnet_cifar(8, classes=10, input_shape=(16, 16, 3), width=0.5, seed=0).save(folder / "mine.keras")
    generator = np.random.default_rng(0)
    images = generator.normal(size=(48, 16, 16, 3)).astype("float32")
    np.savez(folder / "mine.npz", x=images, y=generator.integers(0, 10, 48))
    return folder / "mine.keras", folder / "mine.npz"


@pytest.mark.thorough
def test_prune_hands_data_and_loss_to_the_criterion(files, tmp_path):
    model, data = files
    out = tmp_path / "out"
    options = ("--keep", 0.5, "--criterion", "taylor_fo", "--data", data, "--batch", 16)
    result = invoke("prune", model, *options, "--out", out)
    assert result.exit_code == 0, result.output
    found = json.loads((out / "plan.json").read_text())["keep"]
    by_norm = kp.plan(keras.models.load_model(model), "l1", keep=0.5).keep
    assert found.keys() == by_norm.keys() and any(tuple(found[group]) != by_norm[group] for group in found)


def test_prune_without_data_says_so_at_once(files, tmp_path):
    result = invoke("prune", files[0], "--keep", 0.5, "--criterion", "taylor_fo", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "Traceback" not in result.stderr
    assert "data for --criterion: taylor_fo, which needs data, gradients" in " ".join(result.stderr.split())


@pytest.mark.thorough
def test_prune_hands_data_to_a_budget_that_measures(files, tmp_path, monkeypatch):
    """Measured here: many channels, however cheap."""
    model, data = files
    monkeypatch.setattr(
        "kerasprune.planning.budgets.trials.Trials.error", lambda self, plan: -sum(map(len, plan.keep.values()))
    )
    options = ("--macs", 0.4, "--budget", "sensitivity", "--no-reconstruct", "--data", data, "--batch", 16)
    result = invoke("prune", model, *options, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = kp.Plan.load(tmp_path / "out" / "plan.json")
    dense = keras.models.load_model(model)
    uniform = kp.plan(dense, macs=0.4)
    assert sum(map(len, found.keep.values())) > sum(map(len, uniform.keep.values()))
    assert kp.cost(dense, found).macs <= max(kp.cost(dense, uniform).macs, 0.4 * kp.cost(dense).macs)


def test_prune_by_measuring_without_data_says_so_at_once(files, tmp_path):
    result = invoke("prune", files[0], "--macs", 0.5, "--budget", "sensitivity", "--out", tmp_path / "out")
    assert result.exit_code == 2 and "Traceback" not in result.stderr
    assert "data for --budget: sensitivity, which measures" in " ".join(result.stderr.split())


def test_masks_that_are_chosen_inside_the_step_take_weights_only():
    with pytest.raises(kp.PruneError, match="criterion of weights alone.*criterion=TaylorFO, which needs data"):
        kp.callbacks.GradualMagnitude(kp.schedules.constant(keep=0.5), criterion="taylor_fo")


def test_a_width_is_chosen_by_data_too(files):
    model = keras.models.load_model(files[0])
    with np.load(files[1]) as found:
        data = [(found["x"], found["y"])]
    extent = Extent.of(model)
    plan = Judges(channels="gradient_magnitude", data=data, loss=LOSS).width_plan(model, extent, 0.5)
    assert plan.keep == kp.plan(model, "gradient_magnitude", keep=0.5, data=data, loss=LOSS).keep
