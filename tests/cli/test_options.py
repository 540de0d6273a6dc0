"""Options that are keys of a recipe are what the schema says of those; faults are told in options."""

from __future__ import annotations

import typing

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune import PruneError, cli
from kerasprune.cli.options import METAVARS, option
from kerasprune.cli.words import OPTIONS, in_options, word_of
from kerasprune.errors import Given, Key, raise_faults
from kerasprune.recipes import loader, runner
from kerasprune.recipes.keys import field

COMMANDS = get_command(cli.app).commands
KEYED = ("prune", "precrop", "compare", "space", "search", "export", "inspect")
PLAIN = (int, float, str)
SECTIONS = ("data", "examples", "finetune", "finetune.distil", "reconstruct", "overwrite", "folder", "size")
NO_KEYS = {
    ("prune", "--time"),
    ("search", "--time"),
    ("prune", "--table"),
    ("search", "--table"),
    ("prune", "--precision"),
    ("search", "--precision"),
    ("compare", "--macs"),
    ("compare", "--seed"),
    ("space", "--seed"),
    ("search", "--delta"),
    ("search", "--samples"),
}
"""Options with the name of a key that are something else: a part of the target, several fractions, the first seed, …"""


def refused(*arguments) -> str:
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "mine.keras"
    kp.models.lenet_300_100(classes=3, input_shape=(8, 8, 3), seed=0).save(path)
    return path


@pytest.mark.parametrize("name", KEYED)
def test_an_option_of_a_key_takes_what_the_key_takes(name):
    """Its help begins with what the schema says; the type that is written beside it is that of the field."""
    own = {parameter.opts[0]: parameter for parameter in COMMANDS[name].whole.params}
    hints = typing.get_type_hints(COMMANDS[name].info.callback)
    keys = [key for key in OPTIONS if OPTIONS[key] in own and key not in SECTIONS]
    keys = [key for key in keys if (name, OPTIONS[key]) not in NO_KEYS]
    assert len(keys) > 3
    for key in keys:
        said = [option(each).help for each in keys if OPTIONS[each] == OPTIONS[key]]
        assert any(each and own[OPTIONS[key]].help.startswith(each) for each in said), (name, key)
        hint = hints[own[OPTIONS[key]].name]
        for kind in PLAIN:
            assert (kind in _kinds(hint)) <= (kind in _kinds(field(key).annotation) or kind is str), (name, key)


def _kinds(annotation):
    found = {annotation} & set(PLAIN)
    for each in typing.get_args(annotation):
        found |= _kinds(each)
    return found


def stopped_at(monkeypatch, module, name):
    """Returns the list that takes what a command hands to a function, the recipe or the run, where the command ends."""
    seen = []

    def stop(recipe, *more, **options):
        seen.append(recipe)
        raise PruneError("enough")

    monkeypatch.setattr(module, name, stop)
    return seen


def test_what_is_not_given_is_left_to_the_schema(model, tmp_path, monkeypatch):
    seen = stopped_at(monkeypatch, loader, "check")
    assert refused("prune", model, "--keep", 0.5, "--data", "digits", "--out", tmp_path / "out") == "enough"
    (recipe,) = seen
    assert recipe["prune"] == {"plan": {"keep": 0.5}} and recipe["data"] == {"name": "digits"} and "seed" not in recipe


@pytest.mark.parametrize("source", [("--data", "digits"), ("--examples", 30)])
def test_the_examples_that_kernels_are_solved_on_are_counted(source, model, tmp_path, monkeypatch):
    seen, start = [], ("prune", model, "--keep", 0.5, *source, "--out", tmp_path / "out", "--samples")
    assert "--samples: Expected a number > 0. Received: --samples 0." in refused(*start, 0)
    assert "Expected --reconstruct with --samples" in refused(*start, 20, "--no-reconstruct")
    seen = stopped_at(monkeypatch, loader, "check")
    assert refused(*start, 20) == "enough"
    assert seen[0]["reconstruct"] == {"samples": 20} and seen[0]["data"].get("samples") == dict([source]).get(
        "--examples"
    )


def test_all_faults_are_told_in_options(model, tmp_path):
    wrong = ("--macs", 50, "--round-to", 0, "--unknown", "keep", "--size", -1, "--criterion", "l3", "--seed", -2)
    found = refused("prune", model, *wrong, "--export", "tflit", "--out", tmp_path / "out")
    for words in (
        "--macs: Expected a number ≤ 1. Received: --macs 50. Did you mean 0.5?",
        "--round-to: Expected a number > 0. Received: --round-to 0.",
        "--unknown: Expected one of raise, freeze. Received: --unknown keep.",
        "--size: Expected a number > 0. Received: --size -1.",
        "--criterion: Expected a known criterion",
        "--seed: Expected a number ≥ 0. Received: --seed -2.",
        "--export: Expected one of kpz, saved_model, tflite",
    ):
        assert words in found, (words, found)
    assert "prune.plan" not in found and "model." not in found


def test_faults_of_several_options_name_them(model, tmp_path):
    out = ("--out", tmp_path / "out")
    calibrated = ("--keep", 0.5, "--export", "tflite-int8", *out)
    assert "Expected --data, or --calibrate, to calibrate tflite-int8 with" in refused("prune", model, *calibrated)
    nowhere = refused("prune", model, *calibrated, "--calibrate", tmp_path / "no.npy")
    assert "Expected --calibrate to be a file or a folder" in nowhere
    trained = ("--keep", 0.5, "--data", "digits", "--finetune-epochs", 1, *out)
    assert "--optimizer: Expected one of sgd, adam" in refused("prune", model, *trained, "--optimizer", "adm")
    rate = refused("prune", model, *trained, "--learning-rate", -1)
    assert "--learning-rate: Expected a number > 0. Received: --learning-rate -1." in rate
    assert "--finetune-epochs: Expected" in refused("prune", model, *trained[:5], -1, *out)


def test_a_recipe_is_told_in_its_own_keys(tmp_path):
    found = refused("validate", "digits-greg1", "--set", "prune.plan.round_to=0", "--set", "data.batch=0")
    assert "prune.plan.round_to: Expected a number > 0. Received: 0." in found
    assert "data.batch: Expected" in found and "--" not in found


def test_a_message_is_spelled_for_its_reader():
    parts = (
        "Expected ",
        Key("data.name", "name"),
        " with ",
        Key("prune.plan"),
        ". Received: ",
        Given("seed", value=1.5),
    )
    with pytest.raises(PruneError) as caught:
        raise_faults("Nothing:", [PruneError(*parts), "plain"])
    assert str(caught.value) == "Nothing:\n  - Expected name with prune.plan. Received: 1.5\n  - plain"
    said = caught.value.spelled({"data.name": "--data", "seed": "--seed"}.get)
    assert said == "Nothing:\n  - Expected --data with prune.plan. Received: --seed 1.5\n  - plain"


def test_a_key_is_an_option_only_where_the_command_has_it():
    assert word_of(COMMANDS["prune"].whole)("prune.plan.macs") == "--macs"
    assert word_of(COMMANDS["prune"].whole)("export.0") == "--export"
    assert word_of(COMMANDS["search"].whole)("prune.plan.budget") is None
    assert word_of(COMMANDS["run"].whole)("prune.plan.macs") is None
    assert set(METAVARS) <= set(OPTIONS.values())


@pytest.mark.parametrize("optimizer", ["rmsprop", "lion"])
def test_any_optimizer_of_keras_and_a_split_to_look_at(optimizer, model, tmp_path, monkeypatch):
    seen = stopped_at(monkeypatch, runner, "carry_out")
    trained = ("--keep", 0.5, "--data", "digits", "--finetune-epochs", 2, "--validation", "test")
    assert refused("prune", model, *trained, "--optimizer", optimizer, "--out", tmp_path / "out") == "enough"
    recipe = seen[0].recipe
    assert recipe.finetune.optimizer.name == optimizer and recipe.data.validation == "test"
    assert recipe.finetune.optimizer.learning_rate.start == 0.001


def _help(name, monkeypatch, columns=80):
    monkeypatch.setenv("COLUMNS", str(columns))
    result = CliRunner().invoke(cli.app, [name, "--help"])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_names_every_option_whole(name, monkeypatch):
    """Each name stands at the left of a row of its own, with what it takes; nothing is cut or wider than the screen."""
    printed = _help(name, monkeypatch)
    assert "<" not in printed and max(map(len, printed.splitlines())) <= 80
    rows = [line.strip("│ ").split("  ")[0] for line in printed.splitlines() if line.startswith("│ ")]
    for parameter in COMMANDS[name].whole.params:
        if parameter.param_type_name == "option":
            (long,) = [each for each in parameter.opts if each.startswith("--")]
            (row,) = [row.split() for row in rows if long in row.split()]
            assert row[row.index(long) + 1 :] == ([parameter.metavar] if parameter.metavar else []), row
            assert all(other in rows for other in parameter.secondary_opts)


def test_help_begins_with_what_most_need(monkeypatch):
    printed = _help("prune", monkeypatch)
    assert printed.count("\n") < 140
    first, others = printed.split("─ Options ─")[1].split("─ Which channels ─")
    for name in ("--out", "--keep", "--macs", "--params", "--criterion", "--data", "--scale", "--finetune-epochs"):
        assert f"│ {name} " in first
    assert all(f"│ {name} " in others for name in ("--budget", "--optimizer", "--import", "--log-file", "--seed"))
    assert first.count("│ --") < 14 and "Required" in first
    optional = _help("inspect", monkeypatch).split("─ Options ─")[1]
    assert "--prunable" in optional.split("╰")[0]


def test_arguments_of_python_are_told_as_options():
    prune, search = (COMMANDS[name].whole for name in ("prune", "search"))
    told = {
        "Expected seed to be an integer ≥ 0. Received: seed=-1.": "Expected --seed to be an integer ≥ 0. "
        "Received: --seed -1.",
        "Give loss=, such as 'mse'. Received: loss=None.": "Give --loss, such as 'mse'. Received: no --loss.",
        "with min_keep=1 and round_to=8. Lower min_keep.": "with --min-keep 1 and --round-to 8. Lower --min-keep.",
        "What meets it: budget='global', with 0.5.": "What meets it: --budget global, with 0.5.",
        "Expected fraction to be in (0, 1). Received: fraction=1.5.": "Expected --time to be in (0, 1). "
        "Received: --time 1.5.",
        "Expected freeze to name layers.": "Expected --freeze to name layers.",
    }
    assert {text: in_options(text, prune) for text in told} == told
    assert (
        in_options("Widen the limits (delta=), or pass tries=.", search)
        == "Widen the limits (--delta), or pass tries=."
    )
    for text in (
        "Give model.compile(loss='mse').",
        "--loss=mse",
        "The loss is low.",
        "x=1",
        "Received: name='a'.",
        "verbose=1",
    ):
        assert in_options(text, prune) == text
    assert in_options("Received: seed=-1, loss=None.", COMMANDS["run"].whole) == "Received: seed=-1, loss=None."
