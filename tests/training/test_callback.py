"""The base of callbacks: who decides, what a second fit does, what is said and logged."""

from __future__ import annotations

import copy
import warnings

import keras
import numpy as np
import pytest
from support import acting_table, scale_reference
from support.greg_reference import compiled, network, train

import kerasprune as kp
from kerasprune.callbacks import GradualMagnitude, GReg1, IterativeMagnitude, NetworkSlimming, PruningCallback
from kerasprune.training.callback import declaring_class

ON_TENSORFLOW = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a loop of TensorFlow")


@pytest.mark.parametrize("member", [keras.callbacks.EarlyStopping, lambda: None, "GReg1", 3, kp.callbacks.HoldMask({})])
def test_for_all_but_classes_of_pruning_callbacks_the_base_speaks(member):
    assert declaring_class(member) is PruningCallback


def test_a_class_speaks_for_itself():
    assert declaring_class(kp.callbacks.GReg1) is kp.callbacks.GReg1


# ---- a second fit ------------------------------------------------------------------------------------------------


def _greg1(**arguments):
    return GReg1(
        keep=0.5, schedule={"step": 0.005, "every": 4, "ceiling": 0.05, "settle": 4}, **arguments
    )  # 40 steps, 10 epochs


def _numbers(model: keras.Model) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(weight) for weight in model.weights]


@pytest.mark.matrix
@pytest.mark.parametrize("decoupled", [False, True])
def test_an_unfinished_schedule_goes_on(decoupled):
    """Two fits of 5 epochs are one of 10."""
    whole, parts = compiled(), compiled()
    train(whole, [one := _greg1(decoupled=decoupled)])
    two = _greg1(decoupled=decoupled)
    with pytest.warns(UserWarning, match="was to take 40 steps; fit ended after 20"):
        train(parts, [two], epochs=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(parts, [two])
    assert int(parts.optimizer.iterations) == 40 and one.plan == two.plan
    for a, b in zip(_numbers(whole), _numbers(parts), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.thorough
def test_a_finished_schedule_is_held_and_says_so():
    model = compiled()
    train(model, [callback := _greg1()])
    plan = callback.plan
    with pytest.warns(UserWarning, match="has ended its schedule in an earlier fit.*reset"):
        history = train(model, [callback], epochs=3)
    assert history.history["penalty_strength"] == pytest.approx([0.05] * 3) and callback.plan == plan
    for again in (compiled(), model):  # another model, or a callback with a shorter schedule: it starts anew
        history = train(again, [callback if again is not model else callback.compressed(40)], epochs=1)
        assert 0 < history.history["penalty_strength"][0] < 0.02 and len(history.epoch) == 1


@pytest.mark.thorough
@pytest.mark.parametrize(
    "make",
    [
        lambda: GradualMagnitude(kp.schedules.cubic(0.3, end="12it"), every=2),
        lambda: IterativeMagnitude(rounds=1, keep_per_round=0.3),
    ],
)
def test_masks_are_held_in_a_second_fit(make):
    model = compiled()
    train(model, [callback := make()], epochs=4)
    masks = callback.masks
    with pytest.warns(UserWarning, match="has ended its schedule"):
        history = train(model, [callback], epochs=3)  # which its phases would not divide
    assert history.history["kept"] == pytest.approx([0.3] * 3, abs=0.02)
    for path, mask in callback.masks.items():
        np.testing.assert_array_equal(mask, masks[path])
        kernel = next(weight for weight in model.weights if weight.path == path)
        assert not keras.ops.convert_to_numpy(kernel)[~mask].any()


@pytest.mark.thorough
def test_an_unfinished_schedule_of_masks_revives_nothing():
    model = compiled()
    callback = GradualMagnitude(kp.schedules.cubic(0.2, end="32it"), every=2)
    with pytest.warns(UserWarning, match="The schedule ends"):
        first = train(model, [callback], epochs=4).history["kept"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        second = train(model, [callback], epochs=4).history["kept"]
    assert [*first, *second] == sorted([*first, *second], reverse=True) and second[-1] == pytest.approx(0.2, abs=0.02)
    train(model, [callback.reset()], epochs=1)
    assert callback.kept <= second[-1]  # what is zero in a trained model stays zero
    train(compiled(), [callback.reset()], epochs=1)
    assert callback.kept > second[-1]


def test_scales_are_not_set_again():
    x = keras.Input((8,))
    hidden = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(6, name="one")(x))
    model = compiled(keras.Model(x, keras.layers.Dense(3, name="out")(keras.layers.ReLU()(hidden))))
    callback = NetworkSlimming(strength=0.1)
    train(model, [callback], epochs=3)
    before = callback.scales["norm/gamma"][-1]
    train(model, [callback], epochs=1)
    after = callback.scales["norm/gamma"]
    np.testing.assert_allclose(after[-2], before)
    assert np.abs(after[-1] - 0.5).max() > 0.01


# ---- what it says ------------------------------------------------------------------------------------------------


def test_rounds_are_logged():
    history = train(compiled(), [IterativeMagnitude(rounds=3, keep_per_round=0.5)], epochs=4)
    assert history.history["round"] == [1, 2, 3, 3]
    assert history.history["kept"] == pytest.approx([0.5, 0.25, 0.125, 0.125], abs=0.01)


def test_a_repr_says_settings_and_state_in_one_line():
    callback = _greg1(granularity="channel").compressed(8)
    schedule = "{'step': 0.005, 'every': 4, 'ceiling': 0.05, 'settle': 4}"
    text = f"GReg1(keep=0.5, schedule={schedule}, granularity='channel').compressed(8): 8 steps"
    assert repr(callback) == f"{text}, λ grows geometrically"
    train(compiled(), [callback])
    assert repr(callback).startswith(f"{text}, removed ÷ kept 0.")
    mask = {"one/kernel": np.ones((8, 6), bool)}
    assert repr(kp.callbacks.HoldMask(mask)) == "HoldMask(masks=<dict of 1>)"
    assert repr(kp.callbacks.Sparsity()) == "Sparsity()"
    model = network()
    assert len(repr(kp.cost(model))) < 150 > len(repr(kp.plan(model, keep=0.5)))


@pytest.mark.thorough
def test_a_callback_that_does_not_act_raises_or_warns(recwarn):
    class Undone(keras.callbacks.Callback):
        """Puts the first weights back, past the masks."""

        def on_train_batch_end(self, batch, logs=None):
            kernel = self.model.get_layer("one").kernel
            kernel.assign(keras.ops.ones_like(kernel))

    def make(**arguments):
        return [Undone(), GradualMagnitude(kp.schedules.constant(0.5), **arguments)]

    model = compiled()
    with pytest.raises(kp.PruneError, match="has not acted in this fit.*\n.*not zero after an epoch"):
        train(model, make(), epochs=1)
    assert any("GradualMagnitude does not act" in str(each.message) for each in recwarn)
    assert all(variable.constraint is None for variable in model.weights)
    ended = []
    both = [*make(), *make(), keras.callbacks.LambdaCallback(on_train_end=ended.append)]
    with pytest.raises(kp.PruneError, match="has not acted in this fit"):
        train(model, both, epochs=1)
    assert ended and all(variable.constraint is None for variable in model.weights)  # the others have ended too
    with pytest.warns(UserWarning, match="has not acted"):
        train(model, make(strict=False), epochs=1)


@ON_TENSORFLOW
def test_an_evaluation_does_not_count_as_training():
    """Validation asks for penalties; a train step without them is found out all the same."""
    model = acting_table.compiled("momentum", "own step without losses")
    data = acting_table.samples(16)
    with pytest.raises(kp.PruneError, match="WithoutLosses.train_step does not add penalties"):
        model.fit(*data, 8, 2, verbose=0, validation_data=data, callbacks=[_greg1()])


class Rising(PruningCallback):
    """A penalty as in `docs/own_callback.md`: its rate begins as a plain number, its plan is set at the end."""

    def begin(self):
        self.rate = self.session.variable("rate", 0.0, read_by="regularizer")

    def on_epoch_begin(self, epoch, logs=None):
        self.rate.assign(epoch + 0.5)

    def end(self):
        self.plan = kp.plan(self.model, keep=0.5)


def test_a_plain_number_is_a_float_of_the_state_and_a_plan_may_be_set():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    rising = Rising()
    model.fit(np.ones((8, 4), "float32"), np.ones((8, 2), "float32"), epochs=2, verbose=0, callbacks=[rising])
    assert keras.backend.standardize_dtype(rising.rate.dtype) == "float32" and float(rising.state()["rate"]) == 1.5
    assert [layer.units for layer in kp.rebuild(model, rising.plan).layers[1:]] == [3, 2]
    with pytest.raises(kp.PruneError, match="Rising"):
        _ = rising.reset().plan


@pytest.mark.parametrize(
    "make", [lambda: GReg1(keep=0.5).compressed(4), lambda: NetworkSlimming(strength=0.05, macs=0.5)]
)
def test_a_copy_has_no_plan_and_after_a_reset_there_is_none(make):
    model, callback = scale_reference.compiled(), make()
    train(model, [callback], epochs=1)
    assert callback.plan.keep
    for other in (copy.copy(callback), callback.reset()):
        assert "÷" not in repr(other)
        with pytest.raises(kp.PruneError, match="Expected a finished fit"):
            _ = other.plan
