"""Examples in every form are the same examples for all that read them, and each fault has one sentence."""

from __future__ import annotations

import re

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from keras import layers

import kerasprune as kp
from kerasprune.data.batches import batches, example_batches
from kerasprune.data.examples import Examples
from kerasprune.data.signature import signature_of
from kerasprune.export.samples import samples_of

RANDOM = np.random.default_rng(0)
X, SIDE, Y = RANDOM.normal(size=(70, 4)), RANDOM.normal(size=(70, 3)), RANDOM.integers(0, 3, 70)


def network(form: str = "one") -> keras.Model:
    a, b = keras.Input((4,), name="b"), keras.Input((3,), name="a")
    nest = {"one": a, "list": [a, b], "dict": {"b": a, "a": b}, "nested": {"in": {"first": a}, "second": b}}[form]
    return keras.Model(nest, layers.Dense(3)(layers.Concatenate()([a, b]) if form != "one" else a), name=form)


class Numbered(keras.utils.PyDataset):
    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return keras.tree.map_structure(lambda x: x[20 * index : 20 * index + 20], self.parts)


class ForEver(Numbered):
    """A `PyDataset` that is an iterator without an end, as those of `ImageDataGenerator` are."""

    def __iter__(self):
        return self

    def __next__(self):
        return self[0]


class Loader:
    """Yields lists, as the loaders of torch do."""

    def __init__(self, parts):
        self.parts = parts

    def __iter__(self):
        return (list(Numbered(self.parts)[number]) for number in range(4))


def data_set(parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(20)


ONE = {
    "arrays": (X, Y),
    "tensors": (tf.constant(X), tf.constant(Y)),
    "tables": (pandas.DataFrame(X), pandas.Series(Y)),
    "by name": ({"b": X}, Y),
    "by name, and more": ({"b": X, "unused": SIDE}, Y),
    "a data set": data_set((X, Y)),
    "a data set by name": data_set(({"b": X}, Y)),
    "numbered": Numbered((X, Y)),
    "numbered lists": Numbered([X, Y]),
    "numbered for ever": ForEver((X, Y)),
    "batches": [Numbered((X, Y))[number] for number in range(4)],
    "a loader": Loader((X, Y)),
}
SEVERAL = {
    "a list": ([X, SIDE], Y),
    "a tuple": ((X, SIDE), Y),
    "by name": ({"a": SIDE, "b": X}, Y),
    "a data set": data_set(((X, SIDE), Y)),
    "a data set by name": data_set(({"a": SIDE, "b": X}, Y)),
    "a loader": Loader(([X, SIDE], Y)),
    "numbered lists": Numbered([[X, SIDE], Y]),
    "numbered for ever": ForEver(((X, SIDE), Y)),
}
FORMS = [("one", form, ONE) for form in ONE] + [("list", form, SEVERAL) for form in SEVERAL]
FORMS += [(net, form, SEVERAL) for net in ("dict", "nested") for form in ("by name", "a data set by name")]
FORMS += [("nested", "by key", {"by key": ({"in": {"first": X}, "second": SIDE}, Y)})]


def joined(read) -> list[np.ndarray]:
    return [np.concatenate(column) for column in zip(*read, strict=True)]


@pytest.mark.parametrize(("net", "form", "forms"), FORMS)
def test_every_reader_takes_every_form(net, form, forms):
    model, data = network(net), forms[form]
    inputs = {"one": [X], "dict": [SIDE, X], "list": [X, SIDE], "nested": [X, SIDE]}[net]  # in flat order
    inputs = [array.astype("float32") for array in inputs]
    readers = {
        "reconstruction": example_batches(model, data, 100),
        "calibration": samples_of(signature_of(model), data).batches(),
        "criteria": [
            [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(each.inputs)] for each in batches(data, model)
        ],
    }
    for found in map(joined, readers.values()):
        assert all(np.array_equal(a.astype("float32"), b) for a, b in zip(found, inputs, strict=True))
    labels = [keras.ops.convert_to_numpy(each.labels) for each in batches(data, model)]
    assert np.array_equal(np.concatenate(labels), Y)
    assert all(np.array_equal(a, b[:33]) for a, b in zip(joined(example_batches(model, data, 33)), inputs, strict=True))
    outputs = [keras.ops.convert_to_numpy(model(each.inputs)) for each in batches(data, model)]
    np.testing.assert_allclose(np.concatenate(outputs), model(signature_of(model).pack(inputs)), atol=1e-5)


@pytest.mark.parametrize("form", ONE)
def test_what_fit_takes_is_read_by_one_class(form):
    data = ONE[form]
    if form == "batches":
        with pytest.raises(kp.PruneError, match="Concatenate its batches"):
            Examples(data)
        return
    model, examples = network(), Examples(data, batch=20)
    assert examples.labelled and examples.steps() == 4
    assert np.array_equal(joined(examples.first(model, 40))[0], X[:40].astype("float32"))
    assert [each.size for each in batches(examples.batches(), model, most=50)] == [20, 20, 10]
    assert len(examples.labels) == (70 if examples.arrays else 20)


def test_inputs_alone_are_no_labels():
    for data in (X, {"b": X}, data_set(X), Numbered(X)):
        examples = Examples(data)
        assert not examples.labelled and np.array_equal(joined(examples.first(network(), 70))[0], X.astype("float32"))
        with pytest.raises(kp.PruneError, match="This criterion needs labels"):
            list(batches(examples.batches(), network()))


READERS = {
    "criteria": lambda data: list(batches(data, network())),
    "reconstruction": lambda data: example_batches(network(), data, 100),
    "judging": lambda data: Examples(data).first(network(), 100),
    "calibration": lambda data: samples_of(signature_of(network()), data).first(),
    "fine-tuning": lambda data: Examples(data),
}
AGAIN = ("judging", "calibration", "fine-tuning")
CHECKED = ("criteria", "reconstruction", "judging", "calibration")
FAULTS = {
    "a path": (lambda: "mine.npz", tuple(READERS), "Received: data='mine.npz'. Read files with"),
    "a number": (lambda: 7, tuple(READERS), "Expected data: arrays, or batches of them.* Received: data=7"),
    "a function": (lambda: network, tuple(READERS), "Received: data=<function .*Give the arrays it returns; for a gen"),
    "used up": (lambda: iter([(X, Y)]), AGAIN, "read several times. Received: .*, which is used up by the first"),
    "endless": (lambda: data_set((X, Y)).repeat(), ("criteria", *AGAIN), r"repeats forever. Leave .repeat\(\) out"),
    "numbers": (lambda: (X.tolist(), Y), tuple(READERS), "lists of Python numbers or texts, such as"),
    "no batch axis": (lambda: data_set((X, Y)).unbatch(), CHECKED, r"\(None, 4\) .*shape \(4,\). It lacks the batch"),
    "another shape": (lambda: (X[:, :3], Y), CHECKED, r"\(None, 4\) .*shape \(70, 3\). Resize the data"),
    "several inputs": (lambda: [((X, X), Y)], CHECKED[:2], r"Expected data for the inputs \['b'\]. Received: 2 arr"),
    "another name": (lambda: ({"z": X}, Y), CHECKED, r"inputs \['b'\]. Received: the keys \['z'\]"),
    "NaN": (lambda: (X * np.nan, Y), CHECKED, "Expected numbers for the input 'b'. Received: NaN or infinity"),
    "texts": (lambda: (X.astype(str), Y), CHECKED, "Expected numbers for the input 'b'. Received: dtype="),
    "nothing": (lambda: (X[:0], Y[:0]), CHECKED, "Expected examples in data. Received: none"),
    "weights alone": (
        lambda: (X, None, Y),
        ("judging", "fine-tuning"),
        "Expected labels with sample weights. Received: ",
    ),
    "no batches": (lambda: data_set((X, Y)).take(0), CHECKED, "Expected examples in data. Received: none"),
    "too few labels": (lambda: (X, Y[:7]), ("criteria", "fine-tuning"), r"as inputs, 70. Received: labels of .*\(7,"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_has_one_sentence_whoever_reads(fault):
    make, readers, sentence = FAULTS[fault]
    said = set()
    for name in readers:
        with pytest.raises(kp.PruneError, match=sentence) as error:
            READERS[name](make())
        said.add(re.sub(r"0x\w+|dtype=\S+", "", str(error.value)))
    assert len(said) == 1


def test_all_that_does_not_fit_is_said_at_once():
    data = {"a": SIDE[:9], "b": X[:9, None] * np.nan}
    with pytest.raises(kp.PruneError, match=r"shape \(None, 4\)(.|\n)*'b'. Received: NaN"):
        example_batches(network("dict"), data, 9)
    with pytest.raises(kp.PruneError, match=r"same number of examples for every input.*\(9, 3\), \(70, 4\)"):
        example_batches(network("dict"), {"a": SIDE[:9], "b": X}, 9)
