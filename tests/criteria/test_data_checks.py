"""Examples that do not fit a model are named with their remedy wherever they enter, before Keras meets them."""

from __future__ import annotations

import keras
import numpy as np
import pandas
import pytest
import scipy.sparse
import tensorflow as tf
from keras import layers

import kerasprune as kp

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(60, 6)).astype("float32"), RANDOM.integers(0, 3, 60)
IMAGES = RANDOM.normal(size=(60, 8, 8, 3)).astype("float32")
LEFT, RIGHT = RANDOM.normal(size=(60, 4)).astype("float32"), RANDOM.normal(size=(60, 5)).astype("float32")
NAMES = np.array(["cat", "dog", "eel"])[Y]
SPARSE = "sparse_categorical_crossentropy"


def compiled(inputs, outputs, loss=SPARSE) -> keras.Model:
    model = keras.Model(inputs, outputs)
    model.compile("sgd", loss)
    return model


def classifier(loss=SPARSE):
    inputs = keras.Input((6,), name="table")
    return compiled(inputs, layers.Dense(3, "softmax", name="kind")(layers.Dense(16, "relu")(inputs)), loss)


def one_hot():
    return classifier("categorical_crossentropy")


def images(form: str = "channels_last"):
    inputs = keras.Input((8, 8, 3) if form == "channels_last" else (3, 8, 8))
    x = layers.Conv2D(8, 3, activation="relu", data_format=form)(inputs)
    return compiled(inputs, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D(data_format=form)(x)))


def grey():
    inputs = keras.Input((8, 8, 1))
    return compiled(inputs, layers.Dense(3, "softmax")(layers.Flatten()(layers.Conv2D(8, 3)(inputs))))


def two_inputs(form):
    left, right = keras.Input((4,), name="left"), keras.Input((5,), name="right")
    nest = {"names": {"left": left, "right": right}, "keys": {"b": left, "a": right}, "list": [left, right]}[form]
    return compiled(nest, layers.Dense(3, "softmax")(layers.Dense(16)(layers.Concatenate()([left, right]))))


def two_outputs():
    inputs = keras.Input((6,))
    x = layers.Dense(16, "relu")(inputs)
    outputs = [layers.Dense(3, "softmax", name="kind")(x), layers.Dense(1, name="amount")(x)]
    return compiled(inputs, outputs, {"kind": SPARSE, "amount": "mse"})


def batches(*parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(6)


def late(labels):
    """Labels that go wrong in the last batch but one, which is not held out."""
    return np.where(np.arange(60) // 6 == 8, 7, labels)


NUMBERS = r"Expected numbers as labels. Received: values such as 'dog'.*Number the classes from 0"
FIRST = r"\(None, 8, 8, 3\).*Received: shape \(\d+, 3, 8, 8\). Its channels come first: give numpy.moveaxis\(x, 1, -1\)"
CASES = {
    "texts": (classifier, (X, NAMES), NUMBERS),
    "texts as objects": (classifier, (X, NAMES.astype(object)), NUMBERS),
    "texts of a table": (classifier, (X, pandas.Series(NAMES)), NUMBERS),
    "categories of a table": (classifier, (X, pandas.Series(NAMES).astype("category")), NUMBERS),
    "texts in batches": (classifier, batches(X, NAMES), NUMBERS),
    "texts of one output": (
        two_outputs, (X, {"kind": NAMES, "amount": Y * 1.0}), "numbers as labels of 'kind'. Received: values such as",
    ),
    "objects": (classifier, (X, Y.astype(object)), r"objects such as \d. Convert it with astype"),
    "a sparse matrix": (classifier, (scipy.sparse.csr_matrix(X), NAMES), r"Expected arrays. Received: .*x.toarray\(\)"),
    "dates": (classifier, (X.astype("datetime64[s]"), Y), "Expected numbers for the input.*dtype=datetime64"),
    "NaN": (one_hot, (X, np.eye(3)[Y] * np.nan), "Expected numbers for the labels. Received: NaN or infinity"),
    "weights": (classifier, (X, Y, NAMES), "Expected numbers as sample weights. Received: values such as 'dog'"),
    "beyond": (classifier, (X, Y + 1), "from 0 to 2 .*labels such as 3. Subtract 1: classes begin with 0"),
    "beyond, in a late batch": (classifier, batches(X, late(Y)), "from 0 to 2 .*Received: labels such as 7"),
    "below": (classifier, (X, Y - 1), "from 0 to 2 .*labels such as -1. Check the labels"),
    "one-hot": (classifier, (X, np.eye(3)[Y]), "Give class numbers, or loss='categorical_crossentropy'"),
    "numbers": (one_hot, (X, Y), "Give loss='sparse_categorical_crossentropy' for class numbers"),
    "a dict for one output": (
        classifier, (X, {"kind": Y}), "labels as one array, since the model has one output. Received: a dict with kind",
    ),
    "a dict in batches": (classifier, batches(X, {"kind": Y}), "Received: a dict with kind. Give the array alone"),
    "one array for two": (two_outputs, (X, Y), r"\['kind', 'amount'\]. Received: one array. Give a list or"),
    "one name of two": (two_outputs, (X, {"kind": Y}), "output 'amount', which has a loss. Received: labels for kind"),
    "another name": (
        two_outputs, (X, {"kind": Y, "amont": Y}), "'amont', which is not an output. Did you mean 'amount'?",
    ),
    "one name too many": (two_outputs, (X, {"kind": Y, "amount": Y * 1.0, "size": Y}), "'size', which is not an"),
    "three for two": (two_outputs, (X, [Y, Y, Y]), "Received: 3 of them"),
    "channels first": (images, (np.moveaxis(IMAGES, -1, 1), Y), FIRST),
    "channels first, in batches": (images, batches(np.moveaxis(IMAGES, -1, 1), Y), FIRST),
    "channels last": (
        lambda: images("channels_first"), (IMAGES, Y), r"Its channels come last: give numpy.moveaxis\(x, -1, 1\)",
    ),
    "no batch": (grey, IMAGES[0, ..., :1], r"It lacks the batch axis: give x\[None\] for one example"),
    "a tuple for a dict": (
        lambda: two_inputs("keys"), ((LEFT, RIGHT), Y),
        r"Expected inputs as a dict with the keys \['a', 'b'\]. Received: arrays without names. Give such a dict",
    ),
    "a tuple in another order": (
        lambda: two_inputs("names"), ((RIGHT, LEFT), Y),
        r"shape \(None, 4\) for the input 'left'(.|\n)*Expected a dict by name. Received: arrays without names, which "
        r"are taken as \['left', 'right'\]",
    ),
    "names for keys": (
        lambda: two_inputs("keys"), ({"left": LEFT, "right": RIGHT}, Y), r"keys \['a', 'b'\]. Received: the keys",
    ),
    "a dict of other names": (
        lambda: two_inputs("list"), ({"l": LEFT, "r": RIGHT}, Y), r"inputs \['left', 'right'\]. Received: the keys",
    ),
    "a dict for one input": (classifier, ({"x": X}, Y), r"inputs \['table'\]. Received: the keys \['x'\]"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_prune_names_what_does_not_fit(case):
    make, data, message = CASES[case]
    with pytest.raises(kp.PruneError, match=message):
        kp.prune(make(), 0.5, data, epochs=1, verbose=0)


def test_a_late_batch_is_named_without_a_teacher_too():
    with pytest.raises(kp.PruneError, match="from 0 to 2 .*Received: labels such as 7"):
        kp.prune(classifier(), 0.5, batches(X, late(Y)), epochs=1, distil=False, verbose=0)


TAKEN = ("a sparse matrix", "NaN", "no channels", "a tuple in another order")  # by Keras, right or wrong


@pytest.mark.matrix
@pytest.mark.parametrize("case", [case for case in CASES if case not in TAKEN])
def test_a_student_names_what_does_not_fit(case):
    make, data, message = CASES[case]
    model = make()
    student = kp.distil(kp.rebuild(model, kp.Plan({}), compile="same"), model)
    x, *beside = data if isinstance(data, tuple) else (data,)
    with pytest.raises(kp.PruneError, match=message):
        student.fit(x, **dict(zip(("y", "sample_weight"), beside, strict=False)), verbose=0)


def test_another_error_of_keras_stays_what_it_is():
    model = classifier()
    student = kp.distil(kp.rebuild(model, kp.Plan({}), compile="same"), model)
    with pytest.raises(TypeError, match="learn"):
        student.fit(X, Y, learn=True)
    with pytest.raises(Exception) as found:
        student.fit(iter([(X, NAMES)]), verbose=0)
    assert not isinstance(found.value, kp.PruneError)  # which cannot be read again


@pytest.mark.thorough
@pytest.mark.parametrize("form", [lambda *parts: parts, batches], ids=["arrays", "batches"])
def test_a_last_axis_of_length_1_may_be_missing_or_too_much_as_in_fit(form, tmp_path):
    one, pixels, grid = grey(), IMAGES[..., 0], keras.Input((8, 8))
    flat = compiled(grid, layers.Dense(3, "softmax")(layers.Flatten()(layers.Conv1D(8, 3)(grid))))
    for model, given, wanted in ((one, pixels, pixels[..., None]), (flat, pixels[..., None], pixels)):
        plans = [kp.plan(model, "taylor_fo", keep=0.5, data=form(x, Y)) for x in (given, wanted)]
        assert plans[0].keep == plans[1].keep
        slim, *_ = kp.prune(model, 0.5, form(given, Y), epochs=1, verbose=0)
        assert slim.input_shape == model.input_shape
        export = kp.export.tflite(slim, tmp_path / f"{slim.name}.tflite", quantize="int8", data=form(given, Y))
        assert export.max_error < 0.1


@pytest.mark.thorough
def test_an_output_without_a_loss_needs_no_labels():
    model = two_outputs()
    model.compile("sgd", {"kind": SPARSE, "amount": None})
    model.fit(X, {"kind": Y, "amount": None}, verbose=0)
    given = [{"kind": Y, "amount": amount} for amount in (Y * 1.0, None)]
    found = [kp.prune(model, 0.5, (X, labels), epochs=1, verbose=0).report for labels in given]
    assert str(found[0]) == str(found[1]) and "fine-tuned, epoch 1" in str(found[0])


@pytest.mark.thorough
def test_no_check_stumbles_over_a_missing_label():
    """Keras takes no `None` in the batches of a `PyDataset` on TensorFlow, and says so."""

    class Rows(keras.utils.PyDataset):
        num_batches = 2
        __len__ = lambda self: 2  # noqa: E731
        __getitem__ = lambda self, at: (X[:30], {"kind": Y[:30], "amount": None})  # noqa: E731

    model = two_outputs()
    model.compile("sgd", {"kind": SPARSE, "amount": None})
    try:
        kp.prune(model, 0.5, Rows(), epochs=1, verbose=0)
    except Exception as error:  # noqa: BLE001, whatever Keras raises
        assert "did not match the expected structure" in str(error)


@pytest.mark.thorough
@pytest.mark.parametrize("form", ["names", "list"])
def test_what_keras_takes_is_taken(form):
    model, by_name, in_order = two_inputs(form), {"left": LEFT, "right": RIGHT}, (LEFT, RIGHT)
    found = [kp.prune(model, 0.5, data, verbose=0).report.steps for data in ((by_name, Y), (in_order, Y))]
    assert [str(step) for step in found[0]] == [str(step) for step in found[1]] and found[0][0].metrics
    alone = [kp.prune(model, 0.5, data, verbose=0).report.steps for data in (by_name, in_order, list(in_order))]
    assert len({step[-1].error for step in alone}) == 1 and not alone[0][0].metrics
    assert kp.prune(classifier(), 0.5, (X, None), verbose=0).report.steps[-1].error is not None
