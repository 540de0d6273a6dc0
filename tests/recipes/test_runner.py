"""A run: its files, its figures against the models it leaves, resuming, and what is found before hours are spent."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

import keras
import numpy as np
import pytest
from rich.console import Console

import kerasprune as kp
from kerasprune import PruneError
from kerasprune.recipes import loader as loading
from kerasprune.recipes import runner as running
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.run_folder import RunFolder
from kerasprune.recipes.stages import finetune as training
from kerasprune.recipes.stages.context import Run

TEXT = """\
name: tiny
why: A test.
expected: {macs: 0.9}
model: {name: resnet_cifar, depth: 8, classes: 10, width: 0.5}
data: {name: digits, size: 16, augment: crop}
train:
  epochs: 2
  optimizer: {name: sgd, learning_rate: {name: cosine, start: 0.1}}
  l2: 5e-4
prune:
  plan: {budget: {name: per_stage, keep: [1, 0.5, 0.5, 0.25]}, coupling: free}
  callback: {name: greg1}
  optimizer: {name: sgd, learning_rate: 1e-3}
  l2: 5e-4
finetune: {epochs: 2, optimizer: {name: sgd, learning_rate: 0.01}}
"""
ROUNDS = "prune={callback: {name: iterative_magnitude, rounds: 96}, steps: 7, optimizer: {name: sgd, learning_rate: 1}}"
QUIET = Console(quiet=True)


def run(text, out, *settings, **options) -> Path:
    recipe = loading.parse(text, settings)
    return running.run(recipe, out, console=QUIET, smoke=True, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> RunFolder:
    return RunFolder(run(TEXT, tmp_path_factory.mktemp("runs") / "whole", "export=[tflite]"))


@pytest.mark.whole
def test_run_leaves_its_files(finished):
    for name in (
        "recipe.yaml",
        "plan.json",
        "metrics.csv",
        "summary.json",
        "dense.keras",
        "slim.keras",
        "exports/slim-tflite.tflite",
        "norms.npz",
        "report.html",
    ):
        assert finished.file(name).stat().st_size > 0
    assert not [path for path in finished.path.rglob("*") if path.name.startswith(".")]
    assert {path.name for path in finished.path.glob("*.keras")} == {"dense.keras", "slim.keras"}


@pytest.mark.whole
def test_summary_holds_what_the_models_cost(finished):
    summary = finished.json("summary.json")
    assert {"dense", "slim", "exports", "seconds"} <= set(summary)
    for name in ("dense", "slim"):
        found, model = summary[name], keras.models.load_model(finished.file(f"{name}.keras"))
        assert {"accuracy", "params", "macs", "tflite_bytes", "latency_ms"} <= set(found)
        assert found["params"] == model.count_params()
        assert found["macs"] == kp.cost(model).macs
        assert found["tflite_bytes"] == finished.file(f"exports/{name}-tflite.tflite").stat().st_size
        assert found["latency_ms"] > 0
        assert 0 <= found["accuracy"] <= 1
    assert summary["slim"]["macs"] < summary["dense"]["macs"]
    (export,) = summary["exports"]
    assert set(export) >= {"format", "bytes", "max_error", "agreement", "latency_ms"}
    for name, file in (("slim", export), ("dense", export["dense"])):
        assert file["latency_ms"] == summary[name]["latency_ms"]  # one file, one latency
        assert file["file"] == f"exports/{name}-tflite.tflite"
        assert 0 < file["judged"] <= 1000 and file["accuracy"] == pytest.approx(summary[name]["accuracy"])
    assert summary["seconds"] > 0
    assert summary["smoke"] is True
    assert summary["seed"] == 0
    assert summary["versions"]["keras"] == keras.__version__
    assert summary["versions"]["kerasprune"] == kp.__version__
    assert "cores" in summary["machine"] and "available" in summary["threads"]
    assert datetime.fromisoformat(summary["date"]).tzinfo is not None
    assert summary["expected"] == [{"name": "macs", "expected": 0.9, "here": pytest.approx(0.5, abs=0.3), "met": None}]


@pytest.mark.whole
def test_summary_holds_every_layer_of_both_models(finished):
    summary = finished.json("summary.json")
    layers = {layer["name"]: layer for layer in summary["layers"]}
    for side, name in enumerate(("dense", "slim")):
        assert sum(layer["macs"][side] for layer in layers.values()) == summary[name]["macs"]
        assert sum(layer["params"][side] for layer in layers.values()) == summary[name]["params"]
    conv = layers["stage1_block1_conv1"]
    assert (conv["class"], conv["macs"]) == ("Conv2D", [9 * 8 * 8 * 256, 9 * 8 * 4 * 256])
    assert "<td>stage1_block1_conv1</td>" in finished.file("report.html").read_text()


@pytest.mark.whole
def test_slim_model_has_the_widths_of_the_plan(finished):
    plan = kp.Plan.load(finished.file("plan.json"))
    slim = finished.model("slim.keras")
    assert slim.get_layer("stage1_block1_conv1").filters == 4  # half of 8
    assert slim.get_layer("stage3_block1_conv1").filters == 8  # a quarter of 32
    assert {name: len(kept) for name, kept in plan.keep.items()} == {
        name: kept for name, (_, kept) in finished.json("widths.json").items()
    }


@pytest.mark.whole
def test_metrics_show_every_stage_once(finished):
    rows = finished.metrics()
    assert [(row["stage"], row["epoch"]) for row in rows] == [
        ("train", "1"),
        ("prune", "1"),
        ("prune", "2"),
        ("rebuild", "0"),
        ("finetune", "1"),
    ]


@pytest.mark.whole
def test_penalty_shrinks_what_the_plan_removes(finished):
    plan = kp.Plan.load(finished.file("plan.json"))
    norms = finished.arrays("norms.npz")
    for name, kept in plan.keep.items():
        change = norms[name][-1] / norms[name][0]
        gone = np.setdiff1d(np.arange(len(change)), kept)
        assert change[gone].mean() < change[list(kept)].mean()


@pytest.mark.whole
def test_saved_models_need_nothing_of_the_package(finished):
    for name in ("dense", "slim"):
        config = finished.model(f"{name}.keras").to_json()
        assert "kerasprune" not in config
        assert '"regularizer": {' not in config


@pytest.mark.whole
def test_report_says_that_it_was_only_tried(finished):
    text = finished.file("report.html").read_text()
    assert "Smoke run" in text
    assert text.count("<svg") == 6


@pytest.mark.thorough
def test_resumed_run_computes_what_an_uninterrupted_one_does(finished, tmp_path, monkeypatch):
    whole, finetune = tmp_path / "cut", training.finetune

    def interrupted(one):
        monkeypatch.setattr("kerasprune.recipes.stages.finetune.finetune", finetune)
        one.folder.set_metrics("finetune", [{"epoch": 1, "loss": 99.0}])
        raise KeyboardInterrupt

    monkeypatch.setattr("kerasprune.recipes.stages.finetune.finetune", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(TEXT, whole)
    cut = RunFolder(whole)
    assert set(cut.stages()) == {"train", "prune", "rebuild"}
    dense = cut.file("dense.keras").stat().st_mtime_ns
    run(TEXT, whole, resume=True)
    assert cut.file("dense.keras").stat().st_mtime_ns == dense
    assert [row["loss"] for row in cut.metrics() if row["stage"] == "finetune"] != ["99.0"]
    for mine, others in zip(
        cut.model("slim.keras").get_weights(), finished.model("slim.keras").get_weights(), strict=True
    ):
        np.testing.assert_allclose(mine, others, rtol=1e-4, atol=1e-5)
    summary = cut.json("summary.json")
    again = run(TEXT, whole, resume=True)  # nothing left to do but the report
    assert again == whole
    assert cut.json("summary.json")["date"] == summary["date"]
    assert {path.name for path in whole.glob("*.keras")} == {"dense.keras", "slim.keras"}


@pytest.mark.whole
def test_folder_of_another_recipe_is_left_alone(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.path.rglob("*")}
    with pytest.raises(PruneError, match="recipe that the run in this folder began with"):
        run(TEXT, finished.path, "seed=5", resume=True)
    with pytest.raises(PruneError, match="holds files"):
        run(TEXT, finished.path)
    assert {path: path.stat().st_mtime_ns for path in finished.path.rglob("*")} == before


@pytest.mark.thorough
def test_test_images_are_used_once_at_the_end(tmp_path, monkeypatch):
    asked, current, images, finish = [], [], Run.examples, running._finish

    def noted(self, split, model, *sizes, **others):
        asked.append((current[-1], split))
        return images(self, split, model, *sizes, **others)

    def staged(one, name):
        current.append(name)
        finish(one, name)

    monkeypatch.setattr(Run, "examples", noted)
    monkeypatch.setattr(running, "_finish", staged)
    monkeypatch.setattr(running, "rehearse", lambda one: None)
    run(TEXT, tmp_path / "out", "prune={plan: {keep: 0.5}}", "finetune=null")
    assert [stage for stage, split in asked if split == "test"] == ["evaluate", "evaluate"]
    assert ("train", "validation") in asked


@pytest.mark.thorough
def test_single_weights_stay_gone_through_finetuning(tmp_path):
    callback = "prune.callback={name: greg2, granularity: weight, keep: 0.25, weight_decay: 5e-4}"
    folder = RunFolder(run(TEXT, tmp_path / "out", callback, "prune.plan=null"))
    masks, slim = folder.arrays("masks.npz"), folder.model("slim.keras")
    kernels = {variable.path: variable.numpy() for variable in slim.variables}
    assert len(masks) == 8  # seven convolutions and the classifier
    for path, mask in masks.items():
        assert (kernels[path][~mask] == 0).all()
        assert mask.sum() == mask.size - min(np.ceil(round(0.75 * mask.size, 9)), mask.size - 1)
    summary = folder.json("summary.json")
    assert summary["slim"]["sparsity"] == pytest.approx(0.75, abs=0.005)
    assert summary["slim"]["nonzero"] < 0.3 * summary["dense"]["params"]
    assert summary["slim"]["params"] == summary["dense"]["params"]


def test_checkpoint_without_data_is_pruned_and_counted(tmp_path):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    keras.Model(inputs, keras.layers.Dense(4)(x)).save(tmp_path / "mine.keras")
    data = {
        "name": "mine",
        "why": "A test.",
        "model": {"start": str(tmp_path / "mine.keras"), "size": 16},
        "prune": {"plan": {"keep": 0.25}},
    }
    folder = RunFolder(running.run(loading.check(data), tmp_path / "out", console=QUIET))
    summary = folder.json("summary.json")
    assert summary["dense"]["macs"] == 27 * 8 * 16 * 16 + 8 * 4
    assert summary["slim"]["macs"] == 27 * 2 * 16 * 16 + 2 * 4
    assert summary["slim"]["accuracy"] is None
    assert folder.file("report.html").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("prune.plan.budget.keep=[1, 0.5]", "4 stages"),
        ("data.name=digitss", "Did you mean 'digits'"),
        ("data.augment=crop_flip", "mirroring"),
        ("data.validation=other", "other"),
        ("model.classes=5", "at least 10 outputs"),
        ("model.depth=9", "6n"),
        ("prune.callback.schedule.step=-1", "step=-1"),
        (ROUNDS, "divide into 97 equal phases"),
        ("prune.callback={name: iterative_magnitude}", "no plan with 'iterative_magnitude', which takes none"),
    ],
)
def test_what_would_fail_later_is_found_before_training(setting, words, tmp_path, monkeypatch):
    monkeypatch.setattr("kerasprune.recipes.stages.finetune.train", lambda one: pytest.fail("training began"))
    recipe = loading.parse(TEXT, [setting])
    with pytest.raises(PruneError, match=words):
        running.run(recipe, tmp_path / "out", console=QUIET)
    assert not (tmp_path / "out" / "recipe.yaml").exists()


def test_a_model_that_cannot_be_rounded_is_found_before_training(tmp_path):
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, dtype="mixed_float16")(inputs)
    outputs = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(inputs, outputs).save(tmp_path / "half.keras")
    settings = [f"model={{start: {tmp_path / 'half.keras'}}}", "train=null", "prune={plan: {keep: 0.5}}"]
    recipe = loading.parse(TEXT, [*settings, "finetune.quantization_aware={}"])
    with pytest.raises(PruneError, match="Expected a model in float32"):
        running.run(recipe, tmp_path / "out", console=QUIET)
    assert not (tmp_path / "out" / "recipe.yaml").exists()


def test_callback_that_picks_by_itself_wants_free_trunks(tmp_path):
    settings = ["prune.plan={keep: 0.5, coupling: tied}", "prune.callback={name: greg2}"]
    with pytest.raises(PruneError, match="coupling: free"):
        running.run(loading.parse(TEXT, settings), tmp_path / "out", console=QUIET)


def test_smoke_is_short_and_leaves_the_rest():
    recipe = loading.load("greg1-resnet50-imagenet-3.06x")
    short = running.smoke_form(recipe)
    assert short.smoke
    assert (short.train.epochs, short.prune.epochs, short.finetune.epochs) == (1, 2, 1)
    assert (short.data.size, short.data.batch) == (64, 4)
    assert short.prune.plan == recipe.prune.plan
    assert short.prune.callback == recipe.prune.callback
    assert running.smoke_form(short) == short
    assert not recipe.smoke


def test_default_folder_is_named_after_recipe_and_hash():
    recipe = loading.parse(TEXT)
    assert running.default_folder(recipe) == Path("runs") / f"tiny-{loading.fingerprint(recipe)}"
    other = loading.parse(TEXT, ["seed=1"])
    assert running.default_folder(other) != running.default_folder(recipe)


@pytest.mark.whole
def test_summary_is_json_without_nan(finished):
    json.loads(finished.file("summary.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_a_model_by_name_is_reconfigured():
    text = """
name: tiny
why: A test.
model: {name: resnet_cifar, depth: 8, classes: 4}
reconfigure: {params: 0.8, macs: 1.0}
data: {name: digits, size: 16}
train: {epochs: 1, optimizer: {name: sgd, learning_rate: 0.1}}
"""
    recipe = loading.parse(text)
    recipes = recipe, recipe.model_copy(update={"reconfigure": None})
    new, old = (kp.cost(Experiment(each).dense_model()) for each in recipes)
    assert new.params / old.params == pytest.approx(0.8, rel=0.03)
    assert new.macs / old.macs == pytest.approx(1.0, rel=0.03)


def test_callbacks_of_finetuning_are_made_before_anything_is_trained(tmp_path):
    kp.models.lenet_300_100(classes=2, input_shape=(2, 2, 1)).save(tmp_path / "mine.keras")
    np.savez(tmp_path / "mine.npz", x=np.zeros((20, 2, 2, 1), "float32"), y=np.arange(20) % 2)
    start = f"name: t\nwhy: w\nmodel: {{start: {tmp_path}/mine.keras}}\ndata: {{name: {tmp_path}/mine.npz}}\n"
    tuned = "epochs: 1, optimizer: {name: sgd, learning_rate: 0.1}, callbacks: [{name: soft_filter_pruning, keep: 5}]"
    recipe = loading.parse(f"{start}prune: {{plan: {{macs: 0.5}}}}\nfinetune: {{{tuned}}}\n")
    with pytest.raises(PruneError, match="SoftFilterPruning"):
        running.run(recipe, tmp_path / "out", console=Console(quiet=True))
    assert not (tmp_path / "out").exists()


def test_an_export_that_a_fixed_batch_forbids_is_refused_before_anything_is_spent(tmp_path, monkeypatch):
    inputs = keras.Input(batch_shape=(4, 6))
    keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(8)(inputs))).save(tmp_path / "fixed.keras")
    spent = []
    monkeypatch.setattr(running, "_finish", lambda one, name: spent.append(name))
    text = (
        f"name: tiny\nwhy: A test.\nmodel: {{start: {tmp_path}/fixed.keras}}\nprune: {{plan: {{keep: 0.5}}}}\n"
        f"data: {{name: {tmp_path}/x.npz}}\nexport: [saved_model]\n"
    )
    np.savez(tmp_path / "x.npz", x=np.ones((200, 6), "float32"), y=np.arange(200) % 3)
    with pytest.raises(PruneError, match="fixed batch size"):
        run(text, tmp_path / "out")
    assert not spent


@pytest.mark.parametrize("others", [["saved_model"], pytest.param([], marks=pytest.mark.thorough)])
def test_of_an_export_that_this_machine_cannot_write_a_run_warns_and_delivers_the_rest(others, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.warns(UserWarning, match=r'the export tflite-float16. Received: .*"kerasprune\[export\]".*the rest'):
        folder = run(TEXT, tmp_path / "out", f"export={[*others, 'tflite-float16']}")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert [one["format"] for one in summary["exports"]] == others
    assert summary["slim"]["accuracy"] is not None and (folder / "slim.keras").exists()
    assert "tflite-float16" in (folder / "warnings.txt").read_text(encoding="utf-8")


@pytest.mark.thorough
def test_a_sequential_that_noted_its_first_batch_is_exported_by_a_run(tmp_path):
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)])
    model(rng.normal(size=(4, 6)).astype("float32"))  # built by four examples
    model.save(tmp_path / "noted.keras")
    np.savez(tmp_path / "x.npz", x=rng.normal(size=(200, 6)).astype("float32"), y=np.arange(200) % 3)
    text = (
        f"name: tiny\nwhy: A test.\nmodel: {{start: {tmp_path}/noted.keras}}\nprune: {{plan: {{keep: 0.5}}}}\n"
        f"data: {{name: {tmp_path}/x.npz}}\nexport: [tflite]\n"
    )
    assert any(run(text, tmp_path / "out").rglob("*.tflite"))
