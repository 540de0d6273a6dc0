"""Runs that are killed within a stage: what they leave in the end is, bit by bit, what an undisturbed run leaves."""

from __future__ import annotations

import io
import json
import random

import numpy as np
import pytest
from rich.console import Console
from support.interruption import Killed

import kerasprune as kp
from kerasprune import PruneError
from kerasprune.files import temporary_files as strays
from kerasprune.recipes import loader, progress, runner
from kerasprune.recipes.registry import STAGES
from kerasprune.recipes.run_folder import RunFolder
from kerasprune.recipes.stages.context import Run

TEXT = """\
name: tiny
why: A test.
smoke: true
model: {name: lenet_5, classes: 4}
data: {name: digits, size: 16, batch: 4, augment: crop}
train: {epochs: 2, optimizer: {name: sgd, learning_rate: {name: cosine, start: 0.1}}, l2: 5e-4}
prune:
  plan: {keep: 0.5}
  callback: {name: greg1, schedule: {step: 0.5, every: 1, ceiling: 1.0, settle: 1}}
  optimizer: {name: sgd, learning_rate: 0.1}
  epochs: 2
reconstruct: {samples: 8, positions: 100}
finetune: {epochs: 2, optimizer: {name: sgd, learning_rate: 0.01}, distil: {}}
expected: {macs: 0.5}
"""
METHODS = (
    "digits-greg1",
    "digits-lottery",
    "glyphs-gradual",
    "glyphs-greg2",
    "glyphs-lottery-rewind",
    "glyphs-polarization",
    "glyphs-qat",
    "glyphs-slimming",
    "glyphs-3d",
    "glyphs-metapruning",
    "glyphs-space",
    "rewinding-resnet20-cifar10",
    "glyphs-retraining",
)


class Kill:
    """Kills a run after so many batches of training; counts them."""

    def __init__(self, monkeypatch) -> None:
        self.batches, self.at = 0, None
        before = progress.Terminal.on_train_batch_end

        def on_train_batch_end(terminal, batch, logs=None):
            before(terminal, batch, logs)
            self.batches += 1
            if self.batches == self.at:
                raise Killed

        monkeypatch.setattr(progress.Terminal, "on_train_batch_end", on_train_batch_end)

    def after(self, batches) -> None:
        self.batches, self.at = 0, batches


def assert_same(one: RunFolder, two: RunFolder) -> None:
    """Asserts the same files, and in them the same but for the time they took."""
    paths = [sorted(str(path.relative_to(each.path)) for path in each.path.rglob("*")) for each in (one, two)]
    assert paths[0] == paths[1]
    for name in (name for name in paths[0] if name.endswith(".keras")):
        weights = [each.model(name).get_weights() for each in (one, two)]
        assert all(map(np.array_equal, *weights)), name
    for name in (name for name in paths[0] if name.endswith(".npz")):
        arrays = [each.arrays(name) for each in (one, two)]
        assert arrays[0].keys() == arrays[1].keys()
        assert all(np.array_equal(arrays[0][key], arrays[1][key], equal_nan=True) for key in arrays[0]), name
    for name in {"plan.json", "widths.json", "points.json", "costs.json"} & set(paths[0]):
        assert one.json(name) == two.json(name), name
    rows = [[{**row, "seconds": ""} for row in each.metrics()] for each in (one, two)]
    assert rows[0] == rows[1]


@pytest.mark.thorough
def test_a_run_killed_in_every_stage_ends_as_one_left_alone(tmp_path, monkeypatch):
    recipe, kill, out = loader.parse(TEXT), Kill(monkeypatch), io.StringIO()
    console = Console(file=out, width=200)
    for stage in ("evaluate", "report"):  # which train nothing
        monkeypatch.setattr(STAGES[stage].replace(":", "."), lambda one: None)
    monkeypatch.setattr(runner, "rehearse", lambda one: None)
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    runner.run(recipe, whole.path, console=Console(quiet=True))
    for batches in (3, 5, 5):  # in the second epoch of train, of prune, of finetune
        kill.after(batches)
        with pytest.raises(Killed):
            if cut.path.exists():
                runner.resume(cut.path, console=console)
            else:
                runner.run(recipe, cut.path, console=console)
    (cut.path / strays.temporary_name(cut.file("x.keras")).name).write_text("half")  # what a killed save leaves
    stray = next(cut.path.glob(".x*"))
    stray.rename(stray.with_name(".x.kerasprune-" + strays._HOST + "-4000000000.keras"))
    kill.after(None)
    runner.resume(cut.path, console=console)
    said = out.getvalue()
    for stage in ("train", "prune", "finetune"):
        assert f"{stage}: resumes with epoch 2 of 2; what was trained of that epoch is repeated" in said
    assert "nothing to resume" not in said
    assert_same(whole, cut)
    dense = cut.file("dense.keras").stat().st_mtime_ns
    runner.resume(cut.path, console=console)
    assert "nothing to resume" in out.getvalue() and "every stage is finished" in out.getvalue()
    assert cut.file("dense.keras").stat().st_mtime_ns == dense


NETWORK = "model={name: resnet_cifar, depth: 8, classes: 4}"  # with BatchNorm, whose steps are counted, too


@pytest.mark.thorough
def test_ranges_of_a_killed_run_reach_the_file(tmp_path, monkeypatch):
    settings = ["finetune.quantization_aware.delay=1", "finetune.deliver=last", "export=[tflite-int8]", NETWORK]
    recipe, kill, files = (
        loader.parse(TEXT, [*settings, "prune={plan: {keep: 0.5}}"]),
        Kill(monkeypatch),
        [],
    )
    for stage in ("evaluate", "export", "report"):
        monkeypatch.setattr(STAGES[stage].replace(":", "."), lambda one: None)
    monkeypatch.setattr(runner, "rehearse", lambda one: None)
    folders = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    runner.run(recipe, folders[0].path, console=Console(quiet=True))
    kill.after(4 + 3)  # in the second epoch of finetune
    with pytest.raises(Killed):
        runner.run(recipe, folders[1].path, console=Console(quiet=True))
    kill.after(None)
    runner.resume(folders[1].path, console=Console(quiet=True))
    assert_same(*folders)
    for folder in folders:
        one = Run(recipe, folder, Console(quiet=True))
        aware, path = one.for_format("slim", "tflite-int8"), folder.path / "a.tflite"
        assert {float(v.value) for v in aware.ranges if v.path.endswith("seen")} == {4.0}
        assert type(aware) is not type(one.for_format("slim", "tflite"))
        assert one.for_format("dense", "tflite-int8") is one.model("dense")
        kp.export.tflite(aware, path, quantize="int8")
        files.append(path.read_bytes())
    assert files[0] == files[1]


def test_where_there_is_nothing_to_resume(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "nothing", tmp_path, tmp_path / "file", "a\0b", "x" * 5000, None):
        with pytest.raises(PruneError, match="nothing to resume|Expected a path"):
            runner.resume(path)
    monkeypatch.setattr(runner, "rehearse", lambda one: None)
    monkeypatch.setattr(runner, "_finish", lambda one, name: None)
    out = io.StringIO()
    runner.run(loader.parse(TEXT), tmp_path / "new", resume=True, console=Console(file=out, width=400))
    assert "round_to=" not in out.getvalue()
    assert f"nothing to resume in {tmp_path / 'new'}: the run begins" in out.getvalue()
    (tmp_path / "new" / ".run.lock-owner").write_text("a process that was killed")
    runner.run(loader.parse(TEXT), tmp_path / "new", resume=True, console=Console(file=out, width=400))
    assert "round_to=" in out.getvalue()


def test_strict_fails_where_an_expected_figure_is_missed(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "rehearse", lambda one: None)
    found = {"dense": {"macs": 100, "accuracy": 0.9}, "slim": {"macs": 60, "accuracy": 0.91}}
    summary = {"write": lambda one, name: one.folder.write_json("summary.json", found)}
    monkeypatch.setattr(runner, "_finish", lambda one, name: summary["write"](one, name))
    expected = "expected={macs: 0.5, accuracy: 0.9, sparsity: 0.2}"
    recipe = loader.parse(TEXT, ["smoke=false", expected])
    with pytest.raises(PruneError, match="Expected a full run with strict"):
        runner.run(loader.parse(TEXT), tmp_path / "smoke", strict=True, console=Console(quiet=True))
    with pytest.raises(PruneError) as caught:
        runner.run(recipe, tmp_path / "a", strict=True, console=Console(quiet=True))
    title, *lines = str(caught.value).split("\n  - ")
    assert "misses what is expected" in title and "report.html" in title
    assert lines == ["macs: expected 0.5. Received: 0.6", "sparsity: expected 0.2. Received: nothing measured"]
    found["slim"] |= {"macs": 50, "sparsity": 0.2}
    runner.run(recipe, tmp_path / "b", strict=True, console=Console(quiet=True))
    assert json.loads((tmp_path / "b" / "summary.json").read_text()) == found


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_killed_at_a_random_batch(name, tmp_path, monkeypatch):
    recipe, kill = runner.smoke_form(loader.load(name)), Kill(monkeypatch)
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    runner.run(recipe, whole.path, console=Console(quiet=True))
    kill.after(random.Random(name).randint(1, kill.batches))
    with pytest.raises(Killed):
        runner.run(recipe, cut.path, console=Console(quiet=True))
    kill.after(None)
    runner.resume(cut.path, console=Console(quiet=True))
    assert_same(whole, cut)
