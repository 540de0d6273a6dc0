"""Recipes are checked as a whole: every fault at once, with its line, its key and the nearest known key."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.refusal import refusal

from kerasprune import PruneError, recipes
from kerasprune.recipes import learning, library
from kerasprune.recipes import loader as loading
from kerasprune.recipes.runner import smoke_form

TEXT = """\
name: tiny
why: A test.
model: {name: resnet_cifar, depth: 8}
data: {name: digits, size: 16}
train:
  epochs: 3
  optimizer: {name: sgd, learning_rate: {name: multi_step, values: {0: 1e-2, 2: 1.0e-3}}}
  l2: 5e-4
prune:
  plan: {budget: {name: per_stage, keep: [1, 0.5, 0.5, 0.5]}, coupling: free}
  callback: {name: greg1, schedule: {every: 2}}
  optimizer: {name: sgd, learning_rate: 1e-3}
finetune: {epochs: 2, optimizer: {name: adam, learning_rate: {name: cosine, start: .01}}}
export: [tflite, saved_model]
"""


def faults(text: str, *settings: str) -> list[str]:
    title, *lines = refusal(text, *settings, source="tiny.yaml").split("\n  - ")
    assert title == "tiny.yaml cannot be run:"
    return lines


def test_valid_recipe_is_read_as_it_stands():
    recipe = loading.parse(TEXT)
    assert recipe.train.optimizer.learning_rate.values == {0: 0.01, 2: 0.001}
    assert recipe.train.l2 == 0.0005  # 5e-4 is a number, as in YAML 1.2
    assert recipe.prune.plan.budget.arguments == {"keep": [1, 0.5, 0.5, 0.5]}
    assert recipe.prune.optimizer.learning_rate == learning.Constant(value=0.001)
    assert recipe.status == "run"
    assert recipe.data.validation == "validation"


def test_every_fault_is_listed_with_line_key_and_nearest_key():
    text = (
        TEXT.replace("schedule: {e", "scedule: {e")
        .replace("depth", "dept")
        .replace("l2: 5e-4", "l2: -5e-4\n  batchh: 3")
    )
    text = text.replace("[tflite,", "[tflit,").replace("name: adam, learn", "name: adam, lern") + "sed: 3\nwhy: again\n"
    found = faults(text)
    assert len(found) == 9
    for line, words in (
        (3, "'resnet_cifar' has no argument 'dept'. Did you mean 'depth'?"),
        (8, "train.l2: Expected a number ≥ 0. Received: -0.0005."),
        (
            9,
            "train.batchh: unknown key. Did you mean 'batch'? "
            "Known keys: l2, l2_on, label_smoothing, epochs, optimizer, batch, callbacks.",
        ),
        (12, "'greg1' has no argument 'scedule'. Did you mean 'schedule'?"),
        (14, "finetune.optimizer.learning_rate: this key is missing."),
        (14, "finetune.optimizer.lerning_rate: unknown key. Did you mean 'learning_rate'?"),
        (
            15,
            "Did you mean 'tflite'? Received: 'tflit'.",
        ),
        (16, "sed: unknown key. Did you mean 'seed'?"),
        (17, "the key 'why' is given twice"),
    ):
        assert any(fault.startswith(f"line {line}") and words in fault for fault in found), (line, words, found)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("prune.plan.keep=1.5", "prune.plan.keep: Expected a number ≤ 1. Received: 1.5."),
        ("prune.plan.macs=0", "prune.plan.macs: Expected a number > 0. Received: 0."),
        ("prune.plan.criterion=taylr", "prune.plan.criterion: Expected a known criterion"),
        ("prune.plan.budget=unifrm", "Did you mean 'uniform'?"),
        ("prune.callback=greg3", "Expected a known callback"),
        ("prune.optimizer=null", "Expected an optimizer for the callback"),
        ("prune.optimizer.name=sdg", "'sdg'"),
        ("model={start: nowhere.keras}", "model.start: Expected the path of a .keras file that exists"),
        ("train=null", "Expected a train stage"),
        ("data=null", "Expected data for the training stages"),
        ("prune=null", "Expected a prune stage before finetune"),
        ("train.epochs=0", "train.epochs: Expected a number > 0"),
        ("train.optimizer.learning_rate.values={1: 0.1}", "Expected ascending epochs that begin with 0"),
        ("name=../escape", "name: Expected letters, digits"),
        ("prune={plan: {keep: 0.5, macs: 0.5}}", "Expected one of keep, macs, params and target"),
        ("prune={}", "Expected a plan, a callback, or both"),
        ("epochs", "Expected a setting key.key=value. Received: 'epochs'"),
        ("train.epochs.more=3", "where the recipe has no keys"),
    ],
)
def test_bad_value_is_explained(setting, words):
    found = faults(TEXT, setting)
    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["prune.callback=null"], "Expected a callback with keys of a fit.* Received: optimizer"),
        (["prune.callback=null", "prune.optimizer=null", "prune.l2=0.1", "prune.epochs=3"], "Received: epochs, l2$"),
        (["data={name: clips.npz, augment: crop, antialias: false}"], "not changed.* Received: augment, antialias"),
        (["data={name: clips.npz, evaluation_crop: 0.875}"], "Received: evaluation_crop"),
        (["calibrate=.", "export=[]"], "Expected an export with calibrate"),
    ],
)
def test_a_key_that_would_do_nothing_is_refused(settings, words):
    assert any(re.search(words, each) for each in faults(TEXT, *settings))


def test_settings_reach_nested_keys_lists_and_absent_sections():
    recipe = loading.parse(
        TEXT, ["train.epochs=7", "prune.plan.budget.keep.1=0.25", "paper.title=T", "paper.arxiv='1'", "paper.row=R"]
    )
    assert recipe.train.epochs == 7
    assert recipe.prune.plan.budget.arguments["keep"] == [1, 0.25, 0.5, 0.5]
    assert recipe.paper.row == "R"


CROPPED = """\
name: tiny
why: A test.
model: {name: resnet_cifar, depth: 8}
data: {name: digits, size: 16}
prune: {precrop: {params: 0.5}}
finetune: {epochs: 2, optimizer: {name: sgd, learning_rate: {name: linear, start: 0.1}}}
"""


def test_widths_before_training_need_no_trained_model():
    assert loading.parse(CROPPED).prune.precrop.coupling == "padded"
    for setting, words in (
        ("prune.precrop.params=null", "Expected params, macs or both"),
        ("prune.plan.keep=0.5", "Expected no other key with precrop"),
        ("finetune.distil.temperature=2", "neither reconstruct nor distil with precrop"),
        ("prune.precrop.macs=1.5", "prune.precrop.macs"),
    ):
        assert words in "".join(faults(CROPPED, setting)), setting
    start = CROPPED.replace("model: {name: resnet_cifar, depth: 8}", "model: {start: checkpoints/glyphs-base.keras}")
    assert "Expected a model by name with reconfigure" in "".join(faults(start, "reconfigure.params=0.5"))


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2", "", "!!python/object:os.system {}"])
def test_what_is_no_mapping_is_refused(text):
    with pytest.raises(PruneError, match="tiny.yaml"):
        loading.parse(text, source="tiny.yaml")


def test_resolved_recipe_reads_back_equal():
    recipe = loading.parse(TEXT, ["data.validation=null", "prune.plan.round_to=8"])
    assert recipe.data.validation is None
    assert loading.parse(loading.dump(recipe)) == recipe
    short = smoke_form(recipe)
    assert loading.parse(loading.dump(short)) == short


def test_every_recipe_of_the_package_is_valid_and_reads_back():
    for name in recipes.names():
        recipe = loading.load(name)
        assert recipe.name == name
        assert loading.parse(loading.dump(recipe)) == recipe, name
        text = library.find(name).read_text()
        assert text.startswith("# "), name
        assert f"#   kerasprune run {name}\n" in text


def test_fingerprint_follows_what_is_run_and_not_the_prose():
    recipe = loading.parse(TEXT)
    mark = loading.fingerprint(recipe)
    assert mark == loading.fingerprint(loading.parse(TEXT.replace("A test.", "Another.")))
    for setting in ("seed=1", "train.epochs=4", "data.size=32", "model.depth=14", "prune.callback.schedule.every=3"):
        assert loading.fingerprint(loading.parse(TEXT, [setting])) != mark


@settings(max_examples=30, deadline=None)
@given(
    epochs=st.integers(1, 500),
    rate=st.floats(1e-6, 1.0),
    seed=st.integers(0, 2**31 - 1),
    keep=st.floats(0.01, 1.0),
)
def test_numbers_survive_the_round_trip(epochs, rate, seed, keep):
    text = [f"train.epochs={epochs}", f"prune.optimizer.learning_rate={rate!r}", f"seed={seed}"]
    recipe = loading.parse(TEXT, [*text, "prune.plan.budget=uniform", f"prune.plan.keep={keep!r}"])
    assert (recipe.train.epochs, recipe.seed, recipe.prune.plan.keep) == (epochs, seed, keep)
    assert recipe.prune.optimizer.learning_rate.value == rate
    assert loading.parse(loading.dump(recipe)) == recipe


def test_own_code_needs_trust(tmp_path, monkeypatch):
    (tmp_path / "mine_for_recipes.py").write_text("class Mine:\n    def __init__(self, strength=1): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    setting = "train.callbacks=[{name: 'mine_for_recipes:Mine', strength: 2}]"
    with pytest.raises(PruneError, match="--trust"):
        loading.parse(TEXT, [setting])
    assert "mine_for_recipes" not in sys.modules
    recipe = loading.parse(TEXT, [setting], trust=True)
    assert recipe.train.callbacks[0].arguments == {"strength": 2}
    with pytest.raises(PruneError, match="no argument 'strenth'. Did you mean 'strength'"):
        loading.parse(TEXT, [setting.replace("strength", "strenth")], trust=True)
    with pytest.raises(PruneError, match="importable"):
        loading.parse(TEXT, ["train.callbacks=['mine_for_recipes:Other']"], trust=True)


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(PruneError, match="Did you mean 'digits-greg1'"):
        loading.load("digits-greg")
    with pytest.raises(PruneError, match="not a file"):
        loading.load("nowhere.yaml")


@pytest.mark.parametrize(("section", "side"), [({}, 32), ({"size": 32}, 32), ({"size": 16}, 16)])
def test_a_recipe_that_is_written_and_read_says_as_much_as_before(section, side):
    data = {"name": "digits", **section}
    recipe = loading.check({"name": "r", "why": "?", "model": {"start": "checkpoints/glyphs-base.keras"}, "data": data})
    again = loading.parse(loading.dump(recipe))
    assert again == recipe and again.data.size == section.get("size") and again.data.side == side
    assert loading.dump(again) == loading.dump(recipe)
