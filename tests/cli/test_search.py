"""`kerasprune search`: what it writes, that it carries on, and what it says."""

from __future__ import annotations

import csv
import json

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune import cli

RUNNER = CliRunner()


def invoke(*arguments):
    return RUNNER.invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    keras.utils.set_random_seed(0)
    dense = [layers.Dense(8, activation="relu", name=name) for name in ("first", "second")]
    keras.Sequential([keras.Input((5,)), *dense, layers.Dense(3)]).save(folder / "mine.keras")
    np.savez(folder / "mine.npz", x=np.random.default_rng(0).normal(size=(80, 5)))
    return folder


@pytest.mark.thorough
def test_a_search_writes_plan_candidates_and_model_and_carries_on(files):
    few = ("--macs", 0.5, "--delta", 0.1, "--population", 4, "--generations", 2, "--samples", 40)
    start = ("search", files / "mine.keras", "--data", files / "mine.npz", *few, "--out", files / "out")
    result = invoke(*start)
    assert result.exit_code == 0, result.output
    assert "nearly uniform widths" in result.stdout and "slim.keras" in result.stdout
    model, slim = (keras.models.load_model(files / name) for name in ("mine.keras", "out/slim.keras"))
    plan = kp.Plan.load(files / "out" / "plan.json")
    assert kp.cost(model, plan).macs == kp.cost(slim).macs
    assert abs(kp.cost(slim).macs / kp.cost(model).macs - 0.5) <= 0.1
    with (files / "out" / "candidates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"first", "second", "score"} <= rows[0].keys()
    assert "is not empty" in invoke(*start).stderr or "empty folder" in invoke(*start).stderr
    again = invoke(*start, "--resume", "--json")
    assert again.exit_code == 0, again.output
    found = json.loads(again.stdout)
    assert found["candidates"] == len(rows) and found["score"] == max(float(row["score"]) for row in rows)


def test_what_is_missing_is_said_in_options(files):
    start = ("search", files / "mine.keras", "--out", files / "other")
    for arguments, message in (
        ((), "--data"),
        (("--data", files / "mine.npz", "--macs", 50), "Did you mean 0.5?"),
        (("--data", files / "mine.npz", "--judge", "accuracy"), "--judge"),
        (("--data", files / "mine.npz", "--criterion", "l3"), "l1"),
        (("--data", files / "mine.npz", "--macs", 0.001), "can reach"),
    ):
        result = invoke(*start, *arguments)
        assert result.exit_code == 2 and message in " ".join(result.stderr.split()), result.output
