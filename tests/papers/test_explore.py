"""Pruning spaces explored: candidates are what is made by hand, the best are trained, a run goes on."""

from __future__ import annotations

import csv

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune import PruneError, cli
from kerasprune.papers.pruning_spaces.explore import Draw, _results, explore

FINETUNE = {"epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 0.05}}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A trained net of two classes, and its examples."""
    folder = tmp_path_factory.mktemp("explore")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = layers.BatchNormalization()(layers.Dense(16, name="first")(inputs))
    x = layers.Dense(16, activation="relu", name="second")(layers.ReLU()(x))
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
    numbers = np.random.default_rng(0)
    x = numbers.normal(size=(280, 6)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype("int32")
    parts = {"train": slice(0, 160), "val": slice(160, 240), "test": slice(240, 280)}
    np.savez(folder / "mine.npz", **{f"{n}_{k}": v[p] for k, p in parts.items() for n, v in (("x", x), ("y", y))})
    np.savez(folder / "inputs.npz", x=x)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(x[:160], y[:160], epochs=20, verbose=0)
    model.save(folder / "mine.keras")
    return folder


def run(files, out, **more):
    drawn = {"macs": 0.4, "delta": 0.05, "std": [0.2, 0.1], "n": 2}
    draw = Draw(**{name: more.pop(name, value) for name, value in drawn.items()}, plan=more.pop("plan", {}))
    same = {"data": {"name": str(files / "mine.npz"), "batch": 40}, "ranked_by": ["removed"]}
    same |= {"engine": "serial", "verbose": 0, "folder": files / out}
    return explore(files / "mine.keras", draw, **{**same, **more})


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(files):
    return run(files, "out", best=1, finetune=FINETUNE, shown=1)


@pytest.mark.thorough
def test_candidates_are_what_is_made_by_hand(files, folder):
    found = rows(folder / "members.csv")
    assert len(found) == 4
    model = keras.models.load_model(files / "mine.keras")
    with np.load(files / "mine.npz") as arrays:
        parts = {name: arrays[name] for name in arrays.files}
    dense = np.mean(model.predict(parts["x_val"], verbose=0).argmax(1) == parts["y_val"])
    for row in found:
        keep = next(
            r for r in rows(folder / "recipes.csv") if (r["space"], r["number"]) == (row["space"], row["number"])
        )
        allocations = kp.papers.spaces.Allocations(
            kp.trace(model), [[float(keep[name]) for name in kp.trace(model).prunable]]
        )
        slim = kp.rebuild(model, allocations.plan(0))
        right = np.mean(slim.predict(parts["x_val"], verbose=0).argmax(1) == parts["y_val"])
        assert float(row["removed"]) == pytest.approx(right)
        assert float(row["macs"]) == pytest.approx(kp.cost(slim).macs / kp.cost(model).macs)
        assert float(row["std"]) <= {"STD-0.2": 0.2, "STD-0.1": 0.1}[row["space"]]
        if row["validation"]:
            assert float(row["drop"]) == pytest.approx(dense - float(row["validation"]), abs=1e-6)


@pytest.mark.thorough
def test_those_that_rank_highest_are_trained_and_their_plans_written(folder):
    found = rows(folder / "members.csv")
    for space in ("STD-0.2", "STD-0.1"):
        here = [row for row in found if row["space"] == space]
        trained = [float(row["removed"]) for row in here if row["validation"]]
        assert len(trained) == 1
        assert min(trained) >= max(float(row["removed"]) for row in here if not row["validation"])
    validation = [float(row["validation"]) for row in found[:2]]
    assert validation == sorted(validation, reverse=True)
    plans = {path.name for path in (folder / "plans").iterdir()}
    assert plans == {f"{row['space']}-{int(row['number']):03d}.json" for row in found[:1]}
    for name in ("distributions", "winning", "budgets"):
        assert (folder / f"{name}.svg").read_text().count("<svg") == 1


@pytest.mark.thorough
def test_a_run_goes_on_without_evaluating_anything_twice(files, folder, monkeypatch):
    before = rows(folder / "members.csv")
    monkeypatch.setattr("kerasprune.papers.pruning_spaces.candidate.begun", None)
    run(files, "out", best=1, finetune=FINETUNE, shown=1, resume=True)
    assert rows(folder / "members.csv") == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"ranked_by": ["guessed"], "best": 0, "start": "anew"}, r"(?s)best=0.*way='guessed'.*way='anew'"),
        ({"ranked_by": []}, r"Expected ranked_by, finetune or both with data.*Received: data=.*Leave data out"),
        ({"ranked_by": [], "best": 1, "finetune": FINETUNE}, "Expected ranked_by with best"),
        ({"data": None}, r"Expected data to judge and to train .*data=None with ranked_by. Pass data"),
        ({"macs": 1e-4, "delta": 1e-5}, "of the macs can be kept"),
        ({"plan": {"criterion": "l3"}}, "l3"),
    ],
)
def test_what_cannot_be_explored_is_refused(files, more, words):
    with pytest.raises(PruneError, match=words):
        run(files, "wrong", **more)
    assert not (files / "wrong").exists()


def test_data_without_labels_are_refused(files):
    with pytest.raises(PruneError, match="Expected labels"):
        run(files, "wrong", data={"name": str(files / "inputs.npz"), "batch": 40})


def test_labels_that_the_loss_does_not_take_are_the_models_fault_not_each_candidates(files):
    np.savez(files / "from_one.npz", x=np.ones((80, 6), "float32"), y=1 + np.arange(80) % 2)
    data = {"name": str(files / "from_one.npz"), "batch": 40}
    with pytest.warns(UserWarning, match="1 of 1"), pytest.raises(PruneError, match="model itself cannot be judged"):
        run(files, "from_one", data=data)


def test_the_command_draws_plans(files):
    command = ["space", str(files / "mine.keras"), "--out", str(files / "drawn"), "--params", "0.5", "--delta", "0.02"]
    result = CliRunner().invoke(cli.app, [*command, "--mcb", "0.8,1.2", "--n", "4"])
    assert result.exit_code == 0, result.output
    assert "4 candidates" in result.output
    model = keras.models.load_model(files / "mine.keras")
    dense = kp.cost(model)
    paths = sorted((files / "drawn" / "plans").iterdir())
    assert len(paths) == 4
    for path in paths:
        assert abs(kp.cost(model, kp.Plan.load(path)).params / dense.params - 0.5) <= 0.02
    for wrong, words in ((["--std", "a"], "--std a"), ([], "Expected --macs or --params")):
        given = command[:4] if not wrong else command
        result = CliRunner().invoke(cli.app, [*given, *wrong])
        assert result.exit_code == 2
        assert words in result.output


def test_a_candidate_that_diverged_comes_after_all_that_did_not():
    rows = [{"space": "all", "number": number, "keep": [0.5]} for number in range(4)]
    results = [{"removed": 2.0}, {"removed": float("nan")}, {"error": "killed"}, {"removed": 1.0}]
    found = _results(lambda *_: results, {"measure": "loss", "validation": 0.5}, 0, rows, ("removed",), None, None)
    assert [row["number"] for row in found] == [3, 0, 1, 2]
