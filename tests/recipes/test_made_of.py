"""The folder of a run, a grid, a comparison, a search or an exploration belongs to one model, data and settings."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune import PruneError
from kerasprune.recipes import loader


@pytest.fixture
def files(tmp_path):
    _save(tmp_path / "mine.keras", 0)
    _data(tmp_path / "mine.npz", 0)
    start = {
        "model": {"start": str(tmp_path / "mine.keras")},
        "data": {"name": str(tmp_path / "mine.npz"), "batch": 40},
    }
    recipe = {"name": "tiny", "why": "A test.", **start, "loss": "sparse_categorical_crossentropy"}
    (tmp_path / "tiny.yaml").write_text(json.dumps({**recipe, "prune": {"plan": {"macs": 0.5}}}))
    return tmp_path


def _save(path, seed):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(8, "relu", name="first"), keras.layers.Dense(8, "relu", name="second")]
    keras.Sequential([keras.Input((6,)), *layers, keras.layers.Dense(2, "softmax")]).save(path)


def _data(path, seed):
    x = np.random.default_rng(seed).normal(size=(120, 6)).astype("float32")
    np.savez(path, x=x, y=(x[:, 0] > 0).astype("int32"))


def _compare(files, resume, macs=(0.5,), **more):
    data = {"name": str(files / "mine.npz"), "batch": 40}
    more = {"seeds": 1, "controls": (), "engine": "serial", "verbose": 0, "resume": resume, **more}
    kp.recipes.compare(files / "mine.keras", ["l1"], macs, data, folder=files / "out", **more)


def _grid(files, resume, seeds=1, **more):
    more = {"engine": "serial", "verbose": 0, "resume": resume, **more}
    kp.recipes.seeds_and_grid(files / "tiny.yaml", seeds=seeds, folder=files / "out", **more)


def _run(files, resume):
    kp.recipes.run(files / "tiny.yaml", files / "out", resume=resume)


def _explore(files, resume):
    from kerasprune.papers.pruning_spaces.explore import Draw, explore

    draw = Draw(macs=0.5, delta=0.1, n=2)
    explore(files / "mine.keras", draw, folder=files / "out", resume=resume)


def _search(files, resume):
    from typer.testing import CliRunner

    from kerasprune.cli.application import app

    few = ("--macs", 0.5, "--delta", 0.1, "--population", 4, "--generations", 1, "--samples", 40)
    at = ("search", files / "mine.keras", "--data", files / "mine.npz", *few, "--out", files / "out")
    result = CliRunner().invoke(app, [str(each) for each in (*at, *(["--resume"] if resume else []))])
    if result.exit_code:
        raise PruneError(result.output.replace("\n", ""))


def _contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path: path.read_bytes() for path in files if path.suffix != ".sqlite"}


@pytest.mark.matrix
@pytest.mark.parametrize("work", [_explore, _compare, _grid, _run, _search])
def test_a_folder_is_not_continued_with_another_model_or_other_data(files, work):
    model = (files / "mine.keras").read_bytes()
    work(files, False)
    made = _contents(files / "out")
    _save(files / "mine.keras", 5)
    with pytest.raises(PruneError, match=r"mine\.keras.*mine\.keras"):  # both are named
        work(files, True)
    assert _contents(files / "out") == made
    (files / "mine.keras").write_bytes(model)
    if work is not _explore:  # which has no data here
        _data(files / "mine.npz", 5)
        with pytest.raises(PruneError, match=r"mine\.npz.*mine\.npz"):
            work(files, True)
        _data(files / "mine.npz", 0)
    (files / "out" / "made_of.json").unlink()
    with pytest.raises(PruneError, match="made_of.json|made of"):
        work(files, True)


@pytest.mark.thorough
def test_more_seeds_and_values_continue_a_folder_and_other_settings_do_not(files):
    grid = {"prune.plan.macs": [0.5]}
    _grid(files, False, grid=grid)
    _grid(files, True, 2, grid={"prune.plan.macs": [0.5, 0.75]})
    made = _contents(files / "out")
    with pytest.raises(PruneError, match="prune"):
        _grid(files, True, 2, grid=grid, settings=["prune.plan.criterion=l2"])
    assert _contents(files / "out") == made


def test_what_a_run_is_made_of_does_not_depend_on_where_its_files_lie(files, monkeypatch):
    recipe = loader.load(files / "tiny.yaml")
    monkeypatch.chdir(files)
    here = loader.load("tiny.yaml", ["model.start=mine.keras", "data.name=mine.npz"])
    assert loader.made_of(here) == loader.made_of(recipe) and str(files) not in json.dumps(loader.made_of(recipe))
    assert "macs" not in loader.made_of(recipe, ["prune.plan.macs", "no.such.key"])["prune"]["plan"]
