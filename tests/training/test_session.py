"""Fits that are broken off, cannot begin, or get weights back from other callbacks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from support.convnet import compiled, small, train
from support.interruption import Break, assert_equal

import kerasprune as kp
from kerasprune.callbacks import GradualMagnitude, HoldMask, IterativeMagnitude, Polarization, Resume, detach
from kerasprune.training.fit import RunningFit
from kerasprune.training.schedules import constant, cubic, linear

pytestmark = pytest.mark.filterwarnings("ignore:The schedule ends", "ignore:The fit resumes")


def attached(model: keras.Model) -> list[str]:
    return [v.path for v in model.weights if v.regularizer is not None or v.constraint is not None]


def nonzero(model: keras.Model) -> float:
    kernels = [v.numpy() for v in model.weights if v.path.endswith("kernel")]
    return sum(np.count_nonzero(k) for k in kernels) / sum(k.size for k in kernels)


@pytest.mark.thorough
def test_the_next_fit_takes_off_what_a_broken_one_left():
    model = compiled(small())
    with pytest.raises(KeyboardInterrupt):
        train(model, [GradualMagnitude(linear(0.1, end="40it"), every=1), Polarization(), Break(3)])
    assert attached(model)
    callback = GradualMagnitude(constant(0.9), every=1)
    train(model, [callback], epochs=5)
    assert callback.kept == pytest.approx(0.9, abs=0.01) and nonzero(model) == pytest.approx(0.9, abs=0.01)
    assert not attached(model) and not RunningFit.of(model).callbacks


def test_detach_takes_it_off_before_a_plain_fit():
    model = compiled(small())
    with pytest.raises(KeyboardInterrupt):
        train(model, [GradualMagnitude(constant(0.2)), Break(3)])
    detach(model)
    assert not attached(model) and not RunningFit.of(model).callbacks
    train(model, [])
    assert nonzero(model) > 0.9


@pytest.mark.thorough
def test_a_callback_of_a_broken_fit_can_be_used_again():
    model, callback = compiled(small()), GradualMagnitude(constant(0.5))
    with pytest.raises(KeyboardInterrupt):
        train(model, [callback, Break(3)])
    train(model, [callback])
    assert nonzero(model) == pytest.approx(0.5, abs=0.01) and not attached(model)


@pytest.mark.matrix
@pytest.mark.parametrize("late", [lambda folder: Resume(folder), lambda _: IterativeMagnitude(rounds=4)])
@pytest.mark.parametrize("early", [lambda: GradualMagnitude(constant(0.1)), lambda: Polarization()])
def test_a_fit_that_cannot_begin_changes_nothing(tmp_path, early, late):
    other = compiled(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4)]))
    train(other, [Resume(tmp_path)])
    model = compiled(small())
    weights = model.get_weights()
    with pytest.raises(kp.PruneError):
        train(model, [early(), late(tmp_path)], epochs=3)
    assert_equal(model, weights)
    assert not attached(model) and not RunningFit.of(model).callbacks
    assert train(model, [], epochs=2).epoch == [0, 1]


# ---- weights that other callbacks put back ---------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
def test_best_weights_are_as_sparse_as_the_masks_say(first):
    model, callback = compiled(small()), GradualMagnitude(cubic(0.2, end="2ep"), every=1)
    best = keras.callbacks.EarlyStopping("loss", mode="max", patience=9, restore_best_weights=True)
    with pytest.warns(UserWarning, match="start_from_epoch"):
        history = train(model, [callback, best] if first else [best, callback], epochs=4)
    assert best.best_epoch == 0 and len(history.epoch) == 4
    assert callback.kept == pytest.approx(0.2, abs=0.01)
    for path, mask in callback.masks.items():
        values = next(v for v in model.weights if v.path == path).numpy()
        assert not values[~mask].any() and not np.signbit(values[~mask]).any()
    assert "on_train_end" not in vars(history)


@pytest.mark.thorough
@pytest.mark.parametrize("first", [True, False])
def test_backup_and_restore_goes_on_with_the_schedule(tmp_path, first):
    def listed(callback):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        return [callback, backup] if first else [backup, callback]

    def gradual():
        return GradualMagnitude(cubic(0.2, end="3ep"), every=1)

    with pytest.raises(KeyboardInterrupt):
        train(compiled(small()), [*listed(gradual()), Break(20)], epochs=5)
    model, callback = compiled(small()), gradual()
    assert train(model, listed(callback), epochs=5).epoch == [2, 3, 4]
    assert callback.kept == pytest.approx(0.2, abs=0.01) and nonzero(model) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("first", [True, False])
def test_backup_and_restore_is_refused_where_more_would_be_lost(tmp_path, first):
    def listed(callback):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        return [callback, backup] if first else [backup, callback]

    with pytest.raises(KeyboardInterrupt):
        train(compiled(small()), [*listed(Polarization()), Break(20)], epochs=5)
    model = compiled(small())
    with pytest.raises(kp.PruneError, match="Resume"):
        train(model, listed(Polarization()), epochs=5)
    assert not attached(model)


def test_masks_that_are_given_stay_with_backup_and_restore(tmp_path):
    def listed(model):
        kernels = [v for v in model.trainable_variables if v.path.endswith("kernel")]
        masks = {v.path: np.arange(np.prod(v.shape)).reshape(v.shape) % 2 == 0 for v in kernels}
        return [HoldMask(masks), keras.callbacks.BackupAndRestore(tmp_path / "backup")]

    model = compiled(small())
    with pytest.raises(KeyboardInterrupt):
        train(model, [*listed(model), Break(12)], epochs=3)
    model = compiled(small())
    train(model, listed(model), epochs=3)
    assert nonzero(model) == pytest.approx(0.5, abs=0.01)


# ---- other refusals --------------------------------------------------------------------------------------------------


def test_padded_filters_are_refused_when_made():
    for make in (
        lambda: GradualMagnitude(constant(0.5), granularity={"name": "filter", "coupling": "padded"}),
        lambda: kp.callbacks.SoftFilterPruning(0.5, coupling="padded"),
    ):
        with pytest.raises(kp.PruneError, match="'tied' or 'free'.*padded"):
            make()
