"""Finished work on disk is taken up; what is of other settings or of another process is not."""

from __future__ import annotations

import hashlib
import json
import sqlite3

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.files.made_of import check_settings
from kerasprune.files.writing import claim_store
from kerasprune.recipes.populations.candidate_store import CandidateStore, key_of
from kerasprune.recipes.search.width_search import RememberedScores

SETTINGS = {
    "dimension": "width",
    "keep": 0.5,
    "rounds": 1,
    "epochs_per_round": 40,
    "side": 4,
    "seed": 0,
    "model": "6c237700f068e625",
    "weights": 104.0,
    "channels": {"name": "L1", "arguments": {}},
}
PLAN = {
    "format": "kerasprune.plan",
    "version": 1,
    "fingerprint": "6c237700f068e625",
    "coupling": "tied",
    "resolution": None,
    "removed": [],
    "keep": {"hidden": [0, 1, 2, 3]},
}
POINT = {"d": 1.0, "w": 0.5, "r": 1.0, "accuracy": 0.75, "macs": 24, "params": 30, "side": 4}
TABLE = """
CREATE TABLE candidates (
    key TEXT PRIMARY KEY, function TEXT NOT NULL, arguments TEXT NOT NULL, version TEXT NOT NULL,
    result TEXT, error TEXT, log TEXT NOT NULL, attempts INTEGER NOT NULL, seconds REAL NOT NULL, ended TEXT NOT NULL
)
"""


def perceptron(units: int = 8) -> keras.Model:
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((4,)), dense(units, name="hidden"), dense(2, name="out")])
    model.set_weights([np.ones(weights.shape) for weights in model.get_weights()])
    return model


def shrink(folder, fit, model: keras.Model | None = None):
    (point,) = kp.papers.three_dimensional.rounds(
        model or perceptron(), fit, "width", keep=0.5, rounds=1, channels="l1", folder=folder
    )
    return point


def never(*_, **__):
    raise AssertionError("it was finished")


def finished_points(folder) -> None:
    """Writes a folder as `kp.papers.three_dimensional.rounds` leaves it."""
    (folder / "width-1").mkdir(parents=True)
    (folder / "width.json").write_text(json.dumps(SETTINGS))
    (folder / "width-1" / "made_of.json").write_text(json.dumps(SETTINGS))
    (folder / "width-1" / "plan.json").write_text(json.dumps(PLAN))
    (folder / "width-1" / "point.json").write_text(json.dumps(POINT))
    perceptron(4).save(folder / "width-1" / "model.keras")


def database(path, form: int = 1, **results) -> None:
    """Writes a file of candidates as `kp.Population` leaves it."""
    with sqlite3.connect(path) as file:
        file.execute(TABLE)
        file.execute(f"PRAGMA application_id = {0x6B70706F}")
        file.execute(f"PRAGMA user_version = {form}")
        for key, result in results.items():
            row = (key, "m:f", "{}", "", json.dumps(result), None, "", 1, 0.5, "2025-01-01T00:00:00+00:00")
            file.execute("INSERT INTO candidates VALUES (?,?,?,?,?,?,?,?,?,?)", row)


def test_points_are_taken_up(tmp_path):
    finished_points(tmp_path)
    point = shrink(tmp_path, never)
    assert (point.accuracy, point.macs, point.plan.keep) == (0.75, 24, {"hidden": (0, 1, 2, 3)})
    assert point.model.get_layer("hidden").units == 4


def test_points_with_other_weights_are_refused(tmp_path):
    finished_points(tmp_path)
    other = perceptron()
    other.layers[0].bias.assign(np.zeros(8))
    with pytest.raises(kp.PruneError, match=r"begun with: weights=104.0. Received: weights=88.0. Take the same, or"):
        shrink(tmp_path, never, other)
    for name in ("width.json", "width-1/made_of.json"):  # what a point was made of lies with it, too
        (tmp_path / name).unlink()
        with pytest.raises(kp.PruneError, match=r"width-1.*(begun with: weights=104.0|does not)"):
            shrink(tmp_path, never, other)


def test_candidates_and_scores_are_taken_up(tmp_path):
    key = hashlib.sha256(b'["statistics:fmean", {"data": [1, 3]}, ""]').hexdigest()
    database(tmp_path / "means.sqlite", **{key: -7.0})  # which the function would not return
    population = kp.recipes.Population(tmp_path / "means.sqlite", engine="serial", verbose=0)
    (row,) = population.run("statistics:fmean", [{"data": [1, 3]}])
    assert row["result"] == -7.0
    version = hashlib.sha256(b'{"a": 1, "b": [2]}').hexdigest()
    key = hashlib.sha256(f"{version} [0, 3]".encode()).hexdigest()
    database(tmp_path / "search.sqlite", **{key: 0.25})
    asked = RememberedScores(never, tmp_path / "search.sqlite", {"b": [2], "a": 1}, most=1)
    assert asked([(0, 3)]) == [0.25]


def test_a_later_format_is_refused(tmp_path):
    database(tmp_path / "later.sqlite", form=2)
    with pytest.raises(kp.PruneError, match="later version of kerasprune"):
        CandidateStore(tmp_path / "later.sqlite")


def test_keys_do_not_depend_on_the_order_and_are_not_of_nan():
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1, "b": 3})
    with pytest.raises(ValueError, match="JSON"):
        key_of([float("nan")])


def test_points_are_made_by_one_process_at_a_time_and_read_by_all(tmp_path):
    calls = []

    def fit(model, *, resolution, epochs, seed):
        calls.append(epochs)
        return 0.5

    with (
        claim_store(tmp_path / "width"),
        pytest.raises(kp.PruneError, match="width', which another process is writing"),
    ):
        shrink(tmp_path, fit)
    assert not calls and sorted(path.name for path in tmp_path.iterdir()) == ["width.json"]
    shrink(tmp_path, fit)
    with claim_store(tmp_path / "width"):
        assert shrink(tmp_path, never).accuracy == 0.5
    assert calls == [40] and sorted(path.name for path in tmp_path.iterdir()) == ["width-1", "width.json"]


def test_what_another_process_has_finished_meanwhile_is_taken(tmp_path, monkeypatch):
    from contextlib import contextmanager

    from kerasprune.recipes.populations import store

    @contextmanager
    def late(path):
        with claim_store(path):
            finished_points(tmp_path / "theirs")
            (tmp_path / "theirs" / "width-1").rename(tmp_path / "width-1")
            yield

    monkeypatch.setattr(store, "claim_store", late)
    assert shrink(tmp_path, never).accuracy == 0.75


def test_a_disk_that_takes_no_locks_is_not_another_process(tmp_path):
    (tmp_path / ".mine.lock").mkdir()
    with pytest.raises(kp.PruneError, match="files can be locked.*unable to open"), claim_store(tmp_path / "mine"):
        pass


def test_work_goes_on_with_an_optimum_that_is_the_same_but_for_rounding(tmp_path):
    path = tmp_path / "chosen.json"
    check_settings(path, {"optimum": [0.593739481466287, 1.0], "seed": 0})
    check_settings(path, {"optimum": [0.5937394814662899, 1.0], "seed": 0})
    for other in ({"optimum": [0.59374, 1.0]}, {"optimum": [0.593739481466287]}, {"seed": 1}):
        with pytest.raises(kp.PruneError, match="was begun with"):
            check_settings(path, {"optimum": [0.593739481466287, 1.0], "seed": 0} | other)
