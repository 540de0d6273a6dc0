"""A time or a size on the command line and in recipes."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune import cli
from kerasprune.export.latency.whole_networks import changed_file_of, file_of


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "mine.keras"
    kp.models.lenet_300_100(classes=3, input_shape=(8, 8, 3), seed=0).save(path)
    return path


def called(*arguments):
    return CliRunner().invoke(cli.app, [str(each) for each in arguments])


@pytest.mark.thorough
def test_a_size_is_met_and_reported(model, tmp_path):
    result = called("prune", model, "--bytes", "60kB", "--precision", "int8", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    graph = kp.trace(keras.models.load_model(model))
    size = len(changed_file_of(graph, kp.Plan.load(tmp_path / "out" / "plan.json"), "int8"))
    assert 0.98 * 60_000 <= size <= 60_000
    assert f"size: {size:,} bytes" in result.stdout
    recipe = kp.recipes.load(tmp_path / "out" / "recipe.yaml")
    assert recipe.prune.plan.target.arguments == {"bytes": 60_000, "precision": "int8"}


@pytest.mark.thorough
def test_the_limits_of_a_board_are_met_and_reported(tmp_path):
    path = tmp_path / "mine.keras"
    kp.models.resnet_cifar(8, classes=4, input_shape=(16, 16, 3), seed=0).save(path)
    options = ("--ram", "0.7", "--bytes", "150kB", "--precision", "float32", "--out", tmp_path / "out")
    result = called("prune", path, *options, "--examples", "none")
    assert result.exit_code == 0, result.output
    graph, plan = kp.trace(keras.models.load_model(path)), kp.Plan.load(tmp_path / "out" / "plan.json")
    memory = kp.targets.Memory(fraction=0.7, precision="float32")
    assert memory.report(graph, plan) in result.stdout and "size: " in result.stdout
    assert len(memory.file_of(graph, plan)) <= 150_000
    recipe = kp.recipes.load(tmp_path / "out" / "recipe.yaml")
    assert [each["name"] for each in recipe.prune.plan.target.arguments["targets"]] == ["memory", "size"]


@pytest.mark.thorough
def test_a_search_meets_a_size(model, tmp_path):
    np.savez(tmp_path / "mine.npz", x=np.random.default_rng(0).normal(size=(80, 8, 8, 3)))
    few = ("--delta", "0.05", "--population", 4, "--generations", 1, "--samples", 40)
    options = ("--data", tmp_path / "mine.npz", *few, "--bytes", "100kB", "--out", tmp_path / "out")
    result = called("search", model, *options)
    assert result.exit_code == 0, result.output
    assert "size: " in result.stdout
    graph = kp.trace(keras.models.load_model(model))
    size = len(file_of(graph, kp.Plan.load(tmp_path / "out" / "plan.json"), "float32"))
    assert 75_000 <= size <= 101_000
    result = called("search", model, *options, "--macs", 0.5)
    assert "Received: --macs 0.5 and --bytes 100kB" in " ".join(result.stderr.split())


@pytest.mark.thorough
def test_a_measured_table_is_planned_by(model, tmp_path):
    table = tmp_path / "device.csv"
    assert called("profile", model, "--out", table, "--quiet").exit_code == 0
    known = kp.latency.LatencyTable.load(table)
    assert called("profile", model, "--out", table).exit_code == 0
    assert kp.latency.LatencyTable.load(table) == known  # nothing is measured twice
    common = ("--table", table, "--round-to", "table", "--out")
    result = called("prune", model, "--time", "0.6", *common, tmp_path / "out")
    assert result.exit_code == 0, result.output
    line = json.loads((tmp_path / "out" / "target.json").read_text())["line"]
    assert line in result.stdout and line.startswith("time: ")
    result = called("prune", model, "--time", "9000ms", *common, tmp_path / "other")
    assert result.exit_code == 2 and "below the time of the dense model" in " ".join(result.stderr.split())


@pytest.mark.thorough
def test_both_models_are_timed_in_keras(model, tmp_path):
    options = ("--macs", 0.5, "--examples", "none", "--beside", "keras", "--batch", 4, "--out", tmp_path / "out")
    result = called("prune", model, *options)
    assert result.exit_code == 0, result.output
    timed = json.loads((tmp_path / "out" / "latency.json").read_text())
    assert timed["batch"] == 4 and len(timed["ratios"]) == 2 and f"×{timed['ratios'][1]:.3f}" in result.stdout
    assert "latency (give" not in result.stdout
    result = called("prune", model, *options, "--overwrite", "--json")
    assert json.loads(result.stdout)["beside"]["batch"] == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--macs", "0.5", "--beside", "gpu"), "Expected --beside to be"),
        (("--macs", "0.5", "--device", "keras"), "Expected --time with --device"),
        (("--time", "0.5", "--batch", 8), "Expected --data with --batch"),
        (("--time", "0.5", "--device", "keras", "--precision", "int8"), "Expected no precision with --device keras"),
        (("--time", "0.5", "--device", "keras", "--round-to", "table"), "Expected --time with --round-to: table"),
        (("--time", "12m"), "Expected --time to be a time, such as '12ms', '500us' or '0.5s'. Received: --time 12m"),
        (
            ("--bytes", "2kX"),
            "Expected --bytes to be a size, such as 200000, '200kB', '1.5MB' or '3.5KiB'. Received: --bytes 2kX",
        ),
        (("--time", "0.5", "--macs", "0.5"), "Received: --macs 0.5 and --time 0.5"),
        (("--macs", "0.5", "--table", "a.csv"), "Expected --time with --table"),
        (("--macs", "0.5", "--precision", "int8"), "Expected --time with --precision"),
        (("--bytes", "2kB", "--precision", "int3"), "Did you mean 'int8'"),
        (("--macs", "0.5", "--round-to", "table"), "Expected --time with --round-to"),
        (("--time", "0.5", "--table", "none.csv"), "none.csv"),
    ],
)
def test_faults_are_told_in_options(model, tmp_path, options, message):
    result = called("prune", model, *options, "--out", tmp_path / "out")
    assert result.exit_code == 2 and message in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
