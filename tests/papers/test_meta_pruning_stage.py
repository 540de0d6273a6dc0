"""The section `meta_pruning` of a recipe: the widths that win, fresh weights, and what goes on after a kill."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console
from support.interruption import Killed
from support.refusal import refusal

import kerasprune as kp
from kerasprune.files import read_rows
from kerasprune.recipes import loader, runner
from kerasprune.recipes.progress import Terminal
from kerasprune.recipes.registry import STAGES
from kerasprune.recipes.run_folder import RunFolder
from kerasprune.steps.judge import Judge

TEXT = """\
name: tiny
why: A test.
smoke: true
model: {name: lenet_5, classes: 4}
data: {name: digits, size: 16, batch: 4}
prune:
  meta_pruning:
    macs: 0.5
    delta: 0.05
    hidden: 2
    search: {population: 3, parents: 2, mutations: 1, crossovers: 1, generations: 2}
    training: {epochs: 3, optimizer: {name: sgd, learning_rate: 0.1}, l2: 0.001}
"""


class Judged:
    """Stands for the judge of candidates: each is worth less than the one before."""

    def __init__(self, killed_at: int | None = None) -> None:
        self.seen = 0
        self.killed_at = killed_at

    def __call__(self, logs) -> float:
        assert 0 <= logs["accuracy"] <= 1
        if self.seen + 1 == self.killed_at:
            raise Killed
        self.seen += 1
        return -float(self.seen)


@pytest.mark.thorough
def test_the_best_widths_are_the_plan_and_nothing_is_repeated(tmp_path, monkeypatch):
    for stage in ("finetune", "evaluate", "report"):
        monkeypatch.setattr(STAGES[stage].replace(":", "."), lambda one: None)
    monkeypatch.setattr(runner, "INTERMEDIATE", ())
    recipe, console = loader.parse(TEXT), Console(quiet=True)
    judged = Judged()
    monkeypatch.setattr(Judge, "worth", lambda judge, model: judged(judge.metrics(model)))
    folder = RunFolder(runner.run(recipe, tmp_path / "whole", console=console))
    assert_best_is_taken(folder, judged.seen)
    cut, steps = RunFolder(tmp_path / "cut"), []
    before = Terminal.on_train_batch_end

    def on_train_batch_end(terminal, batch, logs=None):
        before(terminal, batch, logs)
        steps.append(terminal.stage)
        if len(steps) == 3:  # in the second epoch of the PruningNet
            raise Killed

    monkeypatch.setattr(Terminal, "on_train_batch_end", on_train_batch_end)
    judged = Judged(killed_at=3)
    monkeypatch.setattr(Judge, "worth", lambda judge, model: judged(judge.metrics(model)))
    with pytest.raises(Killed):
        runner.run(recipe, cut.path, console=console)
    with pytest.raises(Killed):  # by the judge
        runner.resume(cut.path, console=console)
    assert steps == ["pruning net"] * (3 + 4)  # three epochs of two batches; the broken one is begun anew
    judged.killed_at = None
    runner.resume(cut.path, console=console)
    assert len(steps) == 7
    for name in ("candidates.csv", "plan.json"):
        assert cut.file(name).read_text() == folder.file(name).read_text()
    weights = [each.model("rebuilt.keras").get_weights() for each in (folder, cut)]
    assert all(map(np.array_equal, *weights))


def assert_best_is_taken(folder: RunFolder, judged: int) -> None:
    rows = read_rows(folder.file("candidates.csv"))
    dense, plan = folder.model("dense.keras"), kp.Plan.load(folder.file("plan.json"))
    assert len(rows) == judged and [float(row["score"]) for row in rows] == [-1.0 - n for n in range(judged)]
    groups = kp.trace(dense).prunable
    kept = {name: len(plan.keep.get(name, range(group.size))) / group.size for name, group in groups.items()}
    assert {name: float(rows[0][name]) for name in groups} == pytest.approx(kept, abs=1e-4)
    assert kp.cost(dense, plan).macs / kp.cost(dense).macs == pytest.approx(0.5, abs=0.05)
    slim = folder.model("rebuilt.keras")
    assert kp.cost(slim).macs == kp.cost(dense, plan).macs
    for before, after in zip(dense.layers, slim.layers, strict=True):
        if before.weights:  # other numbers than the dense model's
            assert np.isin(after.get_weights()[0], before.get_weights()[0]).mean() < 0.01


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["prune.callback=greg1"], "Expected no other key with meta_pruning, which decides alone. Received: callback"),
        (["prune.meta_pruning.training=null"], "prune.meta_pruning.training"),
        (["prune.meta_pruning.coupling=padded"], "one of tied, free"),
        (["prune.meta_pruning.search.mutation=2.0"], "a number ≤ 1"),
        (["data.validation=null"], "Expected data.validation, on which meta_pruning measures accuracy"),
        (["reconstruct={}"], "neither reconstruct nor distil with meta_pruning, whose slim model is untrained"),
    ],
)
def test_contradictions_are_said(settings, words):
    assert words in refusal(TEXT, *settings)


def test_only_the_architecture_matters():
    assert loader.parse(TEXT.replace("{name: lenet_5, classes: 4}", "{start: checkpoints/glyphs-base.keras}"))


def test_widths_out_of_reach_are_found_before_training(tmp_path):
    recipe = loader.parse(TEXT, ["prune.meta_pruning.macs=0.001", "prune.meta_pruning.delta=0.0001"])
    with pytest.raises(kp.PruneError, match="that the widths can reach"):
        runner.run(recipe, tmp_path / "out", console=Console(quiet=True))
    assert not (tmp_path / "out").exists()
