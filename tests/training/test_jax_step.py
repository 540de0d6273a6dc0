"""State that a step on JAX carries, seen from TensorFlow and from JAX: run the latter with KERAS_BACKEND=jax."""

from __future__ import annotations

import io
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
from support.convnet import DATA, compiled, small, train

import kerasprune as kp
from kerasprune.training.in_step import StateVariable
from kerasprune.training.jax_step import own_variables, synchronise

ON_JAX = pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX")


class Watch(kp.callbacks.PruningCallback):
    """Notes λ after every batch."""

    def __init__(self, other):
        super().__init__()
        self.other, self.values = other, []

    def on_train_batch_end(self, batch, logs=None):
        _ = self.model  # on JAX this brings the variables up to date
        self.values.append(round(self.other.gauges()["penalty_strength"], 6))


def test_a_penalty_grows_within_an_epoch():
    callback = kp.callbacks.GReg1(keep=0.5, schedule={"step": 0.01, "every": 2, "ceiling": 0.05, "settle": 10})
    watch = Watch(callback)
    train(compiled(small()), [callback, watch], epochs=2)
    assert watch.values[0] < watch.values[4] and watch.values == sorted(watch.values)


def test_a_mask_is_renewed_within_an_epoch_and_kept():
    callback = kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.25, end="1ep"), every=2)
    model = compiled(small())
    train(model, [callback], epochs=2)
    assert callback.kept == pytest.approx(0.25, abs=0.02)
    for variable in model.trainable_variables:
        if variable.path in callback.masks:
            assert not keras.ops.convert_to_numpy(variable)[~callback.masks[variable.path]].any()


@pytest.mark.parametrize(
    "make", [lambda: kp.callbacks.GReg1(keep=0.5).compressed(8), lambda: kp.callbacks.Polarization(strength=1e-3)]
)
def test_nothing_stays_on_model_and_optimizer(make):
    model = compiled(small())
    model.fit(*DATA, batch_size=8, epochs=1, verbose=0)
    before = [len(model.variables), len(model.optimizer.variables)]
    train(model, [make()], epochs=1)
    assert [len(model.variables), len(model.optimizer.variables)] == before
    assert not {"compute_loss_and_updates"} & vars(model).keys()
    assert not {"save_own_variables", "load_own_variables"} & vars(model.optimizer).keys()
    assert not any(isinstance(each, StateVariable) for each in (*model.variables, *model.optimizer.variables))
    assert own_variables(model.variables) == model.variables


@ON_JAX
def test_two_callbacks_share_one_count_of_steps_and_leave_none():
    model = compiled(small())
    model.fit(*DATA, batch_size=8, epochs=1, verbose=0)
    before = len(model.variables)
    train(model, [kp.callbacks.GReg1(keep=0.5).compressed(8), kp.callbacks.Polarization(strength=1e-3)], epochs=1)
    assert len(model.variables) == before


@ON_JAX
def test_files_that_are_saved_meanwhile_do_without(tmp_path):
    model = compiled(small())
    callback = kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.25, end="1ep"), every=2)
    path = tmp_path / "saved.keras"
    train(model, [callback, keras.callbacks.ModelCheckpoint(str(path))], epochs=2)
    loaded = keras.models.load_model(path)
    assert len(loaded.optimizer.variables) == len(model.optimizer.variables)
    for one, other in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_files_do_without_whichever_callback_ends_first(tmp_path, policy):
    """With float16 Keras puts an optimizer around the one that updates; both write its memory."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = compiled(small())
    finally:
        keras.config.set_dtype_policy(before)
    kernel = model.get_layer("logits").kernel
    first = kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.25, end="1ep"), every=2, freeze="logits")
    second = kp.callbacks.HoldMask({kernel.path: np.arange(24).reshape(kernel.shape) % 2 == 0})
    numbers = []

    class Between(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            model.save(tmp_path / "between.keras")
            numbers.append(len(model.optimizer.variables))

    train(model, [first, Between(), second], epochs=1)
    if keras.backend.backend() == "jax":
        assert numbers[0] > len(model.optimizer.variables)  # the second callback's were still there
    model.save(tmp_path / "after.keras")
    assert _keys(tmp_path / "between.keras") == _keys(tmp_path / "after.keras")
    assert not {"save_own_variables", "load_own_variables"} & vars(model.optimizer).keys()


def _keys(path):
    """Returns the names of the arrays in a saved model."""
    keys = []
    with zipfile.ZipFile(path) as file, h5py.File(io.BytesIO(file.read("model.weights.h5"))) as arrays:
        arrays.visit(keys.append)
    return keys


@pytest.mark.thorough
def test_another_callback_restores_the_optimizer(tmp_path):
    class Broken(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def fit(*more):
        callback = kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.25, end="2ep"), every=2)
        model = compiled(small())
        train(model, [callback, keras.callbacks.BackupAndRestore(str(tmp_path)), *more], epochs=2)
        return model, callback

    with pytest.raises(KeyboardInterrupt):
        fit(Broken())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Skipping variable loading")
        model, callback = fit()
    assert int(model.optimizer.iterations) == 16
    assert callback.kept == pytest.approx(0.25, abs=0.02)


def test_nobody_puts_weights_back_that_are_not_pruned():
    """Rewinding leaves the masks in place, so that their end finds nothing to mend, on any backend."""
    callback = kp.callbacks.LearningRateRewinding(rounds=1, keep_per_round=0.5, rewind_to="1ep")
    model = compiled(small())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(model, [callback], epochs=3)
    assert callback.kept == pytest.approx(0.5, abs=0.02)


@ON_JAX
def test_a_loop_of_ones_own_is_refused_for_penalties():
    model = compiled(small())
    callback = kp.callbacks.GReg1(keep=0.5).compressed(8)
    with (
        pytest.raises(kp.PruneError, match="GReg1, whose penalties follow the step"),
        kp.callbacks.custom_loop(model, [callback], epochs=1, steps=4),
    ):
        pass
    assert "compute_loss_and_updates" not in vars(model)


def test_synchronise_leaves_a_model_that_is_not_in_fit():
    model = compiled(small())
    before = model.get_weights()
    synchronise(model)
    assert all(map(np.array_equal, before, model.get_weights()))
