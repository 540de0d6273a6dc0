"""A run finds the files of its recipe from any folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

import kerasprune as kp
from kerasprune.recipes import loader, runner
from kerasprune.recipes.loader import locate_files

TEXT = """\
name: small
why: A test.
model: {start: dense.keras}
data: {name: own.py:pairs, data_dir: sets}
prune: {plan: {keep: 0.5}}
calibrate: images
export: [tflite]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "digits").mkdir()
    (tmp_path / "own.py").write_text("")
    kp.models.lenet_300_100(classes=3).save(tmp_path / "dense.keras")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_paths_become_absolute_and_names_stay(folder):
    found = locate_files(loader.parse(TEXT, trust=True))
    assert found.model.start == f"{folder}/dense.keras"
    assert (found.data.name, found.data.data_dir) == (f"{folder}/own.py:pairs", f"{folder}/sets")
    assert found.calibrate == f"{folder}/images"
    assert locate_files(found) == found
    (folder / "phone.csv").write_text("")
    timed = loader.parse(TEXT.replace("keep: 0.5", "target: {name: time, fraction: 0.5, table: phone.csv}"), trust=True)
    assert locate_files(timed).prune.plan.target.arguments == {"fraction": 0.5, "table": f"{folder}/phone.csv"}
    for name in ("digits", "module:function", "tfds:cifar10", "generated:10"):  # a folder of the same name is no data
        assert locate_files(loader.parse(TEXT, [f"data.name={name}"], trust=True)).data.name == name
    shipped = loader.load("glyphs-3d")
    assert locate_files(shipped) == shipped


def test_a_run_is_resumed_from_another_folder(folder, monkeypatch, tmp_path_factory):
    quiet, stages = Console(quiet=True), []
    monkeypatch.setattr(runner, "_finish", lambda one, name: stages.append(name))
    recipe = loader.parse(TEXT, ["data=null", "calibrate=null"])
    runner.run(recipe, "out", console=quiet)
    written = folder / "out" / "recipe.yaml"
    assert f"start: {folder}/dense.keras" in written.read_text()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    runner.resume(folder / "out", console=quiet)
    assert f"start: {folder}/dense.keras" in written.read_text()
    assert stages == 2 * stages[: len(stages) // 2] and "prune" in stages
