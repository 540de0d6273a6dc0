"""The section `space` of a recipe: what is drawn, who wins, what is written, and what goes on after a kill."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from rich.console import Console
from support.interruption import Killed
from support.refusal import refusal

import kerasprune as kp
from kerasprune.files import read_rows
from kerasprune.papers.pruning_spaces import stage as space
from kerasprune.recipes import loader, runner
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.listing import describe_recipe
from kerasprune.recipes.registry import STAGES
from kerasprune.recipes.run_folder import RunFolder
from kerasprune.recipes.starter import schema_json

TEXT = """\
name: tiny
why: A test.
smoke: true
model: {name: lenet_5, classes: 4}
data: {name: digits, size: 16, batch: 4}
train: {epochs: 1, optimizer: {name: sgd, learning_rate: 0.1}}
prune:
  space:
    macs: 0.5
    delta: 0.05
    n: 4
    judge: removed
    rounds: [{best: 2, epochs: 2, optimizer: {name: sgd, learning_rate: 0.01}}]
"""


class Judged:
    """Stands for the accuracy of a slim model: first the more parameters the better, then the fewer."""

    def __init__(self, killed_at: int | None = None) -> None:
        self.seen: list[int] = []
        self.killed_at = killed_at

    def __call__(self, slim) -> float:
        if len(self.seen) + 1 == self.killed_at:
            raise Killed
        self.seen.append(slim.count_params())
        return slim.count_params() * (1 if len(self.seen) <= 4 else -1) / 1e6


@pytest.mark.thorough
def test_the_best_of_the_last_round_is_the_plan_and_nothing_is_judged_twice(tmp_path, monkeypatch):
    for stage in ("rebuild", "finetune", "evaluate", "report"):
        monkeypatch.setattr(STAGES[stage].replace(":", "."), lambda one: None)
    recipe, console = loader.parse(TEXT), Console(quiet=True)
    judged = Judged()
    monkeypatch.setattr(Experiment, "worth", judged)
    folder = RunFolder(runner.run(recipe, tmp_path / "whole", console=console))
    assert len(judged.seen) == 6  # all as they are removed, two of them trained
    assert_best_is_taken(folder)
    cut = RunFolder(tmp_path / "cut")
    judged = Judged(killed_at=2)
    monkeypatch.setattr(Experiment, "worth", judged)
    with pytest.raises(Killed):
        runner.run(recipe, cut.path, console=console)
    judged.killed_at = 6
    with pytest.raises(Killed):
        runner.resume(cut.path, console=console)
    judged.killed_at = None
    with pytest.warns(UserWarning, match="finished, after 2 epochs"):  # the training that was not judged yet
        runner.resume(cut.path, console=console)
    assert len(judged.seen) == 6
    for name in ("space.csv", "plan.json"):
        assert cut.file(name).read_text() == folder.file(name).read_text()


def assert_best_is_taken(folder: RunFolder) -> None:
    rows = read_rows(folder.file("space.csv"))
    dense, plan = folder.model("dense.keras"), kp.Plan.load(folder.file("plan.json"))
    first, second, *others = rows
    most = sorted((float(row["removed"]) for row in rows), reverse=True)[:2]
    assert {float(row["removed"]) for row in (first, second)} == set(most)
    assert float(first["round 1"]) > float(second["round 1"])
    assert [row["round 1"] for row in others] == ["", ""]
    params = kp.rebuild(dense, plan).count_params() / 1e6
    assert params == pytest.approx(most[1]) and params == pytest.approx(-float(first["round 1"]))
    whole, kept = kp.cost(dense), kp.cost(dense, plan)
    assert float(first["macs"]) == pytest.approx(kept.macs / whole.macs)
    assert float(first["params"]) == pytest.approx(kept.params / whole.params)
    assert all(abs(float(row["macs"]) - 0.5) <= 0.05 + 1e-9 for row in rows)
    built = [
        len(plan.keep.get(name, range(group.size))) / group.size for name, group in kp.trace(dense).prunable.items()
    ]
    assert float(first["std"]) == pytest.approx(np.std(built))
    trained = {row["stage"] for row in folder.metrics()} - {"train"}
    assert trained == {f"round 1, recipe {row['recipe']}" for row in (first, second)}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["prune.space.macs=null"], "Expected macs, params or both"),
        (["prune.plan.keep=0.5"], "Expected no other key with space, which decides alone. Received: plan"),
        (["prune.precrop.macs=0.5"], "Expected no other key with"),
        (["prune.space.rounds.0.best=5"], "fewer and fewer candidates. Received: [5] of n=4"),
        (["prune.space.mcb=[1.1]"], "Expected mcb: [least, most]"),
        (["prune.space.mcb=[1.1, 0.9]"], "Expected mcb: [least, most]"),
        (["prune.space.judge=retrained"], "one of removed, recalibrated, reconstructed"),
        (["prune.space.rounds.0.callbacks=[greg1]"], "unknown key"),
        (["data.validation=null"], "Expected data.validation, on which space measures accuracy"),
        (["train=null"], "Expected a train stage"),
        (["reconstruct={}"], "Expected reconstruct if prune.space.judge is reconstructed"),
        (["prune.space.judge=reconstructed"], "trained from the weights that it was judged with"),
    ],
)
def test_contradictions_are_said(settings, words):
    assert words in refusal(TEXT, *settings)


def test_a_round_takes_all_of_the_round_before_or_the_best():
    one = "epochs: 1, optimizer: {name: adam, learning_rate: 0.1}"
    assert loader.parse(TEXT, [f"prune.space.rounds=[{{best: 3, {one}}}, {{{one}}}]"]).prune.space.trained == [3, 3]
    assert loader.parse(TEXT, ["prune.space.rounds=[]", "reconstruct={}"]).prune.space.trained == []


def test_what_would_fail_after_training_fails_before(tmp_path):
    for number, (settings, words) in enumerate(
        (
            (["prune.space.macs=1e-5", "prune.space.delta=1e-5"], "The space is empty"),
            (["prune.space.criterion=taylor_fo"], "Expected data for TaylorFO"),
            (["prune.space.judge=recalibrated"], "judge: reconstructed"),
        )
    ):
        with pytest.raises(kp.PruneError, match=words):
            runner.run(loader.parse(TEXT, settings), tmp_path / str(number), console=Console(quiet=True))
        assert not (tmp_path / str(number)).exists()


def test_the_sections_stand_in_the_schema_and_in_lists():
    parts = json.loads(schema_json())["$defs"]
    assert {"space", "meta_pruning"} <= parts["Prune"]["properties"].keys()
    assert parts["SpaceSection"]["properties"]["judge"]["enum"] == ["removed", "recalibrated", "reconstructed"]
    assert parts["SpaceSection"]["properties"]["criterion"] == {"$ref": "#/$defs/criterion_by_name"}
    assert describe_recipe("glyphs-space").cost == "Epochs: 2 for each of 8 recipes, 8 finetune"
    imagenet = "Epochs: 100 train, 5 for each of 300 recipes, 100 for each of 5 recipes, 100 finetune"
    assert describe_recipe("space-resnet50-imagenet-2g").cost == imagenet
    assert describe_recipe("glyphs-metapruning").cost == "Epochs: 30 of a PruningNet, 14 finetune"


def test_batchnorm_inside_a_nested_model_can_be_recalibrated():
    images = keras.Input((8, 8, 3))
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()])
    x = keras.layers.GlobalAveragePooling2D()(inner(images))
    model = keras.Model(images, keras.layers.Dense(4)(keras.layers.Dense(8, "relu")(x)))
    recipe = loader.parse(TEXT, ["prune.space.judge=recalibrated", "prune.space.delta=0.3"])
    space.rehearse(Experiment(recipe), model, recipe.prune.space)
