"""The run folder: nothing overwritten, nothing twice, damaged files named."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

import keras
import numpy as np
import pytest

from kerasprune import PruneError
from kerasprune.files.temporary_files import temporary_name
from kerasprune.files.writing import claim_store
from kerasprune.papers.pruning_spaces.explore import Draw, explore
from kerasprune.recipes.comparison import compare
from kerasprune.recipes.run_folder import RunFolder, broken_off, claim, finite, load_model, make_room, occupied
from kerasprune.recipes.stages.evaluate import counted
from kerasprune.training.masks import apply_masks


def test_rows_of_a_stage_begun_anew_replace_its_old_ones(tmp_path):
    folder = RunFolder(tmp_path)
    folder.set_metrics("train", [{"epoch": 1, "loss": 2.0}])
    folder.set_metrics("prune", [{"epoch": 1, "loss": 1.0, "extra": 7}])
    folder.set_metrics("prune", [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    rows = folder.metrics()
    assert [(row["stage"], row["epoch"], row["loss"]) for row in rows] == [
        ("train", "1", "2.0"),
        ("prune", "1", "0.5"),
        ("prune", "2", "0.25"),
    ]
    assert list(rows[0])[:4] == ["stage", "epoch", "loss", "accuracy"]


def test_only_a_death_leaves_a_mark(tmp_path):
    with pytest.raises(KeyError), occupied(tmp_path):
        raise KeyError
    assert not broken_off(tmp_path)
    code = (
        "import os, sys, pathlib; from kerasprune.recipes.run_folder import occupied\n"
        "with occupied(pathlib.Path(sys.argv[1])): os.abort()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=False)
    assert broken_off(tmp_path)
    with occupied(tmp_path):
        pass
    assert not broken_off(tmp_path)


def test_finished_stages_are_remembered(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.stages() == {}
    folder.finish("train", 1.23456)
    folder.finish("prune", 2)
    assert RunFolder(tmp_path).stages() == {"train": {"seconds": 1.235}, "prune": {"seconds": 2}}


def test_what_is_not_finite_becomes_null(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_json("a.json", {"loss": float("nan"), "n": np.int64(3), "x": [np.float32(0.5), float("inf")]})
    assert folder.json("a.json") == {"loss": None, "n": 3, "x": [0.5, None]}
    assert finite({"deep": [{"nan": float("nan")}]}) == {"deep": [{"nan": None}]}


def test_arrays_come_back_by_their_paths(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.arrays("masks.npz") is None
    folder.write_arrays("masks.npz", {"conv/kernel": np.eye(2, dtype=bool)})
    np.testing.assert_array_equal(folder.arrays("masks.npz")["conv/kernel"], np.eye(2, dtype=bool))


def test_folder_with_files_is_not_overwritten(tmp_path):
    claim(tmp_path / "new", ["recipe.yaml"], resume=False)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(PruneError, match="which is a file"):
        claim(tmp_path / "file", [], resume=True)
    with pytest.raises(PruneError, match=r"holds files. Choose another folder=, or continue with resume=True"):
        claim(tmp_path, ["recipe.yaml"], resume=False)
    with pytest.raises(PruneError, match="lacks recipe.yaml"):
        claim(tmp_path, ["recipe.yaml"], resume=True)
    (tmp_path / "recipe.yaml").write_text("")
    claim(tmp_path, ["recipe.yaml"], resume=True)


def test_models_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(PruneError, match="not a file"):
        load_model(tmp_path / "missing.keras")
    (tmp_path / "bad.keras").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(PruneError, match="bad.keras"):
        load_model(tmp_path / "bad.keras")
    inputs = keras.Input((3,))
    whole = tmp_path / "whole.keras"
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(whole)
    cut = tmp_path / "cut.keras"
    cut.write_bytes(whole.read_bytes()[:-400])
    with pytest.raises(PruneError, match="cut.keras"):
        load_model(cut)


def test_lambda_layers_are_not_run(tmp_path):
    inputs = keras.Input((3,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs)).save(tmp_path / "lambda.keras")
    with pytest.raises(PruneError, match="lambda.keras"):
        load_model(tmp_path / "lambda.keras")


def test_saved_model_replaces_in_one_step(tmp_path):
    folder = RunFolder(tmp_path)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    folder.save_model("dense.keras", model)
    folder.save_model("dense.keras", model)
    assert [path.name for path in tmp_path.iterdir()] == ["dense.keras"]
    np.testing.assert_array_equal(folder.model("dense.keras").get_weights()[0], model.get_weights()[0])


def test_what_the_new_run_reads_is_not_removed_for_it(tmp_path, monkeypatch):
    run, link = tmp_path / "run", tmp_path / "link"
    run.mkdir()
    link.symlink_to(run)
    for name in ("recipe.yaml", "slim.keras", "plan.json"):
        (run / name).write_text("mine")
    monkeypatch.chdir(tmp_path)
    for path in (run / "slim.keras", "run/slim.keras", link / "slim.keras", "run/../link/plan.json"):
        for folder in (run, link):
            with pytest.raises(PruneError, match="inputs outside of the folder that is emptied"):
                make_room(folder, {"model": {"start": str(path)}, "data": None, "export": ["tflite"], "seed": 3})
    assert len(list(run.iterdir())) == 3
    (tmp_path / "mine.keras").write_text("mine")
    make_room(run, {"model": {"start": str(tmp_path / "mine.keras")}, "why": "nul\0and " + "long" * 2000})
    assert not list(run.iterdir()) and (tmp_path / "mine.keras").exists()


HOLDER = """
import sys, time
from pathlib import Path
from kerasprune.recipes.run_folder import occupied
with occupied(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.whole
def test_two_runs_do_not_share_a_folder_and_a_killed_one_leaves_nothing_in_the_way(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", HOLDER, folder], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(PruneError, match=rf"\b{holder.pid}\b"), occupied(folder):
            pass
        (folder / "recipe.yaml").write_text("of the other")
        with pytest.raises(PruneError, match="another process"):
            make_room(folder, {})
        assert (folder / "recipe.yaml").exists()
        holder.kill()
    claim(folder, ["recipe.yaml"], resume=True)
    with occupied(folder):
        pass
    assert [each.name for each in folder.iterdir()] == ["recipe.yaml"]


def test_a_folder_that_was_made_for_nothing_is_removed(tmp_path):
    with occupied(tmp_path / "run"):
        claim(tmp_path / "run", ["recipe.yaml"], resume=False)  # the lock itself is nothing
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError), occupied(tmp_path / "run"):
        (tmp_path / "run" / "recipe.yaml").write_text("mine")
        raise ValueError
    assert (tmp_path / "run" / "recipe.yaml").exists()


def test_what_finished_stages_have_left_is_looked_at(tmp_path):
    folder = RunFolder(tmp_path)
    folder.file("dense.keras").write_text("dense")
    folder.finish("train", 1)
    folder.file("slim.keras").write_text("slim")
    folder.finish("finetune", 1)
    folder.file("slim.keras").write_text("another")
    folder.finish("report", 1)  # takes no new fingerprints of what is known
    with pytest.raises(PruneError, match=r"slim.keras, changed since, in .* Restore them"):
        folder.check_files()
    folder.file("slim.keras").write_text("slim")
    folder.check_files()
    folder.file("dense.keras").unlink()
    with pytest.raises(PruneError, match="dense.keras, missing"):
        folder.check_files()
    folder.write_json("stages.json", {"train": {"seconds": 1}})  # a stage that left no lasting file
    folder.check_files()


def test_files_of_a_run_that_hold_something_else_are_named(tmp_path):
    folder = RunFolder(tmp_path)
    for name, text in (("costs.json", "[]"), ("steps.json", "{}"), ("steps.json", "[1]"), ("stages.json", "3")):
        (tmp_path / name).write_text(text)
        with pytest.raises(PruneError, match=f"{name}', with other content"):
            folder.json(name)
    (tmp_path / "stages.json").unlink()
    folder.write_json("costs.json", {"dense": {}})
    folder.finish("evaluate", 1)
    folder.write_json("costs.json", {})
    with pytest.raises(PruneError, match="costs.json, changed since"):
        folder.check_files()


def test_a_disk_without_locks_is_warned_of(tmp_path):
    (tmp_path / "run" / ".run.lock").mkdir(parents=True)  # which SQLite cannot open
    with pytest.warns(UserWarning, match="without file locks"), occupied(tmp_path / "run"):
        (tmp_path / "run" / "recipe.yaml").write_text("mine")
    assert (tmp_path / "run" / "recipe.yaml").exists()


def test_what_a_killed_owner_has_left_does_not_fill_a_folder(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    temporary = temporary_name(tmp_path / "recipe.yaml").name.replace(str(os.getpid()), str(child.pid))
    for name in (".run.lock", ".run.lock-owner", ".run.lock-journal", ".population.sqlite.lock", temporary):
        (tmp_path / name).touch()
    claim(tmp_path, ["recipe.yaml"], resume=False)
    make_room(tmp_path, {})
    with occupied(tmp_path):
        claim(tmp_path, ["recipe.yaml"], resume=True)
    (tmp_path / "mine.lock").touch()
    with pytest.raises(PruneError, match="holds files"):
        claim(tmp_path, ["recipe.yaml"], resume=False)


def test_a_lock_on_a_file_that_its_owner_has_just_removed_is_none(tmp_path, monkeypatch):
    connect, third = sqlite3.connect, []

    def late(file, **options):
        held = connect(file, **options)
        if not third:  # the owner before ends here, and a third process begins
            file.unlink()
            third.append(connect(file, isolation_level=None))
            third[0].execute("BEGIN EXCLUSIVE")
        return held

    monkeypatch.setattr(sqlite3, "connect", late)
    (tmp_path / ".a.lock").touch()
    with pytest.raises(PruneError, match="another process"), claim_store(tmp_path / "a"):
        pass
    third[0].close()
    with claim_store(tmp_path / "a"):
        pass
    assert not list(tmp_path.iterdir())


def test_the_folder_is_locked_before_the_store_in_it(tmp_path, monkeypatch):
    connect, locked = sqlite3.connect, []

    def noted(file, *arguments, **options):
        locked.append(file.name)
        return connect(file, *arguments, **options)

    monkeypatch.setattr(sqlite3, "connect", noted)
    dense, options = keras.layers.Dense, {"engine": "serial", "verbose": 0}
    keras.Sequential([keras.Input((4,)), dense(8), dense(8), dense(2)]).save(tmp_path / "net.keras")
    np.savez(tmp_path / "few.npz", x=np.zeros((20, 4)), y=np.zeros(5, int))
    given = {"data": str(tmp_path / "few.npz"), "folder": tmp_path / "out", **options}
    with pytest.raises(PruneError, match="as many labels"), pytest.warns(UserWarning, match="1 of 1"):
        compare(tmp_path / "net.keras", ["l1"], [0.5], controls=(), **given)
    np.savez(tmp_path / "few.npz", x=np.zeros((20, 4)), y=np.full(20, 7))
    with pytest.raises(PruneError, match="cannot be judged"), pytest.warns(UserWarning, match="1 of 1"):
        loss = "sparse_categorical_crossentropy"
        explore(tmp_path / "net.keras", Draw(params=0.3, delta=0.1, n=2), ranked_by=["removed"], loss=loss, **given)
    locks = [name for name in locked if name.endswith(".lock")]
    for each in (locks[: len(locks) // 2], locks[len(locks) // 2 :]):
        assert list(dict.fromkeys(each)) == [".run.lock", ".population.sqlite.lock"]


@pytest.mark.thorough
@pytest.mark.parametrize("pair", range(2))
def test_of_two_runs_at_once_one_runs_as_alone_and_one_is_refused_at_once(tmp_path, pair):
    dense = keras.layers.Dense
    keras.Sequential([keras.Input((4,)), dense(16), dense(2)]).save(tmp_path / "net.keras")

    def begun(out):
        command = [sys.executable, "-m", "kerasprune", "prune", "net.keras", "--macs", "0.5", "--out", out, "-q"]
        return subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)

    both = [begun("both"), begun("both")]
    said = [each.communicate()[1] for each in both]
    assert sorted(each.returncode for each in both) == [0, 2], said
    refused = next(text for each, text in zip(both, said, strict=True) if each.returncode)
    assert "is writing now" in refused or "holds files" in refused  # the first has ended
    alone = begun("alone")
    alone.communicate()
    assert alone.returncode == 0
    weights = [load_model(tmp_path / out / "slim.keras").get_weights() for out in ("both", "alone")]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert {path.name for path in (tmp_path / "both").iterdir()} == {
        path.name for path in (tmp_path / "alone").iterdir()
    }


def test_seeds_of_dropout_are_no_parameters():
    layers = [keras.layers.Dense(3, bias_initializer="ones"), keras.layers.Dropout(0.5, seed=3), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    masks = {layers[0].kernel.path: np.arange(12).reshape(4, 3) >= 5}
    apply_masks(model, masks)
    assert counted(model, masks) == {"nonzero": 7 + 3 + 6, "sparsity": 5 / 12}
