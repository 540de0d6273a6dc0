"""State that a step on JAX carries, seen from TensorFlow and from JAX: run the latter with KERAS_BACKEND=jax."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from support.convnet import DATA, compiled, small, train

import kerasprune as kp
from kerasprune.training.jax_step import own_variables, synchronise
from kerasprune.training.state_variable import StateVariable

ON_JAX = pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX")


class Watch(kp.callbacks.PruningCallback):
    """Notes λ after every batch."""

    def __init__(self, other):
        super().__init__()
        self.other, self.values = other, []

    def on_train_batch_end(self, batch, logs=None):
        _ = self.model  # on JAX this brings the variables up to date
        self.values.append(round(self.other.gauges()["λ"], 6))


def test_a_penalty_grows_within_an_epoch():
    callback = kp.callbacks.GReg1(keep=0.5, penalty_step=0.01, every=2, ceiling=0.05, settle=10)
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
    assert "save_own_variables" not in vars(model.optimizer)
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
