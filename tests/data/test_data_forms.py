"""Every public function that takes data takes them in every form of `model.fit`, and finds the same examples in it."""

from __future__ import annotations

import tempfile
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import kerasprune as kp
from kerasprune.export.quantization import correct_biases

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(64, 6)).astype("float32"), np.arange(64) % 3
SIZE = 32  # of a batch: that in which the functions read whole arrays


def parts(number):
    rows = slice(SIZE * number, SIZE * (number + 1))
    return X[rows], Y[rows]


class Tuples(keras.utils.PyDataset):
    num_batches = 2

    def __getitem__(self, index):
        return parts(index)


class Lists(Tuples):
    def __getitem__(self, index):
        return list(parts(index))


class ByName(Tuples):
    def __getitem__(self, index):
        x, y = parts(index)
        return {"words": x}, y


class ForEver(Tuples):
    """An iterator without an end that has a length and random access, as `ImageDataGenerator.flow` makes it."""

    def __iter__(self):
        return self

    def __next__(self):
        return self[0]


class Loader:
    """Collates lists, as the data loader of torch does."""

    def __len__(self):
        return 2

    def __iter__(self):
        return (list(parts(number)) for number in range(2))


FORMS = {
    "numbered lists": Lists,
    "arrays": lambda: (X, Y),
    "arrays by name": lambda: ({"words": X}, Y),
    "a data set": lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(SIZE),
    "a data set by name": lambda: tf.data.Dataset.from_tensor_slices(({"words": X}, Y)).batch(SIZE),
    "numbered": Tuples,
    "numbered by name": ByName,
    "numbered for ever": ForEver,
    "a loader": Loader,
}


def torch_loader():
    data = pytest.importorskip("torch.utils.data")
    return data.DataLoader([(x, int(y)) for x, y in zip(X, Y, strict=True)], batch_size=SIZE)


FORMS["a loader of torch"] = torch_loader


class Stored:
    """Rows that are read when they are sliced, as those of `h5py`; what is read is counted."""

    def __init__(self, rows):
        self.rows, self.shape, self.dtype, self.read = rows, rows.shape, rows.dtype, []

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.read.append(len(self.rows[rows]))
        return self.rows[rows]

    def __array__(self, *_, **__):
        raise AssertionError("all rows are read at once")


def memory_mapped():
    folder = tempfile.mkdtemp()
    for name, array in (("x", X), ("y", Y)):
        np.save(f"{folder}/{name}.npy", array)
    return tuple(np.load(f"{folder}/{name}.npy", mmap_mode="r") for name in "xy")


def in_h5py():
    file = pytest.importorskip("h5py").File(f"{tempfile.mkdtemp()}/a.h5", "w")
    return file.create_dataset("x", data=X), file.create_dataset("y", data=Y)


FORMS |= {
    "stored arrays": lambda: (Stored(X), Stored(Y)),
    "stored arrays by name": lambda: ({"words": Stored(X)}, Y),
    "memory-mapped arrays": memory_mapped,
    "arrays of h5py": in_h5py,
}


def network(length: tuple = ()) -> keras.Model:
    """A trained model, the same each time; of sequences whose length is free, with a label for each step."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((*length, 6), name="words")
    x = layers.Dense(8, activation="relu", name="wide")(layers.BatchNormalization()(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.BatchNormalization()(x)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def slim_and_plan(model):
    plan = kp.plan(model, keep=0.5)
    return kp.rebuild(model, plan), plan


def verified(model, data):
    return kp.verify(model, *slim_and_plan(model), data, reload=False).passed


def outputs(model):
    return [keras.ops.convert_to_numpy(model(X if model.input.shape[1] else X[None]))]


def kept(plan):
    return [np.asarray(plan.keep["wide"])]


def pruned(model, data, **how):
    slim, plan, _ = kp.prune(model, keep=0.5, criterion="gradient_magnitude", data=data, verbose=0, **how)
    return [*kept(plan), *outputs(slim)]


def reconstructed(model, data):
    slim, plan = slim_and_plan(model)
    return outputs(kp.reconstruct(slim, model, plan, data))


def trained(model, data):
    slim, _, _ = kp.prune(model, keep=0.5, data=data, epochs=1, verbose=0)
    return [np.asarray(outputs(slim)[0].shape)]  # arrays are shuffled


def exported(model, data, tmp_path):
    tmp_path.mkdir(exist_ok=True)
    report = kp.export.tflite(model, tmp_path / "a.tflite", quantize="int8", data=data)
    return [np.asarray(report.max_error)]


ENTRANCES = {
    "plan": lambda model, data, _: kept(kp.plan(model, "gradient_magnitude", keep=0.5, data=data)),
    "prune": lambda model, data, _: pruned(model, data),
    "prune and train": lambda model, data, _: trained(model, data),
    "prune at init": lambda model, data, _: list(kp.prune_at_init(model, "snip", keep=0.5, data=data).values()),
    "recalibrate": lambda model, data, _: outputs(kp.recalibrate(slim_and_plan(model)[0], data)),
    "reconstruct": lambda model, data, _: reconstructed(model, data),
    "fold": lambda model, data, _: outputs(kp.fold(model, kp.plan(model, keep=0.5), repair="examples", data=data)[0]),
    "correct biases": lambda model, data, _: outputs(correct_biases(model, data)),
    "verify": lambda model, data, _: [np.asarray(verified(model, data))],
    "precision": lambda model, data, _: [np.asarray([*kp.analysis.precision_sensitivity(model, data).values()])],
    "tflite": exported,
}


def matrix(rows, first="plan"):
    """Returns a decorator for each entrance and each row; the rows of the first entrance are in the default tier."""
    cases = [
        pytest.param(a, b, id=f"{a}-{b}", marks=[pytest.mark.experiments] * (a == "precision"))
        for a in ENTRANCES
        for b in rows
    ]
    chosen = [f"{entrance}-{next(iter(rows))}" for entrance in ENTRANCES] + [f"{first}-{row}" for row in rows]
    return lambda test: pytest.mark.matrix(*dict.fromkeys(chosen))(
        pytest.mark.parametrize(("entrance", "form"), cases)(test)
    )


@matrix(FORMS)
def test_every_entrance_takes_every_form(entrance, form, tmp_path):
    read = ENTRANCES[entrance]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of quality: the model is not trained
        found = read(network(), FORMS[form](), tmp_path)
        wanted = read(network(), FORMS["a data set"](), tmp_path / "other")
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        if "array" not in form:  # arrays are held out in another way
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@matrix({"stored": None})
def test_rows_of_files_are_read_in_parts(entrance, form, tmp_path):
    """Never more rows at once than a batch; none but the samples, where these are a few."""
    del form
    x = Stored(np.tile(X, (40, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ENTRANCES[entrance](network(), (x, Stored(np.tile(Y, 40))), tmp_path)
    assert x.read and max(x.read) <= 128


def reconstructed_from_some(x):
    model = network()
    kp.reconstruct(*slim_and_plan(model)[:1], model, kp.plan(model, keep=0.5), x, samples=400)


@pytest.mark.parametrize(
    "read",
    [
        lambda x: kp.recalibrate(network(), x, samples=400),
        reconstructed_from_some,
        lambda x: correct_biases(network(), x, samples=400),
    ],
)
def test_no_more_rows_of_files_are_read_than_are_used(read):
    x = Stored(np.tile(X, (40, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read(x)
    assert sum(x.read) <= 1.5 * 400


@matrix({"once": None})
def test_what_is_read_once_is_taken_or_refused_at_once(entrance, form, tmp_path):
    if entrance == "tflite":
        pytest.importorskip("ai_edge_litert")
    del form
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = ENTRANCES[entrance](network(), (parts(number) for number in range(2)), tmp_path)
        except kp.PruneError as error:
            assert "several times" in str(error)
            return
        wanted = ENTRANCES[entrance](network(), FORMS["a data set"](), tmp_path / "other")
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


SEVERAL = (11, 11, 17, 23) * 2  # the first two are alike: what is made for these does not fit the others


def sequences(length):
    rows = np.random.default_rng(length).normal(size=(4, length, 6)).astype("float32")
    return rows, np.arange(4 * length).reshape(4, length) % 3


class Numbered(keras.utils.PyDataset):
    num_batches = len(SEVERAL)

    def __getitem__(self, index):
        return sequences(SEVERAL[index])


class Collated:
    def __len__(self):
        return len(SEVERAL)

    def __iter__(self):
        return (list(sequences(length)) for length in SEVERAL)


def of_lengths():
    types = tf.TensorSpec((None, None, 6)), tf.TensorSpec((None, None), tf.int64)
    return tf.data.Dataset.from_generator(lambda: map(sequences, SEVERAL), output_signature=types)


LENGTHS = {
    "a data set": of_lengths,
    "without labels": lambda: of_lengths().map(lambda x, _: x),
    "numbered": Numbered,
    "a loader": Collated,
}


OF_TWO = ("numbered", "a loader")  # Keras takes the shapes of all from two, on TensorFlow: so does `fit`


@matrix(LENGTHS)
def test_batches_differ_in_length(entrance, form, tmp_path):
    """The model takes any length: so does every entrance, or it says why not."""
    if form == "without labels" and entrance in ("plan", "prune", "prune at init"):
        form = "a data set"  # criteria of gradients need labels
    read = ENTRANCES[entrance]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = read(network((None,)), LENGTHS[form](), tmp_path)
        except kp.PruneError as error:
            one_length = entrance in ("tflite", "precision") and "one size, or length" in str(error)
            assert one_length or "prune" in entrance and form in OF_TWO and "first two" in str(error)
            return
        assert entrance not in ("tflite", "precision") and all(np.isfinite(each).all() for each in found)
        if entrance not in ("prune", "prune and train"):  # which hold out batches
            wanted = read(network((None,)), list(map(sequences, SEVERAL)), tmp_path)
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def ragged(rows, kind="float32"):
    return tf.ragged.constant([row.tolist() for row in rows], ragged_rank=1, dtype=kind)


def lists(rows):
    found = np.empty(len(rows), object)
    found[:] = [row.tolist() for row in rows]
    return found


TEXTS = [X[:length] for length in (2, 3, 5, 4)]
RAGGED = {
    "inputs": lambda: (ragged(TEXTS), Y[:4]),
    "a list of lists": lambda: (lists(TEXTS), Y[:4]),
    "by name": lambda: ({"words": ragged(TEXTS)}, Y[:4]),
    "a data set": lambda: tf.data.Dataset.from_tensor_slices((ragged(TEXTS), Y[:4])).batch(2),
    "labels": lambda: (X[:20].reshape(4, 5, 6), ragged([Y[: len(each)] for each in TEXTS], "int32")),
    "labels of a data set": lambda: tf.data.Dataset.from_tensor_slices(
        (X[:20].reshape(4, 5, 6), ragged([Y[: len(each)] for each in TEXTS], "int32"))
    ).batch(2),
}
UNLABELLED = ("recalibrate", "reconstruct", "fold", "correct biases", "verify", "precision", "tflite")


@matrix(RAGGED)
def test_rows_that_differ_in_length_are_to_be_padded(entrance, form, tmp_path):
    if entrance == "tflite":
        pytest.importorskip("ai_edge_litert")
    if "labels" in form and entrance in UNLABELLED:
        pytest.skip("it reads no labels")
    with pytest.raises(kp.PruneError, match="[Pp]ad "):
        ENTRANCES[entrance](network((None,)), RAGGED[form](), tmp_path)
