"""Every public function that takes data takes them in every form of `model.fit`, and finds the same examples in it."""

from __future__ import annotations

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


def network() -> keras.Model:
    """A trained model, the same each time."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), name="words")
    x = layers.Dense(8, activation="relu", name="wide")(layers.BatchNormalization()(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.BatchNormalization()(x)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def slim_and_plan(model):
    plan = kp.plan(model, keep=0.5)
    return kp.rebuild(model, plan), plan


def verified(data):
    model = network()
    return kp.verify(model, *slim_and_plan(model), data, reload=False).passed


def outputs(model):
    return [keras.ops.convert_to_numpy(model(X))]


def pruned(data):
    slim, plan, _ = kp.prune(network(), keep=0.5, criterion="gradient_magnitude", data=data, verbose=0)
    return [np.asarray(plan.keep["wide"]), *outputs(slim)]


def reconstructed(data):
    model = network()
    slim, plan = slim_and_plan(model)
    return outputs(kp.reconstruct(slim, model, plan, data))


def trained(data):
    slim, _, _ = kp.prune(network(), keep=0.5, data=data, epochs=1, verbose=0)
    return [np.asarray(outputs(slim)[0].shape)]  # arrays are shuffled


def exported(data, tmp_path):
    tmp_path.mkdir(exist_ok=True)
    report = kp.export.tflite(network(), tmp_path / "a.tflite", quantize="int8", data=data)
    return [np.asarray(report.max_error)]


ENTRANCES = {
    "plan": lambda data, _: [np.asarray(kp.plan(network(), "gradient_magnitude", keep=0.5, data=data).keep["wide"])],
    "prune": lambda data, _: pruned(data),
    "prune and train": lambda data, _: trained(data),
    "prune at init": lambda data, _: list(kp.prune_at_init(network(), "snip", keep=0.5, data=data).values()),
    "recalibrate": lambda data, _: outputs(kp.recalibrate(slim_and_plan(network())[0], data)),
    "reconstruct": lambda data, _: reconstructed(data),
    "fold": lambda data, _: outputs(kp.fold(network(), 0.5, repair="examples", data=data)[0]),
    "correct biases": lambda data, _: outputs(correct_biases(network(), data)),
    "verify": lambda data, _: [np.asarray(verified(data))],
    "precision": lambda data, _: [np.asarray([*kp.analysis.precision_sensitivity(network(), data).values()])],
    "tflite": exported,
}
FIRST = next(iter(FORMS))


@pytest.mark.matrix(*(f"{entrance}-{FIRST}" for entrance in ENTRANCES))
@pytest.mark.parametrize(
    ("entrance", "form"),
    [
        pytest.param(a, b, id=f"{a}-{b}", marks=[pytest.mark.experiments] * (a == "precision"))
        for a in ENTRANCES
        for b in FORMS
    ],
)
def test_every_entrance_takes_every_form(entrance, form, tmp_path):
    read = ENTRANCES[entrance]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of quality: the model is not trained
        found, wanted = read(FORMS[form](), tmp_path), read(FORMS["a data set"](), tmp_path / "other")
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        if "array" not in form:  # arrays are held out in another way
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
