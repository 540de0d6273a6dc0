"""Criteria beside each other: what every run does, what is run again, and what is said of wrong arguments."""

from __future__ import annotations

import csv

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune import PruneError, cli
from kerasprune.recipes.comparison import compare, version_of
from kerasprune.repair.reconstruction.reconstruct import reconstruct_cut

FINETUNE = {"epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 0.05}}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A trained net of two classes, and its examples."""
    folder = tmp_path_factory.mktemp("compare")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = layers.Dense(8, activation="relu", name="first")(inputs)
    x = layers.Dense(8, activation="relu", name="second")(x)
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
    numbers = np.random.default_rng(0)
    x = numbers.normal(size=(200, 6)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype("int32")
    parts = {"train": slice(0, 120), "val": slice(120, 160), "test": slice(160, 200)}
    np.savez(folder / "mine.npz", **{f"{n}_{k}": v[p] for k, p in parts.items() for n, v in (("x", x), ("y", y))})
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(x[:120], y[:120], epochs=20, verbose=0)
    model.save(folder / "mine.keras")
    return folder


def run(files, out, criteria=("l1", "l2"), macs=(0.5,), **more):
    return compare(
        files / "mine.keras",
        criteria,
        macs,
        {"name": str(files / "mine.npz"), "batch": 40},
        **{"seeds": 2, "finetune": FINETUNE, "engine": "serial", "verbose": 0, "folder": out, **more},
    )


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(files):
    return run(files, files / "out")


@pytest.mark.thorough
def test_a_run_is_a_plan_a_rebuild_and_a_fit(files, folder):
    found = {(row["method"], row["seed"]): row for row in rows(folder / "runs.csv")}
    assert sorted({method for method, _ in found}) == ["dense", "from scratch", "l1", "l2", "random"]
    assert all(row["state"] == "done" for row in found.values())
    model = keras.models.load_model(files / "mine.keras")
    slim = kp.rebuild(model, kp.plan(model, "l2", macs=0.5))
    slim.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    with np.load(files / "mine.npz") as arrays:
        parts = {name: arrays[name] for name in arrays.files}
    judged = {part: slim.evaluate(parts[f"x_{part}"], parts[f"y_{part}"], verbose=0)[1] for part in ("val", "test")}
    row = found["l2", "1"]
    assert float(row["removed"]) == pytest.approx(judged["val"])
    assert float(row["params"]) == pytest.approx(slim.count_params() / model.count_params())
    assert float(row["compression"]) == pytest.approx(1 / float(row["params"]))
    macs = [sum(np.prod(layer.kernel.shape) for layer in each.layers[1:]) for each in (slim, model)]
    assert float(row["speedup"]) == pytest.approx(macs[1] / macs[0])
    dense = found["dense", "0"]
    right = np.mean(model.predict(parts["x_test"], verbose=0).argmax(1) == parts["y_test"])
    assert float(dense["test"]) == pytest.approx(right) and float(dense["macs"]) == 1
    # training: the same slim model, trained by hand in the order that the data say
    keras.utils.set_random_seed(1)
    slim = kp.rebuild(model, kp.plan(model, "l2", macs=0.5))
    from kerasprune.models.sets.user_function import split_examples

    train = split_examples(str(files / "mine.npz")).batches("train", 40, 1, "none", slim.inputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    slim.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, metrics=["accuracy"])
    slim.fit(train, epochs=1, shuffle=False, verbose=0)
    assert float(row["validation"]) == pytest.approx(slim.evaluate(parts["x_val"], parts["y_val"], verbose=0)[1])


@pytest.mark.thorough
def test_the_table_is_over_the_seeds(folder):
    runs, table = rows(folder / "runs.csv"), rows(folder / "comparison.csv")
    for row in table:
        values = [float(one["validation"]) for one in runs if one["method"] == row["method"]]
        assert float(row["validation"]) == pytest.approx(np.mean(values)) and int(row["runs"]) == len(values)
        if len(values) > 1:
            assert float(row["validation_deviation"]) == pytest.approx(np.std(values, ddof=1))
    best = [float(row["validation"]) for row in table if row["method"] != "dense"]
    assert best == sorted(best, reverse=True) and table[0]["method"] == "dense"
    assert (folder / "comparison.svg").read_text().count("</svg>") == 1


@pytest.mark.thorough
def test_nothing_is_run_twice(files, folder):
    before = {(row["method"], row["target"], row["seed"]): row for row in rows(folder / "runs.csv")}
    with pytest.raises(PruneError, match="resume=True"):
        run(files, folder)
    with pytest.warns(UserWarning, match="2 of 9 candidates failed.*Expected a BatchNorm scale"):
        run(files, folder, criteria=("l1", "l2", "bn_scale", {"name": "random"}), controls=(), resume=True)
    after = {(row["method"], row["target"], row["seed"]): row for row in rows(folder / "runs.csv")}
    assert {key[0] for key in after} == {"dense", "l1", "l2", "bn_scale", "random"}
    assert {row["state"] for key, row in after.items() if key[0] == "bn_scale"} == {"failed"}
    assert "bn_scale" not in {row["method"] for row in rows(folder / "comparison.csv")}
    for key in set(before) & set(after):
        assert after[key] == before[key]  # the seconds too: these rows are the ones that were there


@pytest.mark.thorough
def test_switches(files, tmp_path, monkeypatch):
    """What reconstruction and distillation are given, and that what they return is what is judged and trained."""
    calls, solved, solve = [], [], reconstruct_cut

    def reconstruct(slim, cut, data, samples, slack, seed):
        calls.append((len(list(data)), next(iter(data))[0].shape, samples, slack, cut.plan.keep["first"]))
        new, remarks = solve(slim, cut, data, samples=samples, slack=slack, seed=seed)
        solved.extend([new, keras.models.clone_model(new)])
        solved[1].set_weights(new.get_weights())
        return new, remarks

    def distil(slim, teacher, temperature, weight, features, plan):
        calls.append([layer.units for model in (slim, teacher) for layer in model.layers[1:]])
        assert all(map(np.array_equal, solved[1].get_weights(), slim.get_weights()))
        slim.layers[-1].bias.assign([-9.0, 9.0])
        return slim

    monkeypatch.setattr("kerasprune.steps.repair.reconstruct_cut", reconstruct)
    monkeypatch.setattr("kerasprune.training.distillation.student.distil", distil)
    taught = {**FINETUNE, "distil": {}}
    out = run(files, tmp_path / "out", ("l1",), seeds=1, controls=(), start="reconstructed", finetune=taught)
    kept = kp.plan(keras.models.load_model(files / "mine.keras"), "l1", macs=0.5).keep
    widths = [len(kept["first"]), len(kept["second"]), 2, 8, 8, 2]
    assert calls == [(3, (40, 6), 1000, 0.1, kept["first"]), widths]
    row = rows(out / "runs.csv")[1]
    with np.load(files / "mine.npz") as arrays:
        x, y = ({part: arrays[f"{axis}_{part}"] for part in ("val", "test")} for axis in "xy")
    right = np.mean(solved[1].predict(x["val"], verbose=0).argmax(1) == y["val"])
    assert float(row["removed"]) == pytest.approx(right)
    assert float(row["test"]) == pytest.approx(np.mean(y["test"] == 1))


@pytest.mark.thorough
def test_a_reconstruction_that_harms_is_not_taken(files, tmp_path, monkeypatch):
    def harmed(slim, *args, **kwargs):
        worse = keras.models.clone_model(slim)
        worse.set_weights([-3 * weight for weight in slim.get_weights()])
        return worse, []

    same = {"seeds": 1, "controls": (), "finetune": None}
    plain = rows(run(files, tmp_path / "plain", ("l1",), **same) / "runs.csv")[1]
    monkeypatch.setattr("kerasprune.steps.repair.reconstruct_cut", harmed)
    kept = rows(run(files, tmp_path / "out", ("l1",), **same, start="reconstructed") / "runs.csv")[1]
    assert (kept["removed"], kept["test"]) == (plain["removed"], plain["test"])


@pytest.mark.thorough
def test_a_model_in_memory_is_kept_in_the_folder(files, tmp_path):
    model = keras.models.load_model(files / "mine.keras")
    data, same = {"name": str(files / "mine.npz"), "batch": 40}, {"seeds": 1, "engine": "serial", "verbose": 0}
    same |= {"controls": (), "folder": tmp_path / "out"}
    out = kp.recipes.compare(model, ["l1"], [0.5], data, **same)
    assert rows(out / "runs.csv")[1]["state"] == "done" and (out / "model.keras").exists()
    before = rows(out / "runs.csv")
    kp.recipes.compare(model, ["l1"], [0.5], data, **same, resume=True)
    assert rows(out / "runs.csv") == before
    model.layers[-1].bias.assign([1.0, 0.0])
    with pytest.raises(PruneError, match="other weights than"):
        kp.recipes.compare(model, ["l1"], [0.5], data, **same, resume=True)
    with pytest.raises(PruneError, match="coupling"):
        kp.recipes.compare(
            model, ["l1"], [0.5], data, **{**same, "folder": tmp_path / "new"}, plan={"coupling": "loose"}
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.thorough
def test_wrong_arguments_are_named_at_once(files, tmp_path):
    with pytest.raises(PruneError) as caught:
        run(files, tmp_path / "out", ("l1", "l3"), (0.5, 1.5, 50), seeds=0, start="scratch", controls=("l2",))
    said = str(caught.value)
    for part in ("'l3'", "macs=1.5", "macs=50", "seeds=0", "start='scratch'", "controls='l2'"):
        assert f"Received: {part}" in said, said
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("")
    for resume in (False, True):
        with pytest.raises(PruneError, match="Received: .*full"):
            run(files, tmp_path / "full", resume=resume)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.ones((40, 6), "float32"), "y": np.arange(40) % 2 + 1}, "Subtract 1"),
        ({"x": np.ones((40, 4), "float32"), "y": np.arange(40) % 2}, r"\(None, 4\)"),
    ],
)
def test_data_that_the_model_itself_cannot_be_judged_on_end_it_at_once(files, tmp_path, arrays, said):
    np.savez(tmp_path / "other.npz", **arrays)
    data = str(tmp_path / "other.npz")
    with pytest.warns(UserWarning, match="1 of 1 candidates"), pytest.raises(PruneError, match=said):
        compare(files / "mine.keras", ["l1"], [0.5], data, engine="serial", verbose=0, folder=tmp_path / "out")


@pytest.mark.thorough
def test_without_labels_outputs_are_compared_and_the_dense_model_teaches(files, tmp_path):
    with np.load(files / "mine.npz") as arrays:
        inputs = {name: arrays[name] for name in arrays.files if name.startswith("x")}
    np.savez(tmp_path / "inputs.npz", **inputs)
    alike = {"data": str(tmp_path / "inputs.npz"), "seeds": 1, "controls": (), "engine": "serial", "verbose": 0}
    model, found = keras.models.load_model(files / "mine.keras"), {}
    for name, finetune in (("cut", None), ("taught", {**FINETUNE, "epochs": 8})):
        out = compare(files / "mine.keras", ["l1"], [0.5], finetune=finetune, folder=tmp_path / name, **alike)
        (found[name],) = [row for row in rows(out / "runs.csv") if row["method"] == "l1"]
    slim = kp.rebuild(model, kp.plan(model, "l1", macs=0.5))
    wanted, made = (each.predict(inputs["x_test"], verbose=0) for each in (model, slim))
    columns = ((made - wanted) ** 2).sum(0) / ((wanted - wanted.mean(0)) ** 2).sum(0)
    together = ((made - wanted) ** 2).sum() / ((wanted - wanted.mean(0)) ** 2).sum()
    assert found["cut"]["measure"] == "error"
    assert float(found["cut"]["test"]) == pytest.approx(max(together, np.minimum(columns, 1).mean()), rel=1e-3)
    assert float(found["taught"]["removed"]) == pytest.approx(float(found["cut"]["removed"]))
    assert float(found["taught"]["validation"]) < 0.9 * float(found["cut"]["validation"])


@pytest.mark.thorough
def test_a_criterion_that_needs_labels_says_so(files, tmp_path):
    np.save(tmp_path / "inputs.npy", np.ones((40, 6), "float32"))
    data, one = str(tmp_path / "inputs.npy"), {"engine": "serial", "verbose": 0, "seeds": 1, "controls": ()}
    with pytest.warns(UserWarning), pytest.raises(PruneError, match="labels for prune.plan.criterion: taylor_fo"):
        compare(files / "mine.keras", ["taylor_fo"], [0.5], data, **one, folder=tmp_path / "out")


@pytest.mark.thorough
def test_criteria_that_all_fail_are_an_error(files, tmp_path):
    with pytest.warns(UserWarning, match="failed"), pytest.raises(PruneError, match="No criterion.*BatchNorm scale"):
        run(files, tmp_path, ["bn_scale"], controls=(), seeds=1)


@pytest.mark.thorough
def test_by_command(files, tmp_path, monkeypatch):
    def here(store, engine, workers, verbose):  # without the seconds that processes take to begin
        assert (engine, workers) == ("local", 2)
        return kp.recipes.Population(store, engine="serial", verbose=verbose)

    monkeypatch.setattr("kerasprune.recipes.comparison.Population", here)

    def invoke(*more):
        start = ("compare", files / "mine.keras", "--out", tmp_path / "out")
        return CliRunner().invoke(cli.app, [str(each) for each in (*start, *more)])

    for wrong, said in (
        ((), "Expected --data"),
        (("--data", "digits", "--macs", "half"), "Received: --macs half"),
        (("--data", "digits", "--optimizer", "sdg"), "--optimizer sdg"),
        (("--data", "digits", "--finetune-epochs", 0, "--distil"), "with --distil"),
        (("--data", "digits", "--criteria", "l1,bnscale"), "Did you mean"),
        (("--data", "mine:data"), "--trust"),
    ):
        result = invoke(*wrong)
        assert result.exit_code == 2 and said in " ".join(result.stderr.split()), result.output
    result = invoke(
        *("--data", files / "mine.npz", "--criteria", "l1", "--macs", "0.5", "--seeds", 1),
        *("--finetune-epochs", 0, "--controls", "none", "--workers", 2),
    )
    assert result.exit_code == 0, result.output
    assert "l1" in result.stdout and "comparison.svg" in result.stdout.replace("\n", "")


@pytest.mark.thorough
def test_images_are_of_the_side_of_the_model_unless_another_is_given(tmp_path):
    """The recipe of a run passes through text; a side that nobody gave must not come out of it."""
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(10)])
    model.save(tmp_path / "mine.keras")
    given = {"seeds": 1, "controls": (), "engine": "serial", "verbose": 0}
    out = compare(tmp_path / "mine.keras", ["l1"], [0.5], "digits", folder=tmp_path / "out", **given)
    assert len(rows(out / "runs.csv")) == 2
    other = {"name": "digits", "size": 32}
    with pytest.raises(PruneError, match="side, 8 pixels. Received: data.size=32"):
        compare(tmp_path / "mine.keras", ["l1"], [0.5], other, folder=tmp_path / "other", **given)


@pytest.mark.thorough
def test_the_batch_of_finetuning_is_that_of_the_section(files, tmp_path, monkeypatch):
    seen = []

    def fit(model, training, *_, **__):
        seen.append(len(next(iter(training.batches()))[0]))

    monkeypatch.setattr("kerasprune.recipes.contender.fit", fit)
    run(files, tmp_path / "out", ("l1",), seeds=1, controls=(), finetune={**FINETUNE, "batch": 30, "deliver": "last"})
    assert seen == [30]


def test_what_is_no_list_or_is_not_run_is_named_at_once(tmp_path):
    with pytest.raises(PruneError) as caught:
        compare("m.keras", "l1", 0.5, "digits", finetune={"callbacks": ["greg1"]}, folder=tmp_path / "out")
    for part in ("criteria='l1'. Give ['l1']", "macs=0.5. Give [0.5]", "Leave finetune.callbacks out"):
        assert part in str(caught.value)


def test_a_file_at_home_is_part_of_the_version(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m.keras").write_bytes(b"1")
    (tmp_path / "mine.npz").write_bytes(b"1")
    before = version_of(tmp_path / "m.keras", "~/mine.npz")
    (tmp_path / "mine.npz").write_bytes(b"2")
    assert version_of(tmp_path / "m.keras", "~/mine.npz") != before
