"""Sensitivity against what is known: channels that nothing reads cost nothing, and less is never better."""

from __future__ import annotations

import csv

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp


@pytest.fixture(scope="module")
def table():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = layers.Dense(8, activation="relu", name="wide")(inputs)
    x = layers.Dense(8, activation="tanh", name="needed")(x)
    model = keras.Model(inputs, layers.Dense(4, name="out")(x))
    kernel, bias = model.get_layer("wide").get_weights()
    kernel[:, 2:] = bias[2:] = 0  # two of eight channels say all
    model.get_layer("wide").set_weights([kernel, bias])
    data = np.random.default_rng(0).normal(size=(96, 6)).astype("float32")
    return kp.sensitivity(model, data, keep=(0.75, 0.25), samples=48)


def test_what_says_nothing_costs_nothing(table):
    assert set(table.errors) == {"wide", "needed"}
    assert max(table.errors["wide"]) < 1e-3
    assert table.errors["needed"][1] > table.errors["needed"][0] > 10 * max(table.errors["wide"])


def test_the_table_is_printed_drawn_and_saved(table, tmp_path):
    lines = str(table).splitlines()
    assert lines[0].split() == ["group", "channels", "0.75", "0.25"]
    assert lines[1].startswith("needed") and lines[2].startswith("wide")
    with table.save(tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["group"], row["keep"]) for row in rows] == [(g, k) for g in table.errors for k in ("0.75", "0.25")]
    assert float(rows[-1]["error"]) == table.errors[rows[-1]["group"]][1]
    assert "needed" in table.plot(tmp_path / "table.svg").read_text()


def test_what_does_not_fit_is_said():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, name="hidden"), layers.Dense(2)])
    for change, message in (
        ({"keep": (1.5,)}, "keep=1.5"),
        ({"groups": ["hiden"]}, "hidden"),
        ({"data": np.zeros((3, 4))}, "at least four examples.*Received: 3"),
    ):
        with pytest.raises(kp.PruneError, match=message):
            kp.sensitivity(model, **{"data": np.zeros((8, 4)), **change})
