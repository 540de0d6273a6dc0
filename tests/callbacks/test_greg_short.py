"""Short schedules of GReg: geometric growth against a loop in NumPy, and a BatchNorm behind the filters."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops
from sklearn.datasets import load_digits
from support.greg_reference import DECAY, MOMENTUM, RATE, AdamReference, Reference, compiled, samples, train

import kerasprune as kp
from kerasprune.callbacks import GReg1, GReg2, IncReg
from kerasprune.testing.toys import toy_model
from kerasprune.training.regularizers.growth import LinearGrowth

STEPS, KEEP = 60, 0.4
FULL = 0.25  # η·λ at full strength


def _lambdas(strength: float, every: int = 1) -> list[float]:
    """λ of every step: a ten-thousandth of full strength at first, all of it in the last three tenths."""
    return [strength / RATE * 1e4 ** (min(step // every * every / 42, 1) - 1) for step in range(STEPS)]


def _penalties(reference: Reference, strength: float, picks_at: int, recover: float, every: int = 1):
    """Returns `penalties(step)` on the kernels that read channels; until `picks_at` all are pushed."""
    lambdas, goes = _lambdas(strength, every), {}

    def penalties(step: int) -> list:
        if step == picks_at:
            goes.update({unit: reference.lowest(*unit, KEEP) for unit in reference.units("channel")})
        factors = [0.0] * 3
        for kernel, axis in reference.units("channel"):
            gone = goes.get((kernel, axis))
            factors[kernel] = lambdas[step] if gone is None else np.where(gone, lambdas[step], recover)
        return factors

    penalties.goes = goes
    return penalties


def _check(model: keras.Model, callback, reference: Reference, goes: dict) -> None:
    assert int(model.optimizer.iterations) == STEPS
    for variable, expected in zip(model.weights, reference.weights(), strict=True):
        numbers = ops.convert_to_numpy(variable)
        np.testing.assert_allclose(numbers, expected, atol=1e-4, err_msg=variable.path)
    kept = [np.flatnonzero(gone.ravel() == 0).tolist() for gone in goes.values()]
    assert [list(indices) for indices in callback.plan.keep.values()] == kept


@pytest.mark.thorough
def test_greg1_grows_geometrically():
    model = compiled()
    reference = Reference(model)
    growth = {"name": "geometric", "steps": STEPS, "every": 4}
    callback = GReg1(keep=KEEP, granularity="channel", schedule=growth)
    train(model, [callback])
    penalties = _penalties(reference, FULL, 0, 0.0, every=4)
    reference.run(STEPS, penalties)
    _check(model, callback, reference, penalties.goes)


@pytest.mark.thorough
def test_greg2_picks_halfway_through_its_growth():
    model = compiled()
    reference = Reference(model)
    callback = GReg2(keep=KEEP, granularity="channel", weight_decay=DECAY).compressed(STEPS)
    assert callback.pick_step_number == 21
    train(model, [callback])
    penalties = _penalties(reference, FULL, 21, -DECAY)
    reference.run(STEPS, penalties)
    _check(model, callback, reference, penalties.goes)


@pytest.mark.thorough
def test_apart_from_the_moments_the_penalty_grows_until_a_step_leaves_nothing():
    model = compiled(optimizer=keras.optimizers.Adam(RATE))
    reference = AdamReference(model)
    callback = GReg1(keep=KEEP, granularity="channel", decoupled=True).compressed(STEPS)
    train(model, [callback])
    penalties = _penalties(reference, 1.0, -1, 0.0)
    penalties.goes.update({unit: reference.lowest(*unit, KEEP) for unit in reference.units("channel")})
    reference.run(STEPS, penalties)
    _check(model, callback, reference, penalties.goes)
    gone = penalties.goes[1, 0].ravel() == 1
    assert (
        callback.removed_to_kept < 1e-6
        and np.abs(ops.convert_to_numpy(model.get_layer("two").kernel))[gone].max() < 1e-6
    )


# ---- a BatchNorm behind the filters ------------------------------------------------------------------------------

FILTERS, GONE, EPOCHS, BATCHES = 6, [1, 4, 5], 18, 10
FAST = 0.8  # a momentum that lets 180 steps do what others need 400 for


def _normalised_net() -> keras.Model:
    """Returns convolution, BatchNorm, relu, convolution; nothing but a penalty moves it."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(FILTERS, 3, use_bias=False, name="made")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(epsilon=1e-12, momentum=0.5, beta_initializer="normal", name="norm")(x))
    model = keras.Model(inputs, layers.Conv2D(3, 1, name="read")(x))
    optimizer = keras.optimizers.SGD(0.05, FAST)
    model.compile(optimizer, lambda y, outputs: 0.0 * ops.mean(outputs))
    return model


def _effect(model: keras.Model, images: np.ndarray) -> float:
    """Returns how much the outputs change when the channels that go are cut off, in the statistics of the batch."""
    kernel = model.get_layer("read").kernel
    before, whole = ops.convert_to_numpy(kernel), ops.convert_to_numpy(model(images, training=True))
    cut = before.copy()
    cut[:, :, GONE] = 0.0
    kernel.assign(cut)
    # What is left of a channel that is constant is folded into the next layer when it goes.
    change = whole - ops.convert_to_numpy(model(images, training=True))
    kernel.assign(before)
    return float(np.std(change, axis=(0, 1, 2)).max())


def _pushed(callback) -> tuple[float, np.ndarray, keras.Model]:
    """Returns what is left of the effect, what was pushed after every tenth step, and the model."""
    images = np.random.default_rng(0).normal(size=(16, 6, 6, 2)).astype("float32")
    model, seen = _normalised_net(), []
    kernel = model.get_layer("made").kernel if callback.granularity == "filter" else model.get_layer("read").kernel
    pushed = {"scale": model.get_layer("norm").gamma}.get(callback.granularity, kernel)
    axis = {"scale": 0, "filter": 3}.get(callback.granularity, 2)
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(np.take(ops.convert_to_numpy(pushed), GONE, axis).ravel())
    )
    before = _effect(model, images)
    batches = np.tile(images, (BATCHES, 1, 1, 1))
    model.fit(batches, np.zeros((len(batches), 1)), 16, EPOCHS, verbose=0, callbacks=[callback, note])
    return _effect(model, images) / before, np.array(seen), model


PLAN = kp.Plan({"made": [0, 2, 3]})
LAW = {"name": "geometric", "steps": EPOCHS * BATCHES}
GENTLE = LAW | {"settle": EPOCHS * BATCHES // 2, "ratio": 100.0, "strength": 1e-6}  # as far as critical damping


@pytest.mark.thorough
def test_filters_before_a_batchnorm_shrink_in_vain():
    """The scale of a filter is divided out again: though next to nothing is left of it, all of its effect is."""
    with pytest.warns(UserWarning, match="filters before a BatchNorm.*More steps hardly help.*Take granularity"):
        left, seen, _ = _pushed(GReg1(PLAN, granularity="filter", schedule=GENTLE))
    assert np.abs(seen[-1]).max() < 0.02 * np.abs(seen[0]).max()
    assert left == pytest.approx(1.0, abs=1e-3)


@pytest.mark.thorough
@pytest.mark.parametrize("granularity", ["channel", "scale"])
def test_what_reads_the_channels_and_scales_shrink_for_good(granularity):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        callback = GReg1(PLAN, granularity=granularity, schedule=LAW)
        left, seen, model = _pushed(callback)
        slim = kp.rebuild(model, callback.plan)  # which says nothing: what it cuts is small
    assert left < 0.02 and callback.plan.pushed == granularity
    assert np.abs(seen[-1]).max() < 1e-3 * np.abs(seen[0]).max()
    images = np.random.default_rng(0).normal(size=(16, 6, 6, 2)).astype("float32")
    whole, cut = (ops.convert_to_numpy(each(images, training=False)) for each in (model, slim))
    assert np.abs(whole - cut).max() < 0.02 * np.abs(whole).max()
    assert slim.get_layer("norm").gamma.shape == slim.get_layer("norm").beta.shape == (3,)
    if granularity == "scale":
        norm = model.get_layer("norm")
        assert np.abs(ops.convert_to_numpy(norm.beta))[GONE].max() < 0.02
        assert ops.convert_to_numpy(slim.get_layer("norm").gamma) == pytest.approx([1.0] * 3)


@pytest.mark.thorough
def test_a_linear_schedule_beyond_critical_damping_rings_and_says_so():
    law = LinearGrowth(step=1 / 50, every=1, ceiling=1.0, settle=50, stop=False)
    with pytest.warns(UserWarning, match=r"to 0\.05, .* 0\.011"):
        _, seen, _ = _pushed(GReg1(PLAN, granularity="channel", schedule=law))
    assert (np.diff(np.sign(seen), axis=0) != 0).sum(axis=0).min() >= 3


# ---- what is left of the channels that go, at the rates that the documentation names ------------------------------


def _left(normalised: bool, callback: GReg1, rate: float) -> float:
    """Returns norm of removed ÷ norm of kept after a fit of a trained classifier of digits."""
    images, labels = (each[:1024] for each in load_digits(return_X_y=True))
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((64,))
    for name in ("one", "two"):
        x = layers.Dense(16, kernel_regularizer=keras.regularizers.L2(5e-4 / 2), name=name)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x) if normalised else x)
    model = keras.Model(inputs, layers.Dense(10, name="logits")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    data = np.tile(images / 16, (16, 1)), np.tile(labels, 16)  # long epochs: short ones cost more
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, metrics=["accuracy"], steps_per_execution=8)
    model.fit(*data, 64, verbose=0)
    executed = 1 if keras.backend.backend() == "torch" else 8 if callback.length < 1000 else 256
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"], steps_per_execution=executed)
    history = model.fit(*data, 64, 1000, verbose=0, callbacks=[callback])
    assert history.history["accuracy"][-1] > 0.9  # the loss held on to what it needs
    return callback.removed_to_kept


@pytest.mark.thorough
@pytest.mark.parametrize(("normalised", "low", "high"), [(False, 0, 2e-3), (True, 1e-3, 1e-2)], ids=["False", "True"])
def test_compressed_leaves_thousandths_of_what_is_removed(normalised, low, high):
    """As the first example has it: 200 steps at 0.01."""
    assert low < _left(normalised, GReg1(keep=0.5).compressed(200), 0.01) < high


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("normalised", "granularity", "low", "high"),
    [(False, "filter", 0, 5e-3), (True, "filter", 0.01, 0.1), (True, "channel", 3e-3, 0.05)],
)
def test_linear_growth_leaves_hundredths_only_before_a_batchnorm(normalised, granularity, low, high):
    """The paper has less than 1/1000. The default steps of λ at its rate; K_u 1 instead of 10, K_s 500, not 5,000."""
    law = LinearGrowth(every=1, settle=500)
    assert law.length == 10_499
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the BatchNorm
        callback = GReg1(keep=0.5, granularity=granularity, schedule=law)
        assert low < _left(normalised, callback, 0.001) < high


@pytest.mark.thorough
@pytest.mark.parametrize("granularity", ["filter", "channel"])
@pytest.mark.parametrize("normalised", [False, True])
def test_decoupled_l1_sets_what_is_removed_to_zero_before_a_batchnorm_too(normalised, granularity):
    law = {"name": "geometric", "steps": 200}
    callback = GReg1(keep=0.5, granularity=granularity, norm="l1", decoupled=True, schedule=law)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert _left(normalised, callback, 0.01) == 0.0


@pytest.mark.thorough
def test_l1_in_the_loss_leaves_weights_that_swing_and_says_so():
    callback = GReg1(keep=0.5, norm="l1", schedule=LinearGrowth(every=1, settle=500))
    with pytest.warns(UserWarning, match="swinging about zero by some learning rate · λ, 0.001 at the end"):
        assert 1e-3 < _left(False, callback, 0.001) < 1e-2


# ---- compressed --------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_compressed_pushes_what_no_batchnorm_undoes_and_says_so():
    model = _normalised_net()
    images = np.zeros((4, 6, 6, 2), "float32")
    callback = GReg1(PLAN).compressed(8)
    assert repr(callback).endswith("granularity 'channel' where a BatchNorm follows")
    model.fit(images, np.zeros((4, 1)), 4, 8, verbose=0, callbacks=[callback])
    assert callback.plan.pushed == "channel" and repr(callback).endswith(", granularity 'channel'")
    assert "λ grows geometrically" in repr(callback)
    plain = compiled()
    train(plain, [callback := GReg1(keep=0.5).compressed(8)])
    assert callback.plan.pushed == "filter" and repr(callback).endswith(", granularity 'filter'")
    own = GReg1(keep=0.5, granularity="scale").compressed(8)
    assert "granularity 'channel'" not in repr(own)
    assert repr(GReg1(keep=0.5)) == "GReg1(keep=0.5): 104990 steps"  # the paper's, as ever


def test_increg_keeps_its_law():
    short = IncReg(keep=0.5).compressed(100)
    assert short.length == 100 and isinstance(short.growth, LinearGrowth) and short.growth.ceiling == 2.5


def test_scales_that_are_not_there():
    with pytest.raises(kp.PruneError, match="group 'one': no BatchNorm scales all of its channels") as caught:
        train(compiled(), [GReg1(kp.Plan({"one": [0]}), granularity="scale").compressed(4)])
    assert 'Take granularity="channel"' in str(caught.value)
    with (
        pytest.warns(UserWarning, match="group 'one' is kept whole: no BatchNorm"),
        pytest.raises(kp.PruneError, match="keeps everything"),
    ):
        train(compiled(), [GReg2(keep=0.5, granularity="scale").compressed(4)])
    graph = kp.trace(toy_model(), coupling="free")
    scale = GReg1(keep=0.5, granularity="scale")._granularity
    (unit,) = scale.candidates(graph, {"wide_conv": 4})
    paths = sorted(part.variable.path for part in unit.parts)
    assert paths == ["lanes_norm/beta", "lanes_norm/gamma", "wide_norm/beta", "wide_norm/gamma"]


def test_arguments_of_one_law_do_not_stand_beside_another():
    geometric = {"name": "geometric", "steps": 9}
    with pytest.raises(kp.PruneError, match="'geometric' could not be made: .* 'pick_at'"):
        GReg2(keep=0.5, schedule={**geometric, "pick_at": 0.02})
    with pytest.raises(kp.PruneError, match="Did you mean 'geometric'"):
        GReg1(keep=0.5, schedule="geometrical")
    with pytest.raises(kp.PruneError, match="0 < step"):
        GReg1(keep=0.5, schedule=LinearGrowth(step=3.0))


@pytest.mark.thorough
def test_a_fit_at_a_scheduled_rate_is_not_warned_of_and_ends_small():
    model = compiled(optimizer=keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(RATE, 200), MOMENTUM))
    callback = GReg1(keep=0.5, granularity="channel").compressed(200)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        inputs, targets = samples()
        history = model.fit(inputs, targets, 16, 50, verbose=0, callbacks=[callback])
    λ = history.history["penalty_strength"]
    assert callback.removed_to_kept < 0.5 * history.history["removed_to_kept"][0] and λ[-1] > 10 * λ[33] > 100 * λ[0]
