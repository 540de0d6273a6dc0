"""Plan files and plans that are truncated, wrong or hostile: `kp.PruneError`, or the same plan again."""

import json
import tempfile
from pathlib import Path

import _cases
import keras
import numpy as np
from _cases import Wrong, case, main
from keras import layers

import kerasprune as kp

_cases.SECONDS = 20


def model():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, name="first")(inputs)
    y = layers.Conv2D(8, 3, padding="same", name="branch")(x)
    x = layers.Add(name="sum")([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.Dense(6, name="hidden")(x)), name="net")


def text(**changes):
    data = {
        "format": "kerasprune.plan", "version": 1, "fingerprint": "", "coupling": "tied", "resolution": None,
        "removed": [], "keep": {"first": [0, 2, 5], "hidden": [1, 3]},
    }  # fmt: skip
    return json.dumps({**data, **changes})


def add(name, content):
    def run():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plan.json"
            path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
            plan = kp.Plan.load(path)
            if "_twice" in run.__name__:
                raise Wrong("a key stands twice, and one of the two was taken without a word")
            again = kp.Plan.load(plan.save(Path(folder) / "again.json"))
            if again != plan:
                raise Wrong("a plan saved and loaded is another")
            hash(plan)
            repr(plan)
            net = model()
            kp.report(net, plan)
            kp.rebuild(net, plan)
            plan.then(kp.Plan({"first": [0]}))
        return "read and carried out"

    run.__name__ = name
    case(run)


for _name, _content in {
    "good": text(),
    "empty_file": "",
    "only_spaces": "  \n",
    "null": "null",
    "number": "3",
    "list": "[]",
    "text": '"plan"',
    "truncated": text()[:60],
    "trailing_garbage": text() + "x",
    "two_objects": text() + text(),
    "not_utf8": b'{"keep": "\xff"}',
    "utf16": text().encode("utf-16"),
    "byte_order_mark": b"\xef\xbb\xbf" + text().encode(),
    "null_bytes": b"\0" * 100,
    "deep_lists": "[" * 100_000,
    "deep_objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "deep_keep": text().replace("[0, 2, 5]", "[" * 900 + "]" * 900),
    "missing_keys": "{}",
    "unknown_key": text(more=1),
    "format_number": text(format=3),
    "format_list": text(format=[]),
    "version_text": text(version="1"),
    "version_float": text(version=1.0),
    "version_true": text(version=True),
    "version_later": text(version=2),
    "version_null": text(version=None),
    "key_twice": text()[:-1] + ', "keep": {"first": [0]}}',
    "group_twice": text().replace('"keep": {', '"keep": {"first": [1], '),
    "keep_list": text(keep=[]),
    "keep_null": text(keep=None),
    "keep_text": text(keep="first"),
    "indices_text": text(keep={"first": "012"}),
    "indices_null": text(keep={"first": None}),
    "indices_object": text(keep={"first": {"0": 1}}),
    "indices_empty": text(keep={"first": []}),
    "indices_floats": text(keep={"first": [0.0, 1.0]}),
    "indices_true": text(keep={"first": [False, True]}),
    "indices_nested": text(keep={"first": [[0], [1]]}),
    "indices_texts": text(keep={"first": ["0", "1"]}),
    "indices_null_inside": text(keep={"first": [0, None]}),
    "indices_mixed": text(keep={"first": [0, "a", 2.5]}),
    "indices_negative": text(keep={"first": [-1, 0]}),
    "indices_unsorted": text(keep={"first": [2, 0]}),
    "indices_repeated": text(keep={"first": [0, 0]}),
    "indices_too_large": text(keep={"first": [0, 8]}),
    "indices_huge": text(keep={"first": [0, 10**30]}),
    "indices_of_5000_digits": text().replace("[0, 2, 5]", f"[0, {'9' * 5000}]"),
    "indices_nan": text().replace("[0, 2, 5]", "[0, NaN]"),
    "indices_infinity": text().replace("[0, 2, 5]", "[0, Infinity]"),
    "indices_exponent": text().replace("[0, 2, 5]", "[0, 1e999]"),
    "a_million_indices": text(keep={"first": list(range(1_000_000))}),
    "many_groups": text(keep={f"g{n}": [0] for n in range(50_000)}),
    "long_names": text(keep={"x" * 1_000_000: [0]}),
    "group_without_name": text(keep={"": [0]}),
    "group_unknown": text(keep={"frist": [0]}),
    "group_surrogate": text().replace('"first"', '"\\ud800"'),
    "group_null_byte": text().replace('"first"', '"a\\u0000b"'),
    "group_braces": text(keep={"{0}%s": [0]}),
    "group_pinned": text(keep={"logits": [0]}),
    "group_pinned_whole": text(keep={"logits": [0, 1, 2]}),
    "removed_text": text(removed="sum"),
    "removed_null": text(removed=None),
    "removed_numbers": text(removed=[1]),
    "removed_lists": text(removed=[["sum"]]),
    "removed_unknown": text(removed=["smu"]),
    "removed_twice": text(removed=["sum", "sum"]),
    "removed_object": text(removed={"sum": 1}),
    "removed_block": text(removed=["sum"]),
    "removed_surrogate": text(removed=["x"]).replace('["x"]', '["\\ud800"]'),
    "resolution_text": text(resolution="32"),
    "resolution_zero": text(resolution=0),
    "resolution_negative": text(resolution=-4),
    "resolution_float": text(resolution=32.0),
    "resolution_true": text(resolution=True),
    "resolution_list": text(resolution=[6]),
    "resolution_huge": text(resolution=10**30),
    "resolution_nan": text().replace('"resolution": null', '"resolution": NaN'),
    "resolution_other": text(resolution=64),
    "coupling_unknown": text(coupling="loose"),
    "coupling_null": text(coupling=None),
    "coupling_list": text(coupling=["tied"]),
    "coupling_object": text(coupling={"a": 1}),
    "coupling_other": text(coupling="free"),
    "fingerprint_wrong": text(fingerprint="0" * 16),
    "fingerprint_number": text(fingerprint=3),
    "fingerprint_null": text(fingerprint=None),
    "fingerprint_list": text(fingerprint=[]),
    "fingerprint_long": text(fingerprint="x" * 1_000_000),
}.items():
    add(_name, _content)


@case
def path_is_a_folder():
    with tempfile.TemporaryDirectory() as folder:
        kp.Plan.load(folder)


@case
def path_is_not_there():
    kp.Plan.load("nothing.json")


@case
def path_with_null_byte():
    kp.Plan.load("a\0b")


@case
def path_too_long():
    kp.Plan.load("x" * 10_000)


@case
def path_is_none():
    kp.Plan.load(None)


@case
def plan_of_another_model():
    other = keras.Sequential([keras.Input((4,)), layers.Dense(6, name="first"), layers.Dense(2)])
    plan = kp.plan(other, keep=0.5)
    kp.rebuild(model(), plan)


@case
def save_where_no_file_can_be():
    with tempfile.TemporaryDirectory() as folder:
        kp.Plan({"a": [0]}).save(folder)


@case
def save_below_a_file():
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "file").write_text("x")
        kp.Plan({"a": [0]}).save(Path(folder) / "file" / "plan.json")


def by_hand(name, make):
    def run():
        plan = make()
        net = model()
        kp.rebuild(net, plan)
        kp.mask(net, plan)
        return "carried out"

    run.__name__ = f"by_hand_{name}"
    case(run)


for _name, _make in {
    "numpy_indices": lambda: kp.Plan({"first": np.array([0, 2])}),
    "numpy_floats": lambda: kp.Plan({"first": np.array([0.0, 2.0])}),
    "numpy_bools": lambda: kp.Plan({"first": np.array([True, False])}),
    "numpy_of_two_axes": lambda: kp.Plan({"first": np.array([[0, 2]])}),
    "numpy_scalar": lambda: kp.Plan({"first": np.int64(3)}),
    "numpy_unsigned": lambda: kp.Plan({"first": np.array([0, 2], "uint64")}),
    "range": lambda: kp.Plan({"first": range(3)}),
    "generator": lambda: kp.Plan({"first": (n for n in range(3))}),
    "set": lambda: kp.Plan({"first": {0, 1}}),
    "none": lambda: kp.Plan(None),
    "list_of_pairs": lambda: kp.Plan([("first", [0])]),
    "key_number": lambda: kp.Plan({3: [0]}),
    "tensor": lambda: kp.Plan({"first": keras.ops.arange(3)}),
    "removed_set": lambda: kp.Plan({}, removed={"sum"}),
    "removed_generator": lambda: kp.Plan({}, removed=(n for n in ["sum"])),
    "resolution_numpy": lambda: kp.Plan({}, resolution=np.int64(6)),
    "coupling_list": lambda: kp.Plan({}, coupling=["tied"]),
    "not_a_plan": lambda: {"first": [0]},
    "none_as_plan": lambda: None,
    "path_as_plan": lambda: "plan.json",
}.items():
    by_hand(_name, _make)


if __name__ == "__main__":
    main()
