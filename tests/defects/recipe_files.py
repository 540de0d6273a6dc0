"""Recipe files that are malformed, hostile or wrong: `kp.PruneError` that says what, within seconds, or a recipe."""

import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import _cases
from _cases import case, main

import kerasprune as kp
from kerasprune import recipes

BOMBS = ("alias_bomb", "alias_bomb_in_the_model")
_cases.SECONDS = 5

GOOD = """name: x
why: y
seed: 0
model: {name: resnet_cifar, depth: 8, classes: 10}
data: {name: digits, size: 16, batch: 64}
train: {epochs: 2, optimizer: {name: sgd, learning_rate: 0.1, momentum: 0.9}}
prune:
  plan: {criterion: l1, budget: uniform, macs: 0.5}
  callback: {name: greg1, schedule: {step: 0.01, every: 2, settle: 60}}
  optimizer: {name: sgd, learning_rate: 0.01}
finetune: {epochs: 1, optimizer: {name: sgd, learning_rate: {name: cosine, start: 0.05}}}
export: [saved_model]
"""


def load(content, settings=()):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        recipe = recipes.load(path, settings)
        try:
            from kerasprune.recipes import loading
        except ImportError:  # the layout of DESIGN.md
            from kerasprune.recipes import loader as loading

        loading.fingerprint(recipe)
        loading.parse(loading.dump(recipe))
    return "read"


def apart(name):
    """Runs a case in a process of its own: what eats time and memory in C cannot be broken off from within."""
    signal.alarm(45)
    try:
        done = subprocess.run([sys.executable, __file__, "apart", name], capture_output=True, text=True, timeout=35)
    except subprocess.TimeoutExpired:
        raise TimeoutError("no end within 35 s, the start of Python included") from None
    if "REFUSED" in done.stdout:
        raise kp.PruneError(done.stdout)
    if done.returncode or "OK" not in done.stdout:
        raise RuntimeError(" ".join(done.stdout.split()) or f"ended with {done.returncode}")


def add(name, content, settings=()):
    def run():
        if name in BOMBS and sys.argv[1:2] != ["apart"]:
            return apart(name)
        return load(content, settings)

    run.__name__ = name
    case(run)


def swap(old, new):
    assert old in GOOD, old
    return GOOD.replace(old, new)


def bomb(levels, width=9):
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


TEXTS = {
    "good": GOOD,
    "empty_file": "",
    "only_comments": "# nothing\n",
    "a_list": "- a\n- b\n",
    "a_number": "42\n",
    "null": "null\n",
    "two_documents": GOOD + "---\n" + GOOD,
    "tab_indent": "name:\n\t- x\n",
    "unclosed": "name: {a: [1, 2\n",
    "not_utf8": b"name: \xff\xfe\x00bad\n",
    "latin_1": "name: Größe\nwhy: y\nmodel: {name: resnet_cifar}\n".encode("latin-1"),
    "utf16": GOOD.encode("utf-16"),
    "byte_order_mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "null_bytes": b"name: x\x00y\nwhy: z\nmodel: {name: resnet_cifar}\n",
    "control_characters": "name: \x07x\nwhy: y\n",
    "windows_lines": GOOD.replace("\n", "\r\n"),
    "lone_surrogate": GOOD.replace("why: y", 'why: "\\ud800"'),
    "alias_bomb": bomb(12) + GOOD,
    "alias_bomb_in_the_model": bomb(10) + swap("classes: 10}", "classes: *a9}"),
    "small_alias_bomb": bomb(5) + GOOD,
    "alias_to_itself": "name: x\nwhy: y\nmodel: &m {name: resnet_cifar, me: *m}\n",
    "alias_list_to_itself": "name: x\nwhy: y\nexport: &e [*e]\nmodel: {name: resnet_cifar}\n",
    "unknown_alias": "name: *nobody\nwhy: y\n",
    "alias_used_well": swap(
        "optimizer: {name: sgd, learning_rate: 0.1", "optimizer: &o {name: sgd, learning_rate: 0.1"
    ),
    "merge_key": "base: &b {name: resnet_cifar}\nname: x\nwhy: y\nmodel: {<<: *b, depth: 8}\n",
    "merge_key_of_a_number": "name: x\nwhy: y\nmodel: {<<: 3, name: resnet_cifar}\n",
    "python_tag": "name: !!python/object/apply:os.system ['true']\nwhy: y\nmodel: {name: resnet_cifar}\n",
    "own_tag": "name: !secret x\nwhy: y\nmodel: {name: resnet_cifar}\n",
    "binary_tag": "name: !!binary aGVsbG8=\nwhy: y\nmodel: {name: resnet_cifar}\n",
    "bad_binary": "name: !!binary '*'\nwhy: y\nmodel: {name: resnet_cifar}\n",
    "set_tag": "name: !!set {a, b}\nwhy: y\nmodel: {name: resnet_cifar}\n",
    "omap_tag": "name: x\nwhy: y\nmodel: !!omap [name: resnet_cifar]\n",
    "date_as_name": swap("name: x", "name: 2024-01-01"),
    "date_out_of_range": swap("name: x", "name: 2024-99-99"),
    "date_time_as_seed": swap("seed: 0", "seed: 2024-01-01 10:00:00"),
    "int_tag_of_text": swap("seed: 0", "seed: !!int x"),
    "float_tag_of_text": swap("seed: 0", "seed: !!float abc"),
    "bool_tag_of_text": swap("seed: 0", "seed: !!bool maybe"),
    "timestamp_tag_of_text": swap("seed: 0", "seed: !!timestamp x"),
    "int_tag_as_key": swap("seed: 0", "!!int x: 0"),
    "key_is_a_list": "? [a, b]\n: c\n" + GOOD,
    "key_is_a_mapping": "? {a: b}\n: c\n" + GOOD,
    "key_is_null": "~: c\n" + GOOD,
    "key_is_a_number": "1: c\n" + GOOD,
    "key_is_a_bool": "true: c\n" + GOOD,
    "key_is_a_float": "1.5: c\n" + GOOD,
    "key_is_a_date": "2024-01-01: c\n" + GOOD,
    "keys_octal_and_binary": "0o7: a\n0b1: b\n0x1F: c\n1_000: d\n" + GOOD,
    "key_sexagesimal": "1:30: c\n" + GOOD,
    "key_sexagesimal_in_schedule": swap("learning_rate: 0.1", "learning_rate: {name: multi_step, steps: {1:30: 0.1}}"),
    "key_twice": GOOD + "name: z\n",
    "key_twice_deep": swap("{criterion: l1,", "{criterion: l1, criterion: l2,"),
    "unknown_key": swap("seed: 0", "sead: 0"),
    "unknown_key_deep": swap("every: 2", "evry: 2"),
    "missing_model": "name: x\nwhy: y\n",
    "deep_nesting_of_lists": "name: " + "[" * 3000 + "]" * 3000 + "\n",
    "deep_nesting_of_mappings": "name: " + "{a: " * 2000 + "1" + "}" * 2000 + "\n",
    "deep_nesting_in_arguments": swap("classes: 10}", "classes: " + "[" * 300 + "]" * 300 + "}"),
    "wide_file": "name: x\nwhy: " + "y" * 5_000_000 + "\nmodel: {name: resnet_cifar}\n",
    "many_keys": "\n".join(f"k{n}: {n}" for n in range(20000)) + "\n" + GOOD,
    "huge_integer": swap("seed: 0", f"seed: {'9' * 5000}"),
    "huge_integer_in_arguments": swap("classes: 10", f"classes: {'9' * 400}"),
    "huge_float": swap("macs: 0.5", "macs: 1e999"),
    "huge_epochs": swap("epochs: 2", "epochs: 1e30"),
    "huge_depth": swap("depth: 8", "depth: 99999999999"),
    "not_a_number": swap("macs: 0.5", "macs: .nan"),
    "infinite": swap("learning_rate: 0.1", "learning_rate: .inf"),
    "negative": swap("macs: 0.5", "macs: -0.5"),
    "zero": swap("macs: 0.5", "macs: 0"),
    "bool_as_number": swap("macs: 0.5", "macs: true"),
    "yes_as_name": swap("name: x", "name: yes"),
    "text_as_number": swap("epochs: 2", "epochs: two"),
    "number_as_text": swap("epochs: 2", "epochs: '2'"),
    "list_as_model": swap("{name: resnet_cifar, depth: 8, classes: 10}", "[resnet_cifar]"),
    "number_as_model": swap("{name: resnet_cifar, depth: 8, classes: 10}", "3"),
    "null_model": swap("{name: resnet_cifar, depth: 8, classes: 10}", "~"),
    "list_as_name_of_model": swap("{name: resnet_cifar,", "{name: [resnet_cifar],"),
    "mapping_as_criterion": swap("criterion: l1", "criterion: {a: b}"),
    "number_as_criterion": swap("criterion: l1", "criterion: 3"),
    "null_criterion": swap("criterion: l1", "criterion: ~"),
    "list_as_callback": swap("{name: greg1, schedule: {step: 0.01, every: 2, settle: 60}}", "[greg1]"),
    "callback_argument_of_wrong_type": swap("every: 2", "every: [1, 2]"),
    "callback_argument_null": swap("every: 2", "every: ~"),
    "callback_argument_mapping": swap("step: 0.01", "step: {a: 1}"),
    "callback_argument_text": swap("settle: 60", "settle: long"),
    "callback_argument_nan": swap("step: 0.01", "step: .nan"),
    "callback_argument_plan": swap("name: greg1,", "name: greg1, plan: 3,"),
    "schedule_without_numbers": swap(
        "name: greg1, schedule: {step: 0.01, every: 2, settle: 60}",
        "name: gradual_magnitude, schedule: {name: cubic, keep: a, end: b}",
    ),
    "schedule_of_nothing": swap(
        "name: greg1, schedule: {step: 0.01, every: 2, settle: 60}", "name: gradual_magnitude, schedule: {}"
    ),
    "schedule_unknown": swap(
        "name: greg1, schedule: {step: 0.01, every: 2, settle: 60}", "name: gradual_magnitude, schedule: nonsense"
    ),
    "budget_of_wrong_type": swap("budget: uniform", "budget: {name: per_stage, keep: [a, b]}"),
    "budget_keep_mapping": swap("budget: uniform", "budget: {name: per_stage, keep: {1: 2}}"),
    "budget_keep_nested": swap("budget: uniform", "budget: {name: per_stage, keep: [[1]]}"),
    "model_argument_of_wrong_type": swap("depth: 8", "depth: eight"),
    "model_argument_unknown": swap("depth: 8", "deepness: 8"),
    "model_depth_that_does_not_exist": swap("depth: 8", "depth: 7"),
    "model_shape_text": swap("depth: 8", "depth: 8, input_shape: big"),
    "model_is_a_path": swap("{name: resnet_cifar, depth: 8, classes: 10}", "{start: /dev/null}"),
    "model_is_a_folder": swap("{name: resnet_cifar, depth: 8, classes: 10}", "{start: /}"),
    "model_path_null_byte": swap("{name: resnet_cifar, depth: 8, classes: 10}", '{start: "a\\0b"}'),
    "model_path_long": swap("{name: resnet_cifar, depth: 8, classes: 10}", "{start: " + "x" * 5000 + "}"),
    "model_is_code": swap("name: resnet_cifar", "name: 'os:system'"),
    "data_unknown": swap("name: digits", "name: nothing-here"),
    "data_null_byte": swap("name: digits", 'name: "a\\0b"'),
    "data_long_name": swap("name: digits", "name: " + "x" * 5000),
    "data_tfds_nonsense": swap("name: digits", "name: 'tfds:../../etc'"),
    "data_size_list": swap("size: 16", "size: [16, 16]"),
    "optimizer_unknown": swap("name: sgd, learning_rate: 0.1", "name: lion, learning_rate: 0.1"),
    "optimizer_is_text": swap("{name: sgd, learning_rate: 0.1, momentum: 0.9}", "sgd"),
    "optimizer_is_list": swap("{name: sgd, learning_rate: 0.1, momentum: 0.9}", "[sgd]"),
    "optimizer_without_name": swap("{name: sgd, learning_rate: 0.1, momentum: 0.9}", "{learning_rate: 0.1}"),
    "optimizer_name_is_list": swap("{name: sgd, learning_rate: 0.1, momentum: 0.9}", "{name: [sgd]}"),
    "optimizer_name_is_mapping": swap("{name: sgd, learning_rate: 0.1, momentum: 0.9}", "{name: {a: b}}"),
    "learning_rate_is_text": swap("learning_rate: 0.1", "learning_rate: fast"),
    "learning_rate_is_list": swap("learning_rate: 0.1", "learning_rate: [0.1]"),
    "learning_rate_without_name": swap("learning_rate: 0.1", "learning_rate: {start: 0.1}"),
    "learning_rate_name_is_list": swap("learning_rate: 0.1", "learning_rate: {name: [cosine]}"),
    "multi_step_text_keys": swap("learning_rate: 0.1", "learning_rate: {name: multi_step, steps: {a: b}}"),
    "multi_step_infinite_key": swap("learning_rate: 0.1", "learning_rate: {name: multi_step, steps: {.inf: 0.1}}"),
    "export_is_text": swap("[saved_model]", "saved_model"),
    "export_unknown": swap("[saved_model]", "[onnx]"),
    "export_of_mappings": swap("[saved_model]", "[{a: b}]"),
    "export_twice": swap("[saved_model]", "[saved_model, saved_model]"),
    "braces_in_text": swap("why: y", 'why: "{0} {text} {"'),
    "braces_in_key": GOOD + '"{text}": 1\n',
    "percent_in_key": GOOD + '"%s%(a)s": 1\n',
    "name_is_a_path": swap("name: x", "name: ../../x"),
    "name_is_long": swap("name: x", "name: " + "x" * 5000),
    "name_is_empty": swap("name: x", "name: ''"),
    "name_with_null": swap("name: x", 'name: "a\\0b"'),
}
for _name, _text in TEXTS.items():
    add(_name, _text)

for _name, _setting in {
    "plain": "train.epochs=3",
    "without_equals": "train.epochs",
    "empty": "",
    "only_equals": "=3",
    "dots": "..=3",
    "unknown": "nothing.here=3",
    "through_a_number": "seed.x=3",
    "index": "export.0=tflite",
    "index_out_of_range": "export.9=tflite",
    "negative_index": "export.-1=tflite",
    "huge_index": "export." + "9" * 50 + "=x",
    "unicode_digit": "export.²=tflite",
    "arabic_digit": "export.٠=tflite",
    "alias_bomb": "why=" + bomb(3),
    "unclosed": "why={",
    "tag": "why=!!python/name:os.system",
    "null_byte": "why=a\0b",
    "int_tag": "seed=!!int x",
    "float_tag": "seed=!!float x",
    "date": "seed=2024-99-99",
    "surrogate": "why=\ud800",
    "list_key": "why={[a]: b}",
    "huge_integer": "seed=" + "9" * 5000,
    "deep": "why=" + "[" * 3000,
    "deep_path": ".".join("a" * 5000) + "=1",
}.items():
    add(f"setting_{_name}", GOOD, [_setting])


@case
def path_of_a_folder():
    with tempfile.TemporaryDirectory(suffix=".yaml") as folder:
        recipes.load(folder)


@case
def path_that_is_not_there():
    recipes.load("nothing-here.yaml")


@case
def path_with_null_byte():
    recipes.load("a\0b.yaml")


@case
def path_too_long():
    recipes.load("x" * 5000 + ".yaml")


@case
def name_that_is_not_there():
    recipes.load("nothing-here")


@case
def name_is_none():
    recipes.load(None)


@case
def file_without_permission():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(GOOD)
        path.chmod(0)
        return recipes.load(path).name


@case
def settings_are_one_text():
    return load(GOOD, "train.epochs=3")


@case
def settings_are_numbers():
    return load(GOOD, [3])


if __name__ == "__main__":
    if sys.argv[1:2] == ["apart"]:
        resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
        _cases._CASES[:] = [each for each in _cases._CASES if each.__name__ == sys.argv[2]]
    main()
