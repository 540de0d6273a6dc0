"""A compiled forward pass computes what the model does, in its own types, with its present weights as arguments."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasprune.backend.forward import backend_version, compiled_forward, device_in_use
from kerasprune.testing.randomness import randomise

pytestmark = [pytest.mark.jax, pytest.mark.torch]
X = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")


def network(dtype: str = "float32") -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(dtype=dtype)(layers.Conv2D(4, 3, activation="relu", dtype=dtype)(inputs))
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D(dtype=dtype)(x))
    return randomise(keras.Model(inputs, {"a": layers.Dense(5, dtype=dtype)(x)}))


@pytest.mark.parametrize("jit", [False, True])
def test_it_computes_what_the_model_does(jit):
    if jit and keras.backend.backend() == "torch":
        pytest.skip("torch.compile takes a minute")
    model = network()
    before = [np.array(ops.convert_to_numpy(each)) for each in model.variables]
    run, memory = compiled_forward(model, X, jit)
    found = {name: ops.convert_to_numpy(value) for name, value in run().items()}
    np.testing.assert_allclose(found["a"], model.predict(X, verbose=0)["a"], rtol=1e-4, atol=1e-5)
    assert all(np.array_equal(old, ops.convert_to_numpy(new)) for old, new in zip(before, model.variables, strict=True))
    if keras.backend.backend() == "jax":
        assert memory >= found["a"].nbytes
    else:
        assert device_in_use()[0] != "cpu" or memory is None


def test_it_keeps_the_types_of_the_model():
    run, _ = compiled_forward(network("bfloat16"), X, jit=False)
    assert keras.backend.standardize_dtype(run()["a"].dtype) == "bfloat16"


def test_the_device_is_named():
    assert device_in_use()[0] in ("cpu", "gpu", "cuda", "tpu")
    assert keras.__version__ in backend_version() and keras.backend.backend() in backend_version()


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="a program of JAX tells its size")
def test_memory_grows_with_the_batch():
    small, large = (compiled_forward(network(), np.repeat(X, number, 0), jit=True)[1] for number in (1, 8))
    assert 4 < large / small < 12
