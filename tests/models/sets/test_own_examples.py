"""A user's own examples are read once, shared by all that is made of them, and let go afterwards."""

from __future__ import annotations

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasprune as kp
from kerasprune.data import arrays
from kerasprune.errors import PruneError
from kerasprune.models.sets.user_function import split_examples
from kerasprune.recipes import loader
from kerasprune.recipes.run_folder import RunFolder
from kerasprune.recipes.stages.context import Run

CODE = """
import tensorflow as tf
from pathlib import Path

def noted(what):
    with Path(__file__).with_name("log").open("a") as file:
        file.write(what + " ")

noted("imported")

def pairs():
    for n in range(40):
        yield [float(n), 0.0], n % 2

def of_split(split):
    noted(split)
    return tf.data.Dataset.from_generator(pairs, output_types=(tf.float32, tf.int32), output_shapes=((2,), ()))

def whole():
    return of_split("whole")
"""


@pytest.fixture
def inputs():
    return [keras.KerasTensor((None, 2), name="x")]


def values(data) -> list[float]:
    return [float(x) for batch, _ in data for x in batch[:, 0]]


def test_a_function_is_called_once_for_each_split(tmp_path, inputs, monkeypatch):
    (tmp_path / "own.py").write_text(CODE)
    counted, reduce = [], tf.data.Dataset.reduce
    monkeypatch.setattr(tf.data.Dataset, "reduce", lambda self, *rest: counted.append(1) or reduce(self, *rest))
    own = split_examples(f"{tmp_path}/own.py:of_split")
    for split in ("train", "validation", "train", "test", "train"):
        data = own.batches(split, 8, 0, "none", inputs)
        assert len(data) == 5 and values(data) == list(range(40))
    assert (tmp_path / "log").read_text().split() == ["imported", "train", "validation", "test"]
    assert len(counted) == 3
    assert len(own.batches("train", 16, 0, "none", inputs)) == 3  # other batches are counted anew


def test_a_function_of_all_examples_is_called_once(tmp_path, inputs):
    (tmp_path / "own.py").write_text(CODE)
    own = split_examples(f"{tmp_path}/own.py:whole")
    seen = {split: values(own.batches(split, 8, 0, "none", inputs)) for split in ("train", "validation", "test")}
    assert seen == {split: values(own.batches(split, 8, 0, "none", inputs)) for split in seen}
    assert seen["test"] == [9, 19, 29, 39] and seen["validation"] == [8, 18, 28, 38] and len(seen["train"]) == 32
    assert (tmp_path / "log").read_text().split() == ["imported", "whole"]


@pytest.mark.parametrize("form", ["x", "parts"])
def test_arrays_are_read_once_and_let_go(form, tmp_path, monkeypatch):
    x, y = np.random.default_rng(0).integers(0, 255, (50, 4, 4, 1)).astype("uint8"), np.arange(50)
    np.savez(tmp_path / "a.npz", **({"x": x, "y": y} if form == "x" else {f"x_{n}": x for n in ("train", "test")}
                                    | {f"y_{n}": y for n in ("train", "test")}))  # fmt: skip
    read, held, found = [], arrays.ArrayRows.held, []
    monkeypatch.setattr(arrays, "read_arrays", lambda *given: read.append(1) or dict(np.load(given[0])))
    monkeypatch.setattr(arrays.ArrayRows, "held", lambda self: found.append(held(self)) or found[-1])
    text = f"""\
name: own
why: A test.
model: {{name: lenet_300_100, classes: 50}}
data: {{name: {tmp_path}/a.npz, batch: 8, scale: standardise}}
train: {{epochs: 1, optimizer: {{name: sgd, learning_rate: 0.1}}}}
"""
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(50)])
    run = Run(loader.parse(text), RunFolder(tmp_path), None)
    for split in ("train", "validation", "test", "train"):
        for images, labels in run.examples(split, model).batches():
            expected = x[labels.numpy()] / 255.0  # labels are the numbers of the rows
            training = next(rows for rows in found if rows.count == (40 if form == "x" else 45))
            mean, std = (f(training.inputs / np.float64(255)) for f in (np.mean, np.std))
            np.testing.assert_allclose(images, (expected - mean) / std, atol=1e-4)
    assert len(read) == 1
    tensors = [weakref.ref(each.inputs) for each in found]
    found.clear()
    del training
    assert all(each() is not None for each in tensors)
    del run
    gc.collect()
    assert not any(each() is not None for each in tensors)


@pytest.mark.parametrize(
    ("names", "unread"),
    [("x y x_train y_train", "x, y next to"), ("x_train y_train x_val y_val x_valid y_valid", "x_val,")],
)
def test_arrays_that_would_be_left_out_are_named(names, unread, tmp_path):
    np.savez(tmp_path / "a.npz", **{name: np.zeros((20, 2)) for name in names.split()})
    with pytest.raises(PruneError, match=f"with {unread}"):
        arrays.arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("given", [("train",), ("train", "test"), ("train", "val"), ("train", "val", "test")])
def test_a_tenth_is_held_out_in_place_of_each_part_that_a_file_lacks(given, tmp_path, inputs):
    """A part that nobody gave is never asked for, and no example is in two parts."""
    rows = {part: np.arange(40.0) + 100 * number for number, part in enumerate(given)}
    held = {f"{a}_{part}": np.stack([x, x], 1) if a == "x" else x for part, x in rows.items() for a in "xy"}
    np.savez(tmp_path / "a.npz", **held)
    own = split_examples(str(tmp_path / "a.npz"))
    found = {split: values(own.batches(split, 4, 0, "none", inputs)) for split in ("train", "validation", "test")}
    missing = [split for split, part in (("validation", "val"), ("test", "test")) if part not in given]
    assert all(len(found[split]) == (4 if split in missing else 40) for split in ("validation", "test"))
    everything = [x for part in found.values() for x in part]
    assert sorted(everything) == sorted(np.concatenate(list(rows.values())))


def test_labels_of_several_outputs_are_named_by_them(tmp_path):
    x, kind, size = np.zeros((20, 2), "float32"), np.arange(20), np.arange(20.0)
    np.savez(tmp_path / "a.npz", x=x, y_kind=kind, y_size=size)
    own = split_examples(str(tmp_path / "a.npz"))
    spec = own.batches("train", 4, 0, "none", [keras.KerasTensor((None, 2), name="images")]).element_spec
    assert sorted(spec[1]) == ["kind", "size"]
    np.savez(tmp_path / "a.npz", x=x, y_kind=kind.astype(str), y_size=size[:7])
    with pytest.raises(PruneError, match=r"numbers as labels of 'kind'(.|\n)*Received: labels of shape \(7,\)"):
        split_examples(str(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    ("arrays_of", "names", "message"),
    [
        ("images labels", ["images"], r"np.savez\(path, x=…, y=…\)"),
        ("images labels", ["input_layer"], "x for the input of the model, 'input_layer'.*with images, labels; images"),
        ("x y weights", ["x"], "weights would not be used"),
        ("x y weights", ["images"], "with x, weights; weights would not be used"),
        ("left right target", ["left", "right"], r"np.savez\(path, left=…, right=…, y=…\)"),
        ("images y", ["images"], None),
        ("left right y", ["left", "right"], None),
    ],
)
def test_arrays_of_other_names_are_never_lost(arrays_of, names, message, tmp_path):
    np.savez(tmp_path / "a.npz", **{name: np.zeros((20, 2), "float32") for name in arrays_of.split()})
    own = split_examples(str(tmp_path / "a.npz"))
    inputs = [keras.KerasTensor((None, 2), name=name) for name in names]
    if message is None:
        assert len(own.batches("train", 4, 0, "none", inputs).element_spec) == 2
        return
    with pytest.raises(PruneError, match=message):
        own.batches("train", 4, 0, "none", inputs)


@pytest.mark.parametrize("form", ["arrays", "batches"])
def test_labels_among_the_inputs_of_a_dict_are_named(form):
    inputs = keras.Input((2,), name="images")
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dense(8)(inputs)))
    data = {"images": np.zeros((20, 2), "float32"), "labels": np.zeros(20)}
    given = data if form == "arrays" else tf.data.Dataset.from_tensor_slices(data).batch(4)
    with pytest.raises(PruneError, match=r"'labels', which is not an input.*data=\(inputs, labels\)"):
        kp.prune(model, 0.5, given, verbose=0)
    more = {"images": data["images"], "number": np.arange(20)}  # other keys are ignored, as fit ignores them
    assert kp.prune(model, 0.5, more, verbose=0).report.steps[-1].error is not None


@pytest.mark.parametrize("order", ["shuffled", "shuffled once", "noisy"])
def test_a_function_whose_order_changes_cannot_be_divided(order, tmp_path, inputs):
    """Otherwise a split would hold other examples in every reading, those of the test among the training ones."""
    after = {
        "shuffled": ".shuffle(40)",
        "shuffled once": ".shuffle(40, seed=0, reshuffle_each_iteration=False)",
        "noisy": ".map(lambda x, y: (x + tf.random.uniform([]), y))",
    }
    numbered = "tf.data.Dataset.range(40).map(lambda n: ([float(n), 0.0], n))"
    numbered = numbered.replace("[float(n), 0.0]", "tf.stack([tf.cast(n, tf.float32), 0.0])")
    (tmp_path / "own.py").write_text(f"import tensorflow as tf\ndef load():\n    return {numbered}{after[order]}\n")
    own = split_examples(f"{tmp_path}/own.py:load")

    def targets(split: str) -> list[int]:
        return [int(y) for _, batch in own.batches(split, 8, 0, "none", inputs) for y in batch]

    if order == "shuffled":
        with pytest.raises(PruneError, match="Expected the same order from .* Received: another order when read again"):
            targets("train")
    else:
        assert sorted(y for split in own.splits for y in targets(split)) == [*range(40)]


@pytest.mark.parametrize("given", [("train",), ("train", "test"), ("train", "valid"), ("train", "val", "test")])
def test_splits_without_labels_are_taken_as_such(given, tmp_path, inputs):
    rows = {part: np.arange(40.0) + 100 * number for number, part in enumerate(given)}
    np.savez(tmp_path / "a.npz", **{f"x_{part}": np.stack([x, x], 1) for part, x in rows.items()})
    own = split_examples(str(tmp_path / "a.npz"))
    found = {}
    for split in ("train", "validation", "test"):
        batches = list(own.batches(split, 4, 0, "none", inputs))
        assert all(len(batch) == 1 for batch in batches)
        found[split] = sorted(float(n) for (x,) in batches for n in x[:, 0])
    assert sorted(sum(found.values(), [])) == sorted(n for x in rows.values() for n in x)
    assert all(found[arrays.SPLITS[part]] == [*rows[part]] for part in given if part != "train")


def test_splits_of_which_some_have_labels_are_refused(tmp_path):
    x, y = np.zeros((20, 2)), np.arange(20)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x)
    with pytest.raises(PruneError, match="without y_test"):
        arrays.arrays(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x_test=x)
    with pytest.raises(PruneError, match="without x_train"):
        arrays.arrays(tmp_path / "b.npz")


@pytest.mark.parametrize("names", [("y",), ("x", "y"), ("x_train", "y_train")])
def test_inputs_that_are_drawn_may_have_the_names_of_labels(names):
    x = np.arange(40, dtype="float32")[:, None]
    own = arrays.inputs_by_split(dict.fromkeys(names, x), "synthetic")
    given = [keras.KerasTensor((None, 1), name=name) for name in names]
    seen = [batch for split in own.splits for batch in own.batches(split, 8, 0, "none", given)]
    assert all(len(batch) == 1 and set(batch[0]) == set(names) for batch in seen)
    for name in names:
        assert sorted(int(n) for (batch,) in seen for n in batch[name][:, 0]) == [*range(40)]


def test_labels_of_an_output_that_is_called_as_a_split_are_labels(tmp_path):
    x, y = np.zeros((20, 2), "float32"), np.arange(20)
    np.savez(tmp_path / "a.npz", x=x, y_kind=y, y_val=y)
    made = arrays.arrays(tmp_path / "a.npz").make("validation", 4, 0, "none")
    assert sorted(made.element_spec[1]) == ["kind", "val"]


@pytest.mark.parametrize("scale", ["standardise", "imagenet", "-1..1"])
def test_channels_in_front_are_scaled_as_channels_at_the_end(scale, tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (40, 8, 9, 3)).astype("uint8") // np.array([1, 2, 4], "uint8")
    found = []
    for name, each in (("last", x), ("first", np.moveaxis(x, -1, 1))):
        np.savez(tmp_path / f"{name}.npz", x=each, y=np.arange(40))
        batch = next(iter(arrays.arrays(tmp_path / f"{name}.npz").make("test", 40, 0, scale)))[0].numpy()
        found.append(batch if name == "last" else np.moveaxis(batch, 1, -1))
    np.testing.assert_allclose(*found, rtol=1e-6)
