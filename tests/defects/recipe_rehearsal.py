"""Recipes whose arguments cannot work: `load`, or the rehearsal before the first stage, says so with `kp.PruneError`.

A case that `load` and the rehearsal both let pass although it cannot work is WRONG: it would fail after hours.
"""

import io
import tempfile
from pathlib import Path

import _cases
from _cases import Wrong, case, main
from rich.console import Console

from kerasprune import recipes
from kerasprune.recipes import runner as running
from kerasprune.recipes.run_folder import RunFolder
from kerasprune.recipes.stages import context as stages

_cases.SECONDS = 30

GOOD = """name: x
why: y
model: {name: resnet_cifar, depth: 8, classes: 10, input_shape: [16, 16, 3]}
data: {name: digits, size: 16, batch: 64}
train: {epochs: 2, optimizer: {name: sgd, learning_rate: 0.1, momentum: 0.9}}
prune:
  plan: {criterion: l1, budget: uniform, macs: 0.5}
  callback: {name: greg1, schedule: {step: 0.01, every: 2, settle: 60}}
  optimizer: {name: sgd, learning_rate: 0.01}
export: [saved_model]
"""
CALLBACK = "name: greg1, schedule: {step: 0.01, every: 2, settle: 60}"


def rehearse(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(text)
        recipe = recipes.load(path)
        running.rehearse(stages.Run(recipe, RunFolder(Path(folder) / "run"), Console(file=io.StringIO())))


def add(name, old, new, works=False):
    def run():
        assert old in GOOD, old
        rehearse(GOOD.replace(old, new))
        if not works:
            raise Wrong("passes load and rehearsal")
        return "rehearsed"

    run.__name__ = name
    case(run)


add("good", "name: x", "name: x", works=True)
for _name, _new in {
    "every_is_a_list": "every: [1, 2]",
    "every_is_null": "every: ~",
    "every_is_text": "every: often",
    "every_is_nan": "every: .nan",
    "every_is_zero": "every: 0",
    "every_is_fraction": "every: 1.5",
    "every_is_true": "every: true",
}.items():
    add(_name, "every: 2", _new)
for _name, _new in {
    "settle_is_text": "settle: long",
    "settle_is_negative": "settle: -1",
    "settle_is_mapping": "settle: {a: 1}",
    "settle_is_infinite": "settle: .inf",
}.items():
    add(_name, "settle: 60", _new)
for _name, _new in {
    "penalty_is_mapping": "step: {a: 1}",
    "penalty_is_nan": "step: .nan",
    "penalty_is_text": "step: big",
    "penalty_is_infinite": "step: .inf",
    "penalty_is_list": "step: [0.1]",
    "penalty_is_huge_integer": "step: " + "9" * 400,
}.items():
    add(_name, "step: 0.01", _new)
for _name, _new in {
    "granularity_unknown": "name: greg1, granularity: atoms",
    "granularity_list": "name: greg1, granularity: [filter]",
    "weight_decay_text": "name: greg2, weight_decay: a",
    "weight_decay_nan": "name: greg2, weight_decay: .nan",
    "ceiling_null": "name: greg1, schedule: {ceiling: ~}",
    "keep_is_text": "name: greg1, keep: half",
    "keep_is_mapping": "name: greg1, keep: {a: 0.5}",
    "keep_is_list": "name: greg1, keep: [0.5]",
    "stop_is_text": "name: greg1, schedule: {stop: maybe}",
    "schedule_without_numbers": "name: gradual_magnitude, schedule: {name: cubic, keep: a, end: b}",
    "schedule_of_nothing": "name: gradual_magnitude, schedule: {}",
    "schedule_unknown": "name: gradual_magnitude, schedule: nonsense",
    "schedule_a_number": "name: gradual_magnitude, schedule: 3",
    "schedule_a_list": "name: gradual_magnitude, schedule: [1]",
    "schedule_end_negative": "name: gradual_magnitude, schedule: {name: cubic, keep: 0.5, end: -3ep}",
    "schedule_end_text": "name: gradual_magnitude, schedule: {name: cubic, keep: 0.5, end: soon}",
    "schedule_end_list": "name: gradual_magnitude, schedule: {name: cubic, keep: 0.5, end: [1]}",
    "schedule_keep_nan": "name: gradual_magnitude, schedule: {name: cubic, keep: .nan, end: 3ep}",
    "schedule_extra": "name: gradual_magnitude, schedule: {name: cubic, keep: 0.5, end: 3ep, more: 1}",
    "greg2_pick_at_text": "name: greg2, schedule: {pick_at: a}",
    "greg2_recover_text": "name: greg2, recover: a",
    "iterative_rounds_text": "name: iterative_magnitude, rounds: many",
    "iterative_rounds_nan": "name: iterative_magnitude, rounds: .nan",
    "iterative_rewind_number": "name: iterative_magnitude, rounds: 2, rewind_to: 3",
    "iterative_rewind_text": "name: iterative_magnitude, rounds: 2, rewind_to: never",
    "polarization_text": "name: polarization, strength: a",
    "slimming_list": "name: network_slimming, strength: [1]",
    "shrink_rounds_dimension": "name: shrink_rounds, dimension: [width]",
    "resume_as_callback": "name: resume, directory: x",
    "callback_unknown": "name: greg9",
    "callback_empty_name": "name: ''",
}.items():
    add(f"callback_{_name}".replace("callback_callback", "callback"), CALLBACK, _new)
for _name, _new in {
    "per_stage_texts": "{name: per_stage, keep: [a, b]}",
    "per_stage_mapping_of_numbers": "{name: per_stage, keep: {1: 2}}",
    "per_stage_nested": "{name: per_stage, keep: [[1]]}",
    "per_stage_too_few": "{name: per_stage, keep: [0.5]}",
    "per_stage_null": "{name: per_stage, keep: ~}",
    "per_stage_nan": "{name: per_stage, keep: [.nan, .nan, .nan, .nan]}",
    "per_stage_unknown_layer": "{name: per_stage, keep: {nothing: 0.5}}",
    "per_stage_number": "{name: per_stage, keep: 0.5}",
    "threshold_text": "{name: threshold, value: a}",
    "global_extra": "{name: global, more: 1}",
}.items():
    add(f"budget_{_name}", "budget: uniform, macs: 0.5", f"budget: {_new}")
for _name, _new in {
    "depth_text": "depth: eight",
    "depth_that_is_none": "depth: 7",
    "depth_list": "depth: [8]",
    "depth_nan": "depth: .nan",
    "depth_null": "depth: ~",
    "depth_negative": "depth: -8",
    "depth_fraction": "depth: 8.5",
    "depth_true": "depth: true",
    "width_text": "depth: 8, width: wide",
    "width_zero": "depth: 8, width: 0",
    "seed_text": "depth: 8, seed: a",
    "shortcut_unknown": "depth: 8, shortcut: maybe",
    "shortcut_list": "depth: 8, shortcut: [identity]",
}.items():
    add(f"model_{_name}", "depth: 8", _new)
for _name, _old, _new in (
    ("model_shape_text", "[16, 16, 3]", "big"), ("model_shape_negative", "[16, 16, 3]", "[-16, 16, 3]"),
    ("model_shape_of_two", "[16, 16, 3]", "[16, 16]"), ("model_shape_of_texts", "[16, 16, 3]", "[a, b, c]"),
    ("model_shape_null", "[16, 16, 3]", "~"), ("model_shape_of_zeros", "[16, 16, 3]", "[0, 0, 3]"),
    ("model_classes_text", "classes: 10", "classes: ten"), ("model_classes_zero", "classes: 10", "classes: 0"),
    ("model_classes_too_few", "classes: 10", "classes: 3"), ("data_unknown", "name: digits", "name: nothing-here"),
    ("data_null_byte", "name: digits", 'name: "a\\0b"'), ("data_long_name", "name: digits", "name: " + "x" * 5000),
    ("data_tfds_nonsense", "name: digits", "name: 'tfds:../../etc'"), ("data_size_other_than_model", "size: 16, batch", "size: 32, batch"),
    ("learning_rate_infinite", "learning_rate: 0.1", "learning_rate: .inf"), ("learning_rate_nan", "learning_rate: 0.1", "learning_rate: .nan"),
    ("macs_true", "macs: 0.5", "macs: true"), ("criterion_argument", "criterion: l1", "criterion: {name: l1, more: 1}"),
    ("criterion_seed_text", "criterion: l1", "criterion: {name: random, seed: a}"), ("macs_too_small", "macs: 0.5", "macs: 1e-9"),
    ("batch_larger_than_the_data", "batch: 64", "batch: 100000"),
):  # fmt: skip
    add(_name, _old, _new)


if __name__ == "__main__":
    main()
