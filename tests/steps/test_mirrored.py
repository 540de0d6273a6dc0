"""`kp.prune` and a strategy of TensorFlow for two devices: within its scope it works, outside it is said."""

from __future__ import annotations

import keras
import pytest
from support.processes import run_python

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow")

CODE = """
import warnings
import keras, numpy as np, tensorflow as tf
import kerasprune as kp
from kerasprune.data.arrays import batches_of
from kerasprune.data.epoch_counters import positions
from kerasprune.data.examples import Examples

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
x, y = np.random.default_rng(0).normal(size=(64, 8)).astype("float32"), np.arange(64) % 3
layers, strategy = keras.layers, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(3)(layers.Dense(16, activation="relu")(inputs)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def found(call, *words):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    return result, any("strategy.scope" in str(each.message) for each in caught)


def order(data):
    return [np.asarray(labels).tolist() for _, (labels,) in ((x, rest) for x, *rest in data)]


with strategy.scope():
    model = network()
    data = batches_of((x, y), 16, 0)
    inside = [order(data), order(data)]
    (slim, _, report), told = found(lambda: kp.prune(model, keep=0.5, data=(x, y), epochs=2, batch=16, verbose=0))
    assert type(slim.variables[0].value).__name__ == "MirroredVariable" and not told
    assert np.isfinite(report.steps[-1].error)
again = batches_of((x, y), 16, 0)
assert [order(again), order(again)] == inside and inside[0] != inside[1]  # the epoch is counted
plan = kp.plan(model, keep=0.5)
for call in (
    lambda: kp.prune(model, keep=0.5, data=(x, y), epochs=1, verbose=0), lambda: kp.rebuild(model, plan),
    lambda: kp.prune(model, keep=0.5, data=(x, y), verbose=0),
):
    assert found(call)[1]
    with strategy.scope():
        assert not found(call)[1]
model = network()
assert not found(lambda: kp.prune(model, keep=0.5, data=(x, y), verbose=0))[1]
print("done")
"""


@pytest.mark.thorough
def test_arrays_in_the_scope_and_a_word_outside_of_it():
    assert run_python(CODE).splitlines()[-1] == "done"
