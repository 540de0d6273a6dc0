"""Seeds and grids: a folder for each run, nothing run twice, a table over the seeds."""

from __future__ import annotations

import csv
import json
import os
import warnings

import keras
import pytest
from typer.testing import CliRunner

from kerasprune import PruneError, cli, recipes
from kerasprune.recipes import grid, loader, runner
from kerasprune.recipes.grid import grid_of
from kerasprune.recipes.run_warnings import Warnings


@pytest.fixture
def recipe(tmp_path):
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(8, name="hidden")(inputs)
    keras.Model(inputs, keras.layers.Dense(2, name="logits")(hidden)).save(tmp_path / "mine.keras")
    start = {"model": {"start": str(tmp_path / "mine.keras")}, "prune": {"plan": {"macs": 0.5}}}
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps({"name": "tiny", "why": "A test.", **start}))
    return path


def invoke(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def test_runs_of_a_grid(recipe, tmp_path, monkeypatch):
    def run(resume=False, seeds=2, **options):
        values = {"prune.plan.macs": [0.5, 0.25]}
        here = {"folder": tmp_path / "out", "engine": "serial", "verbose": 0}
        return recipes.seeds_and_grid(recipe, seeds=seeds, grid=values, resume=resume, **here, **options)

    calls = []

    def finished(recipe, out, *, resume, smoke, console):
        calls.append(out.name)
        console.print("trained")
        os.write(2, b"as TensorFlow does\n")
        assert resume == out.exists()
        out.mkdir(exist_ok=True)
        (out / "recipe.yaml").write_text(loader.dump(recipe))
        if out.name == names[2]:
            with Warnings(out, "recipe.yaml").collected():
                warnings.warn("the budget was missed", stacklevel=2)
        if len(calls) == 3:
            raise OSError("the disk is full")
        found = {
            "accuracy": recipe.prune.plan.macs + recipe.seed / 10,
            "macs": 100 * recipe.prune.plan.macs,
            "params": 3,
        }
        (out / "summary.json").write_text(json.dumps({"dense": {**found, "macs": 100}, "slim": found}))

    monkeypatch.setattr(runner, "run", finished)
    names = [f"prune.plan.macs={macs},seed={seed}" for macs in (0.5, 0.25) for seed in (0, 1, 2)]
    with pytest.warns(UserWarning, match="1 of 4 candidates failed, the first with: OSError: the disk is full"):
        out = run()
    assert calls == [names[0], names[1], names[3], names[4]]
    with (out / "comparison.csv").open() as file:
        assert [row["runs"] for row in csv.DictReader(file)] == ["1", "2"]
    shown = invoke("report", out)
    assert f"not finished: {out / names[3]}" in shown.stderr.replace("\n", "")
    assert (out / f"{names[0]}.txt").read_text() == "trained\nas TensorFlow does\n"
    with pytest.raises(PruneError, match="resume=True"):
        run()
    with pytest.warns(UserWarning, match=f"1 of 6 runs warned: see {out / names[2] / 'warnings.txt'}"):
        run(resume=True, seeds=3)
    assert (out / names[2] / "warnings.txt").read_text() == "warning: the budget was missed\n"
    assert calls[4:] == [names[2], names[3], names[5]]
    shown = invoke("report", out, "--out", tmp_path / "table.csv")
    assert shown.exit_code == 0, shown.output
    assert "60.00 ± 10.00 %" in shown.stdout
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in rows] == pytest.approx([0.35, 0.6])  # folders in alphabetical order
    assert [row["prune.plan.macs"] for row in rows] == ["0.25", "0.5"]
    with pytest.warns(UserWarning, match="1 of 6 runs warned"):
        run(resume=True, seeds=3)
    assert len(calls) == 7


def test_values_of_a_grid():
    assert grid_of(["a.b=.5,.3", "c={name: l1},{name: l2}", "d=[1, 2],[3]", "e=x, y"]) == {
        "a.b": [0.5, 0.3],
        "c": [{"name": "l1"}, {"name": "l2"}],
        "d": [[1, 2], [3]],
        "e": ["x", "y"],
    }
    for bad in (["macs"], ["macs="], ["=1"], ["a=1", "a=2"], ["a=[1"]):
        with pytest.raises(PruneError, match="--grid"):
            grid_of(bad)


def test_all_runs_are_checked_before_the_first(recipe, tmp_path):
    with pytest.raises(PruneError) as raised:
        recipes.seeds_and_grid(recipe, grid={"prune.plan.macs": [0.5, 1.5, 2]}, folder=tmp_path / "out")
    assert "prune.plan.macs=1.5: " in str(raised.value) and "prune.plan.macs=2: " in str(raised.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(PruneError, match="seeds=0"):
        recipes.seeds_and_grid(recipe, seeds=0, folder=tmp_path / "out")
    with pytest.raises(PruneError, match="seeds=NUMBER"):
        recipes.seeds_and_grid(recipe, grid={"seed": [1, 2]}, folder=tmp_path / "out")
    with pytest.raises(PruneError, match="holds files"):
        recipes.seeds_and_grid(recipe, seeds=2, folder=tmp_path)


def test_folder_names_are_legal_and_differ(recipe):
    values = {"prune.plan.criterion": [{"name": "l1"}, {"name": "l2"}], "prune.plan.freeze": [["hidden", "a b/c"]]}
    names = list(grid._cells(recipe, 2, values, (), False))
    assert len(set(names)) == 4
    assert all(
        name.replace(".", "").replace("=", "").replace(",", "").replace("_", "").replace("-", "").isalnum()
        for name in names
    )


@pytest.mark.thorough
def test_grid_by_command(recipe, tmp_path):
    refused = invoke("run", recipe, "--seeds", 2, "--grid", "prune.plan.macs=a,b", "--out", tmp_path / "out")
    assert refused.exit_code == 2 and "prune.plan.macs" in refused.stderr
    refused = invoke("run", recipe, "--workers", 2)
    assert refused.exit_code == 2 and "--seeds or --grid" in refused.stderr
    shown = invoke("run", recipe, "--grid", "prune.plan.macs=.5", "--out", tmp_path / "out", "-v")
    assert shown.exit_code == 0, shown.output
    assert "rebuild: " in shown.stderr  # what the run has printed in its process
    assert "50.0 %" in shown.stdout  # of the multiply–adds
    assert (tmp_path / "out" / "prune.plan.macs=0.5,seed=0" / "report.html").exists()
