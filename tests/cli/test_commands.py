"""The command line: what each command prints, and that nothing asked for in vain ends in a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import keras
import pytest
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune import cli, recipes
from kerasprune.errors import warn
from kerasprune.recipes import loader

RUNNER = CliRunner()


def invoke(*arguments):
    return RUNNER.invoke(cli.app, [str(argument) for argument in arguments])


def refused(*arguments) -> str:
    """Runs a command that cannot be done; returns its message."""
    result = invoke(*arguments)
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "mine.keras"
    kp.models.resnet_cifar(8, classes=10, input_shape=(16, 16, 3), width=0.5, seed=0).save(path)
    return path


# ---- what works ---------------------------------------------------------------------------------------------


def test_help_names_every_command():
    result = invoke("--help")
    assert result.exit_code == 0
    commands = ("run", "prune", "inspect", "export", "ls", "validate", "show", "report", "reproduce")
    assert all(f" {command} " in result.stdout for command in commands)


@pytest.mark.whole
def test_prune_writes_a_folder_and_its_report_can_be_redrawn(model, tmp_path):
    out = tmp_path / "out"
    result = invoke("prune", model, "--macs", 0.5, "--out", out)
    assert result.exit_code == 0, result.output
    assert "MACs" in result.stdout
    dense, slim = (keras.models.load_model(out / f"{name}.keras") for name in ("dense", "slim"))
    assert 0.4 < kp.cost(slim).macs / kp.cost(dense).macs < 0.6
    before = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert invoke("report", out).exit_code == 0
    assert (out / "report.html").read_bytes() == before


@pytest.mark.thorough
def test_precrop_writes_an_untrained_model(model, tmp_path):
    out = tmp_path / "out"
    assert "--params, --macs or both. Received: neither" in refused("precrop", model, "--out", out)
    assert "Did you mean 0.5?" in refused("precrop", model, "--out", out, "--params", 50)
    result = invoke("precrop", model, "--params", 0.5, "--macs", 0.6, "--out", out)
    assert result.exit_code == 0, result.output
    assert "untrained" in result.stdout and "multiply–adds" in result.stdout
    slim, dense = keras.models.load_model(out / "slim.keras"), keras.models.load_model(model)
    assert 0.45 < kp.cost(slim).params / kp.cost(dense).params < 0.55
    assert kp.Plan.load(out / "plan.json").coupling == "padded"
    cropped = kp.rebuild(dense, kp.Plan.load(out / "plan.json"), absorb=False)
    kernels = [each.get_layer("stem_conv").get_weights()[0] for each in (slim, cropped)]
    assert kernels[0].shape == kernels[1].shape and (kernels[0] != kernels[1]).any()


@pytest.mark.thorough
def test_prune_finetunes_on_the_data_named(model, tmp_path):
    options = ("--keep", 0.5, "--data", "digits", "--size", 16, "--finetune-epochs", 1, "--budget", "global")
    result = invoke("prune", model, *options, "--criterion", "l2", "--coupling", "free", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "finetune 1/1: " in result.stdout
    assert "test accuracy" in result.stdout


BLOCK = """
import keras

class Block(keras.layers.Layer):
    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.first = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")
        self.second = keras.layers.Conv2D(filters, 3, padding="same")

    def build(self, shape):
        self.first.build(shape)
        self.second.build((*shape[:-1], self.filters))
        super().build(shape)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}

    def call(self, x):
        return x + self.second(self.first(x))
"""


def test_composite_layers_of_a_file_are_written_out(tmp_path):
    code, path, out = tmp_path / "my_blocks.py", tmp_path / "mine.keras", tmp_path / "out"
    code.write_text(BLOCK)
    scope = {"__name__": "elsewhere"}
    exec(BLOCK, scope)  # noqa: S102
    inputs = keras.Input((8, 8, 3))
    x = scope["Block"](8, name="block")(keras.layers.Conv2D(8, 3, name="stem")(inputs))
    x = keras.layers.Dense(3, name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(inputs, x).save(path)
    assert "--import FILE.py --trust" in refused("inspect", path)
    assert "Expected the option --trust" in refused("inspect", path, "--import", code)
    assert "no_such.py" in refused("inspect", path, "--import", tmp_path / "no_such.py", "--trust")
    try:
        shown = invoke("inspect", path, "--import", code, "--trust")
        assert shown.exit_code == 0, shown.output
        assert "block_conv2d" in shown.stdout and "unknown" not in shown.stdout
        pruned = invoke("prune", path, "--keep", 0.5, "--out", out, "--import", code, "--trust")
        assert pruned.exit_code == 0, pruned.output
    finally:
        keras.saving.get_custom_objects().pop("Block", None)
        sys.modules.pop("my_blocks", None)
    slim = keras.models.load_model(out / "slim.keras")  # without the class
    inner = [each.filters for each in slim.layers if each.name.startswith("block_")]
    assert inner == [4, 4]


def test_inspect_shows_groups_and_costs(model):
    result = invoke("inspect", model)
    assert result.exit_code == 0
    assert "stage1_block1_conv1" in result.stdout
    macs = kp.cost(keras.models.load_model(model)).macs
    assert f"{macs:,}" in result.stdout
    found = json.loads(invoke("inspect", model, "--json", "--freeze", "stage1_block1_conv1").stdout)
    assert found["macs"] == macs == sum(layer["macs"] for layer in found["layers"])
    assert "stage1_block1_conv1" not in [group["name"] for group in found["groups"]]
    shown = invoke("inspect", model, "--prunable", "--sort", "macs").stdout
    shares = [float(line.split("│")[5]) for line in shown.splitlines() if line.count("│") == 6]
    assert shares[:-1] == sorted(shares[:-1], reverse=True) and shares[-1] == 100


@pytest.mark.parametrize("widths", [(1, 8), (1,)])
def test_inspect_names_no_group_of_one_channel_as_prunable(tmp_path, widths):
    names = [f"hidden_{number}" for number in range(len(widths))]
    hidden = [keras.layers.Dense(width, name=name) for name, width in zip(names, widths, strict=True)]
    keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(2)]).save(tmp_path / "mine.keras")
    shown = invoke("inspect", tmp_path / "mine.keras", "--prunable").stdout
    assert "1 channels" not in shown and ("hidden_1: 8 channels" in shown) == (len(widths) == 2)
    assert ("No group of channels can be pruned" in shown) == (len(widths) == 1)
    lines = invoke("inspect", tmp_path / "mine.keras").stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("hidden_0 ")]
    assert "pinned" in line and "(one channel, or several that live and die together)" in line


def test_inspect_draws_the_graph_that_was_asked_for(model, tmp_path):
    pytest.importorskip("pygraphviz")
    path, name = tmp_path / "net.svg", "stage1_block1_conv1"
    shown = invoke("inspect", model, "--plot", path, "--freeze", name).stdout
    (row,) = (line for line in shown.splitlines() if line.startswith(name))
    assert "freeze" in row and path.read_text(encoding="utf-8").count("<svg") == 1
    assert "--sort, --json" in refused("inspect", model, "--plot", path, "--json", "--sort", "macs")
    kp.codec.pack(keras.models.load_model(model), tmp_path / "net.kpz")
    assert "kerasprune unpack" in refused("inspect", tmp_path / "net.kpz", "--plot", tmp_path / "other.svg")


def test_inspect_of_a_free_side_asks_for_a_size(tmp_path):
    kp.models.resnet_cifar(8, width=0.5).save(tmp_path / "free.keras")
    assert "--size" in invoke("inspect", tmp_path / "free.keras").stdout
    assert "MACs" in invoke("inspect", tmp_path / "free.keras", "--size", 16).stdout


@pytest.mark.thorough
def test_a_free_side_without_a_size_is_only_cut(tmp_path):
    kp.models.resnet_cifar(8, width=0.5).save(tmp_path / "free.keras")
    command = ["prune", tmp_path / "free.keras", "--keep", 0.5]
    result = invoke(*command, "--out", tmp_path / "free")
    assert result.exit_code == 0 and "Expected --size" in result.output and (tmp_path / "free" / "slim.keras").exists()
    result = invoke(*command, "--out", tmp_path / "given", "--size", 16)
    assert result.exit_code == 0 and "Expected --size" not in result.output, result.output


@pytest.mark.thorough
def test_export_writes_and_measures(model, tmp_path):
    result = invoke("export", model, "--format", "tflite", "--out", tmp_path / "mine.tflite")
    assert result.exit_code == 0, result.output
    assert "max error" in result.stdout
    assert (tmp_path / "mine.tflite").stat().st_size > 1000


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("models", "resnet_cifar"),
        ("data", "digits"),
        ("criteria", "l1"),
        ("budgets", "per_stage"),
        ("callbacks", "greg1"),
        ("recipes", "digits-greg1"),
    ],
)
def test_ls_lists_names_each_with_a_line(kind, name):
    for printed in (invoke("ls", kind).stdout, invoke("ls").stdout):
        (line,) = (line for line in printed.splitlines() if line.startswith(f"  {name} "))
        assert len(line.split()) > 3


def test_ls_begins_with_what_can_be_run_here(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    here = invoke("ls").stdout
    assert here.startswith("recipes that can be run here:\n  digits-deep-compression ") and len(here.splitlines()) < 100
    assert "\n  greg1-resnet56-cifar10 " not in here and "whose data are not here: kerasprune ls recipes" in here
    first, others = invoke("ls", "recipes").stdout.split("recipes whose data are not here:\n")
    assert "  glyphs-base " in first and "  greg1-resnet56-cifar10 " in others and "tiny-imagenet" in others
    (tmp_path / "cifar10" / "3.0.2").mkdir(parents=True)
    assert "\n  greg1-resnet56-cifar10 " not in invoke("ls").stdout  # a download that was broken off
    (tmp_path / "cifar10" / "3.0.2" / "dataset_info.json").touch()
    assert "\n  greg1-resnet56-cifar10 " in invoke("ls").stdout
    monkeypatch.setattr("kerasprune.models.sets.lookup.find_spec", lambda module: None)
    assert "\n  digits-greg1 " not in invoke("ls").stdout


def test_validate_and_show():
    result = invoke("validate", "digits-greg1", "--set", "finetune.epochs=3")
    assert result.exit_code == 0
    assert "digits-greg1 is valid: train, prune, rebuild, finetune, evaluate, export, report" in result.stdout
    assert (
        "valid: train, prune, rebuild, evaluate," in invoke("validate", "digits-greg1", "--set", "finetune=null").stdout
    )
    none = refused("validate", "digits-greg1", "--set", "prune.plan.keep=null", "--set", "prune.plan.macs=null")
    assert "Expected one of keep, macs, params and target. Received: none." in none
    assert "'per_stage' needs keep" in refused("validate", "digits-greg1", "--set", "prune.plan.budget=per_stage")
    text = (recipes.FOLDER / "digits-greg1.yaml").read_text().rstrip()
    assert invoke("show", "digits-greg1").stdout.rstrip() == text


def test_reproduce_prints_a_verdict_and_its_exit_code_follows_it(monkeypatch):
    from kerasprune.recipes.reproductions import entry as reproduce

    rows = [reproduce.Row("a", 1.0, 1.0, 0.1)]
    monkeypatch.setitem(reproduce.entries._added, "stub", lambda: rows)
    result = invoke("reproduce", "stub")
    assert result.exit_code == 0
    assert "verdict: agrees" in result.stdout
    rows.append(reproduce.Row("b", 1.0, 2.0, 0.1))
    result = invoke("reproduce", "stub")
    assert result.exit_code == 1
    assert "verdict: differs" in result.stdout
    assert "greg-tables: " in invoke("reproduce", "--list").stdout
    rows[1] = reproduce.Row("b", 1.0, 2.0, 0.1, known="a misprint.")
    result = invoke("reproduce", "stub")
    assert result.exit_code == 0 and "b: a misprint." in result.stdout


def test_reproduce_all_prints_each_entry_and_writes_a_page(monkeypatch, tmp_path):
    from kerasprune.recipes.reproductions import entry as reproduce

    def counted():
        """Counts."""
        return [reproduce.Row("a|b", 1.0, 1.0, 0.1)]

    @reproduce.TrainingEntry
    def trained():
        """Trains."""
        return [reproduce.Note("c", "1", "2", judgement="cannot tell")]

    monkeypatch.setattr(reproduce.entries, "built_in", {"counted": counted, "trained": trained})
    listed = [invoke("reproduce", "--list", *options).stdout for options in ((), ("--exact",))]
    assert listed == ["counted: Counts.\ntrained: Trains.\n", "counted: Counts.\n"]
    result = invoke("reproduce", "all", "--exact", "--out", tmp_path / "exact")
    assert result.exit_code == 0 and "trained" not in result.stdout
    result = invoke("reproduce", "all", "--out", tmp_path / "out")
    assert result.exit_code == 0 and result.stdout.rstrip().endswith("reproduced.md")
    page = (tmp_path / "out" / "reproduced.md").read_text()
    assert "| a¦b | 1 | 1 | ±0.1 | agrees |" in page and "| c | 1 | 2 | – | cannot tell |" in page
    assert all(f"| {what} | " in page for what in ("seed", "versions", "machine", "finished"))
    assert "Expected a folder without reproduced.md" in refused("reproduce", "counted", "--out", tmp_path / "out")


# ---- what is refused ----------------------------------------------------------------------------------------


def test_fractions_out_of_range(model, tmp_path):
    out = ("--out", tmp_path / "out")
    assert "Received: --keep 1.5. Did you mean 0.015?" in refused("prune", model, "--keep", 1.5, *out)
    assert "Received: --macs 50. Did you mean 0.5?" in refused("prune", model, "--macs", 50, *out)
    assert "Received: --macs 0." in refused("prune", model, "--macs", 0, *out)
    assert "--keep 0.5 and --macs 0.5" in refused("prune", model, "--macs", 0.5, "--keep", 0.5, *out)
    assert "--keep, --macs, --params, --time, --bytes and --ram" in refused("prune", model, *out)
    assert not (tmp_path / "out").exists()


def test_unknown_names(model, tmp_path):
    out = tmp_path / "out"
    assert "Expected a known criterion" in refused("prune", model, "--keep", 0.5, "--criterion", "l11", "--out", out)
    assert "Did you mean 'digits-greg1'" in refused("run", "digits-greg", "--out", out)
    assert "Did you mean 'digits-greg1'" in refused("validate", "digits-greg")
    assert "Did you mean 'digits-greg1'" in refused("show", "digits-greg")
    assert "Did you mean 'epochs'" in refused("validate", "digits-greg1", "--set", "train.epoch=3")
    assert "Did you mean 'recipes'" in refused("ls", "recipe")
    assert "Did you mean 'tflite'" in refused("export", model, "--format", "tflit", "--out", out)
    assert "Did you mean 'greg-tables'" in refused("reproduce", "greg-table")
    assert not out.exists()


def test_recipe_file_with_faults_lists_them_all(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\nwhy: x\nmodel: {name: resnet_cifr}\ntrain: {epochs: 0}\n")
    message = refused("run", path, "--out", tmp_path / "out")
    assert message.count("\n  - ") == 3
    assert "line 3, model: " in message
    assert "line 4, train.epochs: " in message
    assert "line 4, train.optimizer: this key is missing." in message


def test_models_that_cannot_be_read(tmp_path):
    assert "not a file" in refused("inspect", tmp_path / "missing.keras")
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "saved_model.pb").write_bytes(b"")
    assert "a SavedModel" in refused("inspect", tmp_path / "exported")
    weights = tmp_path / "mine.weights.h5"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save_weights(weights)
    assert "weights without layers" in refused("export", weights, "--format", "tflite", "--out", tmp_path / "a.tflite")
    assert "not a file" in refused("prune", tmp_path / "missing.keras", "--keep", 0.5, "--out", tmp_path / "out")
    (tmp_path / "corrupt.keras").write_bytes(b"nothing like a model")
    assert "corrupt.keras" in refused("inspect", tmp_path / "corrupt.keras")
    assert "corrupt.keras" in refused("prune", tmp_path / "corrupt.keras", "--keep", 0.5, "--out", tmp_path / "out")


@keras.saving.register_keras_serializable("kerasprune-tests")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(3)

    def call(self, x):
        return self.dense(x)


@keras.saving.register_keras_serializable("kerasprune-tests")
class Branching(Subclassed):
    """A model whose code looks at numbers."""

    def call(self, x):
        return self.dense(x) if x[0, 0] > 0 else x


def test_a_subclassed_model_is_written_out(tmp_path):
    for kind in (Subclassed, Branching):
        model = kind(name="mine")
        model(keras.ops.ones((1, 4)))
        model.save(tmp_path / f"{kind.__name__}.keras")
    assert "dense" in invoke("inspect", tmp_path / "Subclassed.keras").stdout
    for refusal in (
        refused("inspect", tmp_path / "Branching.keras"),
        refused("prune", tmp_path / "Branching.keras", "--keep", 0.5, "--out", tmp_path / "out"),
    ):
        assert "kp.functional(model, inputs=batch)" in refusal


def test_nothing_is_overwritten(model, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    assert "holds files" in refused("prune", model, "--keep", 0.5, "--out", tmp_path)
    assert "holds files" in refused("run", "digits-greg1", "--smoke", "--out", tmp_path)
    assert "lacks recipe.yaml" in refused("run", "digits-greg1", "--smoke", "--resume", "--out", tmp_path)
    (tmp_path / "mine.tflite").write_text("mine")
    assert "pass --overwrite to" in refused("export", model, "--format", "tflite", "--out", tmp_path / "mine.tflite")
    assert (tmp_path / "mine.tflite").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.tflite", "precious.txt"]


def test_missing_data(model, tmp_path):
    out = tmp_path / "out"
    assert "digitz" in refused("prune", model, "--keep", 0.5, "--data", "digitz", "--finetune-epochs", 1, "--out", out)
    assert "data" in refused("prune", model, "--keep", 0.5, "--finetune-epochs", 1, "--out", out)
    assert not out.exists()
    assert "--data" in refused("export", model, "--format", "tflite-int8", "--out", tmp_path / "a.tflite")


def test_report_of_no_run(tmp_path):
    assert "not a folder" in refused("report", tmp_path / "missing")
    assert "summary.json" in refused("report", tmp_path)
    (tmp_path / "data.csv").write_text("mine")
    assert "pass --overwrite" in refused("report", tmp_path, "--out", tmp_path / "data.csv")
    assert "to end in .csv or .html" in refused("report", tmp_path, "--out", tmp_path / "slim.keras", "--overwrite")


def test_own_code_is_not_imported_without_trust():
    message = refused("validate", "digits-greg1", "--set", "prune.callback=os:getcwd")
    assert "--trust" in message


def test_interruption_says_how_to_go_on(monkeypatch, tmp_path):
    from kerasprune.recipes import runner as running

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run", interrupted)
    result = invoke("run", "digits-greg1", "--out", tmp_path / "out")
    assert result.exit_code == cli.INTERRUPTED
    assert "--resume" in result.stderr


def test_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "kerasprune", "show", "digits-greg"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Did you mean 'digits-greg1'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_warning_is_a_line_and_says_it_once(monkeypatch):
    def load(*_, **__):
        warn("Look here.")
        warn("Look here.")
        return found

    found = loader.load("digits-greg1")
    monkeypatch.setattr(loader, "load", load)
    result = invoke("validate", "digits-greg1")
    lines = [line for line in result.stderr.splitlines() if "warning" in line.lower()]
    assert lines == ["warning: Look here."]
    assert "typer" not in result.stderr and "callback" not in result.stderr


@pytest.mark.thorough
def test_a_comparison_shows_its_progress_and_nothing_of_tensorflow(model, tmp_path):
    options = ["--macs", "0.5", "--seeds", "1", "--criteria", "l1", "--controls", "none", "--finetune-epochs", "0"]
    call = [sys.executable, "-m", "kerasprune", "compare", str(model), "--data", "digits", *options, "--out", "out"]
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    found = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    lines = found.stderr.splitlines()
    assert lines and all("candidates" in line for line in lines), found.stderr
