"""Full precision where the library compares or solves, on every backend; what it is for, on a JAX that rounds."""

from __future__ import annotations

import contextlib
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.backend.devices import device
from kerasprune.backend.engine import full_precision
from kerasprune.data.examples import Examples
from kerasprune.data.signature import signature_of
from kerasprune.export.parity import keras_function
from kerasprune.planning.budgets.trials import Trials
from kerasprune.repair.reconstruction.feature_error import feature_error
from kerasprune.steps.judge import Judge
from kerasprune.steps.objective import Objective
from kerasprune.surgery import verification
from kerasprune.testing import randomise

BACKEND = keras.backend.backend()
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
GENERATOR = np.random.default_rng(0)
X, Y = GENERATOR.normal(size=(96, 6)).astype("float32"), GENERATOR.integers(0, 3, 96)


def precision():
    """Returns what the backend is told about products, as it is now."""
    if BACKEND == "jax":
        import jax

        return jax.config.jax_default_matmul_precision
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.config.experimental.tensor_float_32_execution_enabled()
    import torch

    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


FULL = {"jax": "highest", "tensorflow": False, "torch": ("highest", False)}[BACKEND]


def put(value):
    """Tells the backend what `precision` returned."""
    if BACKEND == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", value)
    elif BACKEND == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(value)
    else:
        import torch

        torch.set_float32_matmul_precision(value[0])
        torch.backends.cudnn.allow_tf32 = value[1]


@pytest.fixture
def kept():
    """Puts the precision back after a test."""
    found = precision()
    yield found
    put(found)


OTHER = {"jax": "bfloat16", "tensorflow": True, "torch": ("medium", True)}[BACKEND]


@pytest.mark.parametrize("before", [FULL, OTHER])
def test_what_held_before_holds_after_also_after_an_error(before, kept):
    put(before)
    with full_precision():
        assert precision() == FULL
        with full_precision():
            assert precision() == FULL
        assert precision() == FULL
    assert precision() == before
    with contextlib.suppress(ZeroDivisionError), full_precision():
        raise ZeroDivisionError
    assert precision() == before
    assert full_precision()(precision)() == FULL and precision() == before


@pytest.mark.skipif(BACKEND != "torch", reason="flags of torch")
def test_the_newer_flags_of_torch_are_put_back_too():
    import torch

    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    matmul.fp32_precision = "tf32"  # alone: the older flags cannot be read then
    try:
        with full_precision():
            assert (matmul.fp32_precision, conv.fp32_precision) == ("ieee", "ieee") and precision() == FULL
        assert (matmul.fp32_precision, conv.fp32_precision) == ("tf32", "tf32")
    finally:
        matmul.fp32_precision = "ieee"


def test_the_device_is_named():
    assert "cpu" in device() or "gpu" in device() or "cuda" in device() or "tpu" in device()


# ---- what decides ----------------------------------------------------------------------------------------------------


def network():
    inputs = keras.Input((6,))
    x = layers.BatchNormalization()(layers.Dense(12, name="first")(inputs))
    x = layers.Dense(8, "relu", name="second")(layers.ReLU()(x))
    return randomise(keras.Model(inputs, layers.Dense(3, name="logits")(x)))


class Own(keras.Model):
    """A subclassed model."""

    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Dense(4, "relu"), layers.Dense(2)

    def call(self, x):
        return self.second(self.first(x))


def own():
    model = Own()
    model.build((None, 6))
    return model


DECIDING = {
    "verify": lambda model, plan: kp.verify(model, kp.rebuild(model, plan), plan, reload=False),
    "border_error": lambda model, plan: kp.surgery.border_error(model, plan, X),
    "functional": lambda model, plan: kp.functional(own()),
    "reconstruct": lambda model, plan: kp.reconstruct(kp.rebuild(model, plan), model, plan, X),
    "recalibrate": lambda model, plan: kp.recalibrate(model, X),
    "feature_error": lambda model, plan: feature_error(kp.rebuild(model, plan), model, plan, X),
    "synthesise": lambda model, plan: kp.synthesise(model, 4, steps=2, value_range=(-2, 2), verbose=0),
    "trials": lambda model, plan: Trials(kp.trace(model), X).error(plan),
    "criterion of maps": lambda model, plan: kp.plan(model, "apoz", keep=0.5, data=X),
    "criterion of gradients": lambda model, plan: kp.plan(model, "taylor_fo", keep=0.5, data=(X, Y), loss=LOSS),
    "criterion of curvature": lambda model, plan: kp.plan(
        model, {"name": "obd", "curvature": "gauss_newton"}, keep=0.5, data=(X[:4], Y[:4]), loss=LOSS
    ),
    "judge": lambda model, plan: Judge(model, Objective(LOSS), Examples((X, Y))).step("", kp.rebuild(model, plan)),
    "parity": lambda model, plan: keras_function(model, signature_of(model))([X]),
}


@pytest.fixture
def seen(monkeypatch):
    """The precisions in which dense layers compute, or are compiled."""
    found, call = set(), layers.Dense.call

    def looked_at(self, inputs, *args, **kwargs):
        if not isinstance(inputs, keras.KerasTensor):
            found.add(precision())
        return call(self, inputs, *args, **kwargs)

    monkeypatch.setattr(layers.Dense, "call", looked_at)
    if BACKEND == "jax":
        from kerasprune.backend import jax_layers

        jax_layers.make_program.cache_clear()
    return found


@pytest.mark.parametrize("name", DECIDING)
def test_what_decides_computes_in_full_precision(name, seen, kept):
    put(OTHER)
    model = network()
    plan = kp.Plan({"first": range(6), "second": range(1, 8, 2)})
    seen.clear()
    DECIDING[name](model, plan)
    assert seen == {FULL} and precision() == OTHER
    assert model.predict_function is None and model.test_function is None  # nothing is left for the user's own calls


def test_the_process_that_loads_a_slim_model_asks_for_full_precision_itself(kept, monkeypatch, tmp_path):
    put(OTHER)
    model, inputs, outputs = (str(tmp_path / name) for name in ("slim.keras", "inputs.npz", "outputs.npz"))
    network().save(model)
    np.savez(inputs, **{"0": X})
    monkeypatch.setattr(sys, "argv", ["-c", model, inputs, outputs])
    monkeypatch.setitem(sys.modules, "kerasprune", kp)  # which the process cannot import
    exec(verification._ALONE, {})
    assert precision() == FULL


@pytest.mark.whole
def test_training_and_predictions_keep_their_precision(seen, kept):
    put(OTHER)
    model = network()
    seen.clear()
    slim = kp.prune(model, 0.5, (X, Y), 1, loss=LOSS, verbose=0).slim
    assert seen == {FULL, OTHER}
    seen.clear()
    slim.predict(X, verbose=0)
    assert seen == {OTHER}


# ---- a JAX that rounds -----------------------------------------------------------------------------------------------

on_jax = pytest.mark.skipif(BACKEND != "jax", reason="only JAX can be made to round on a processor")


@pytest.fixture(scope="module", params=["TF32", "BFLOAT16"])
def rounded(request):
    from support import short_products

    with short_products.short_products(getattr(short_products, request.param)):
        yield


@pytest.fixture(scope="module")
def residual():
    inputs = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, name="stem")(inputs)))
    y = layers.Conv2D(8, 1, name="branch")(x)  # no border: constants are folded exactly
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([x, y])))
    return randomise(keras.Model(inputs, layers.Dense(3, name="logits")(x)))


IMAGES = GENERATOR.normal(size=(32, 8, 8, 3)).astype("float32")


@on_jax
def test_it_rounds_but_in_full_precision(rounded):
    a, b = GENERATOR.normal(size=(2, 16, 16)).astype("float32")

    def error():
        product = ops.convert_to_numpy(ops.matmul(a, b))
        return np.abs(product - a.astype("float64") @ b.astype("float64")).max()

    with full_precision():
        assert error() < 1e-5
    assert 1e-3 < error() < 1e-1


@on_jax
@pytest.mark.whole
def test_a_model_is_pruned(rounded, residual):
    report = kp.prune(residual, macs=0.5, data=IMAGES, verbose=0).report
    assert report.verified is not None and [step.name for step in report.steps][:2] == ["dense", "removed"]


@on_jax
@pytest.mark.thorough
def test_a_model_is_pruned_and_trained(rounded, residual):
    labels = GENERATOR.integers(0, 3, len(IMAGES))
    report = kp.prune(residual, macs=0.5, data=(IMAGES, labels), epochs=1, loss=LOSS, verbose=0).report
    assert report.verified is not None and report.steps[-1].name == "fine-tuned"


@on_jax
@pytest.mark.whole
def test_a_slim_model_is_verified_and_predictions_round_as_before(rounded, residual):
    def exact():
        return keras_function(residual, signature_of(residual))([IMAGES])[0]

    plan, before = kp.Plan({"stem": range(0, 8, 2)}), residual.predict(IMAGES, verbose=0)
    verdict = kp.verify(residual, kp.rebuild(residual, plan), plan)  # another process loads it, and does not round
    assert verdict.passed, verdict
    after = residual.predict(IMAGES, verbose=0)
    assert np.array_equal(before, after) and np.abs(after - exact()).max() > 1e-4


@on_jax
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_of_half_precision_is_verified(rounded, residual, policy):
    keras.config.set_dtype_policy(policy)
    try:
        inputs = keras.Input((6,))
        x = layers.Dense(8, "relu", name="first")(inputs)
        model = randomise(keras.Model(inputs, layers.Dense(3, dtype="float32")(x)))
    finally:
        keras.config.set_dtype_policy("float32")
    plan = kp.Plan({"first": [0, 3, 4]})
    assert kp.verify(model, kp.rebuild(model, plan), plan, reload=False).passed


@on_jax
def test_a_function_that_turns_and_turns_back_acts_on_every_channel_separately(rounded):
    def turned(x):
        turn = np.linalg.qr(np.random.default_rng(0).normal(size=(x.shape[-1],) * 2))[0].astype("float32")
        return ops.tanh(ops.matmul(ops.matmul(x, turn), turn.T))

    inputs = keras.Input((6,))
    x = layers.Dense(8, turned, name="first")(inputs)
    assert kp.trace(keras.Model(inputs, layers.Dense(3)(x))).groups["first"].prunable
