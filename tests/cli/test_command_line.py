"""The next command that a run ends with: typed as it stands, it does what was done before, and more."""

from __future__ import annotations

import json
import shlex

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune import cli
from kerasprune.files.reading import import_code
from kerasprune.recipes.grid import seeds_and_grid

RUNNER = CliRunner()


@pytest.fixture
def files(tmp_path):
    """A residual network in a folder with a blank in its name, and examples without labels."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((6,))
    x = layers.Dense(8, activation="relu", name="stem")(x)
    branch = layers.Dense(8, name="outer")(layers.Dense(12, activation="relu", name="inner")(x))
    x = layers.Dense(6, activation="relu", name="last")(layers.Add(name="sum")([x, branch]))
    model = keras.Model(inputs, layers.Dense(2)(x))
    outer = model.get_layer("outer")
    outer.set_weights([array * 1e-3 for array in outer.get_weights()])
    folder = tmp_path / "my models"
    folder.mkdir()
    model.save(folder / "mine.keras")
    np.save(folder / "mine.npy", np.random.default_rng(0).normal(size=(64, 6)).astype("float32"))
    return folder / "mine.keras", folder / "mine.npy"


def ran(arguments) -> str:
    result = RUNNER.invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.thorough
def test_the_next_command_keeps_every_option(files, tmp_path):
    model, data = files
    how = ("--criterion", "l2", "--budget", "sensitivity", "--macs", 0.6, "--round-to", 2, "--freeze", "last")
    command = ["prune", model, *how, "--data", data, "--no-reconstruct", "--seed", 3, "--out", tmp_path / "out"]
    assert ran([*command, "-q"]) == ""
    shown = ran([*command, "--resume"])
    line = next(each for each in shown.splitlines() if each.startswith("next: "))
    words = shlex.split(line.removeprefix("next: "))
    assert words[:3] == ["kerasprune", "prune", str(model)] and "--resume" not in words
    for name, value in (("--budget", "sensitivity"), ("--round-to", "2"), ("--freeze", "last"), ("--seed", "3")):
        assert words[words.index(name) + 1] == value
    assert "--no-reconstruct" in words and words[words.index("--finetune-epochs") + 1] == "10"
    ran([*words[1:], "--batch", 32])
    plans = [json.loads((tmp_path / name / "plan.json").read_text()) for name in ("out", "out-finetuned")]
    assert plans[0] == plans[1]


@pytest.mark.thorough
def test_blocks_that_are_dropped_are_said(files, tmp_path):
    model, data = files
    shown = ran(["prune", model, "--budget", "sensitivity", "--macs", 0.5, "--data", data, "--out", tmp_path / "out"])
    assert "dropped whole: sum" in shown and "blocks dropped whole" in shown
    assert json.loads((tmp_path / "out" / "widths.json").read_text())["inner"] == [12, 0]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["removed"] == ["sum"]


def test_without_data_they_are_asked_for(files, tmp_path):
    model, _ = files
    line = ran(["prune", model, "--keep", 0.5, "--out", tmp_path / "out"]).splitlines()[-1]
    assert shlex.split(line)[1:] == [
        *("kerasprune", "prune", str(model), "--out", str(tmp_path / "out-finetuned"), "--keep", "0.5"),
        *("--data", "DATA", "--finetune-epochs", "10"),
    ]


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("prune", ["--learning-rate", 0.1, "--distil"], "--finetune-epochs with --learning-rate, --distil"),
        ("prune", ["--scale", "0..1", "--batch", 4], "--data with --scale, --batch"),
        ("prune", ["--finetune-epochs", 2], "--data with --finetune-epochs"),
        ("prune", ["--calibrate", "inputs.npy"], "--export with --calibrate"),
        ("compare", ["--data", "digits", "--finetune-epochs", 0, "--distil"], "--finetune-epochs with --distil"),
        ("space", ["--macs", 0.5, "--begin", "recalibrated"], "--finetune-epochs with --begin"),
        ("space", ["--macs", 0.5, "--ranked-by", "removed"], "--data with --ranked-by"),
        ("space", ["--macs", 0.5, "--finetune-epochs", 2], "--data with --finetune-epochs"),
        ("export", ["--format", "tflite", "--scale", "0..1"], "--data with --scale"),
    ],
)
def test_options_that_would_do_nothing_are_refused(command, options, words, files, tmp_path):
    much = ["--keep", 0.5] if command == "prune" else []
    arguments = [command, files[0], *much, *options, "--out", tmp_path / "out"]
    result = RUNNER.invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 2 and words in result.stderr
    assert not (tmp_path / "out").exists()


def test_layers_that_cannot_be_followed_are_refused_or_their_channels_stay(tmp_path):
    inputs = keras.Input((6,))
    x = layers.Dense(12, activation="relu", name="free")(inputs)
    x = layers.Dense(8, activation="relu", name="between")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(10, activation="relu", name="small")(x)))
    model.get_layer("small").quantize("int8")
    model.save(tmp_path / "mine.keras")
    command = ["prune", str(tmp_path / "mine.keras"), "--keep", "0.5", "--out", str(tmp_path / "out")]
    refused = RUNNER.invoke(cli.app, command)
    words = " ".join(refused.output.split())
    assert (
        refused.exit_code == 2 and "'small' of class Dense quantized to int8" in words and "--unknown freeze" in words
    )
    ran([*command[:-1], tmp_path / "kept", "--unknown", "freeze"])
    slim = keras.models.load_model(tmp_path / "kept" / "slim.keras")
    assert slim.get_layer("free").units < 12 and slim.get_layer("between").units == 8
    wrong = RUNNER.invoke(cli.app, [*command, "--unknown", "keep"])
    assert wrong.exit_code == 2 and "--unknown" in wrong.output and "raise" in wrong.output


def test_what_is_switched_off_needs_nothing(files, tmp_path):
    off = ("--no-distil", "--no-reconstruct", "--finetune-epochs", 0)
    ran(["prune", files[0], "--keep", 0.5, *off, "--out", tmp_path / "out", "-q"])
    assert (tmp_path / "out" / "slim.keras").exists()
    space = ("--macs", 0.5, "--delta", 0.1, "--n", 2, "--finetune-epochs", 0)
    ran(["space", files[0], *space, "--out", tmp_path / "space", "-q"])
    assert (tmp_path / "space").exists()


def test_drawn_examples_need_not_reconstruct(files, tmp_path):
    ran(["prune", files[0], "--keep", 0.5, "--no-reconstruct", "--examples", 8, "--out", tmp_path / "out", "-q"])
    recipe = (tmp_path / "out" / "recipe.yaml").read_text()
    assert "name: synthetic" in recipe and "reconstruct:" not in recipe


def test_a_size_that_the_model_does_not_take_is_refused(files, tmp_path):
    arguments = ["prune", str(files[0]), "--keep", "0.5", "--size", "8", "--out", str(tmp_path / "out")]
    result = RUNNER.invoke(cli.app, arguments)
    assert result.exit_code == 2 and "leave --size out" in " ".join(result.stderr.lower().split())


def test_paths_of_options_and_recipes_may_begin_at_home(files, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    recipe = "name: t\nwhy: w\nmodel: {start: ~/my models/mine.keras}\nprune: {plan: {keep: 0.5}}\n"
    (tmp_path / "mine.yaml").write_text(recipe)
    ran(["run", "mine.yaml", "--out=~/out", "--set=train="])
    assert (tmp_path / "out" / "slim.keras").is_file() and not (tmp_path / "~").exists()
    plan = kp.Plan.load("~/out/plan.json")
    assert plan.save("~/again.json") == tmp_path / "again.json" and kp.Plan.load(tmp_path / "again.json") == plan


def test_an_unfinished_run_replaces_no_table(tmp_path):
    (tmp_path / "table.csv").write_text("mine")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.yaml").write_text("name: tiny")
    arguments = ["report", str(tmp_path), "--out", str(tmp_path / "table.csv"), "--overwrite"]
    result = RUNNER.invoke(cli.app, arguments)
    assert result.exit_code == 2 and "none of them finished" in result.stderr
    assert (tmp_path / "table.csv").read_text() == "mine"


OWN = """
import keras


@keras.saving.register_keras_serializable("home")
class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


def test_a_recipe_of_a_model_with_own_layers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twice_of_ours.py").write_text(OWN)
    module = import_code("twice_of_ours.py")
    inputs = keras.Input((4,))
    x = layers.Dense(6, name="hidden")(layers.Dense(4)(inputs))
    keras.Model(inputs, layers.Dense(2)(module.Twice()(layers.Dense(3)(x)))).save("mine.keras")
    plan = "prune: {plan: {keep: 0.5, unknown: freeze}}"
    (tmp_path / "mine.yaml").write_text(f"name: t\nwhy: w\nmodel: {{start: mine.keras}}\n{plan}\n")
    custom = keras.saving.get_custom_objects()
    del custom["home>Twice"]
    refused = RUNNER.invoke(cli.app, ["run", "mine.yaml", "--out", "out"])
    assert refused.exit_code == 2 and "--import FILE.py --trust" in " ".join(refused.stderr.split())
    custom["home>Twice"] = module.Twice  # a file that has not changed is not run again in one process
    for command in (["run", "mine.yaml", "--out", "out"], ["resume", "out"]):
        ran([*command, "--import", "twice_of_ours.py", "--trust"])
    done = seeds_and_grid("mine.yaml", seeds=1, folder="grid", trust=["twice_of_ours.py"], engine="serial", verbose=0)
    assert (done / "comparison.csv").is_file()
    del custom["home>Twice"], custom["Twice"]


def test_a_scale_or_a_size_that_is_none_is_refused(files, tmp_path):
    model, data = files
    command = ["export", model, "--format", "tflite-int8", "--calibrate", data, "--scale", "0...1", "--out", "a.tflite"]
    result = RUNNER.invoke(cli.app, [str(argument) for argument in command])
    assert result.exit_code == 2 and "Expected --scale to be one of" in result.stderr
    inputs = keras.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    keras.Model(inputs, layers.Dense(2)(pooled)).save(tmp_path / "free.keras")
    for size in (0, -3):
        result = RUNNER.invoke(cli.app, ["inspect", str(tmp_path / "free.keras"), "--size", str(size)])
        assert result.exit_code == 2 and f"Received: --size {size}." in result.stderr
