"""GReg-1 and GReg-2 against Algorithm 1 written out as a loop."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from support.greg_reference import DECAY, MOMENTUM, RATE, Reference, compiled, greg1, greg2, train

import kerasprune as kp
from kerasprune.callbacks import GReg1, GReg2
from kerasprune.testing.toys import toy_data, toy_model
from kerasprune.training.granularity import Channel

FIRST = {"step": 0.1, "every": 10, "ceiling": 1.0}  # 10 updates, the last at step 90
SECOND = {"pick_step": 0.01, "push_step": 0.05, "pick_at": 0.05, "every": 5, "ceiling": 1.0}  # picks at step 30
GRANULARITIES = ("filter", "channel", "weight")
KEEP = 0.4


def _same(model: keras.Model, reference: Reference, tolerance: float = 1e-4) -> None:
    for variable, expected in zip(model.weights, reference.weights(), strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(variable), expected, atol=tolerance, err_msg=variable.path
        )


def _kept(callback, reference: Reference, granularity: str, goes: dict) -> None:
    """Compares what the callback says stays with what the reference has picked."""
    if granularity == "weight":
        expected = [goes[unit] == 0 for unit in reference.units("weight")]
        assert [mask.tolist() for mask in callback.masks.values()] == [mask.tolist() for mask in expected]
        assert list(callback.masks) == ["one/kernel", "two/kernel", "out/kernel"]
    else:
        expected = [np.flatnonzero(goes[unit].ravel() == 0) for unit in reference.units(granularity)]
        assert {name: list(kept) for name, kept in callback.plan.keep.items()} == {
            "one": expected[0].tolist(),
            "two": expected[1].tolist(),
        }


@pytest.mark.whole
@pytest.mark.matrix
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_greg1_is_algorithm_1(granularity):
    model = compiled()
    reference = Reference(model)
    goes = {unit: reference.lowest(*unit, KEEP) for unit in reference.units(granularity)}
    callback = GReg1(keep=KEEP, granularity=granularity, schedule={"settle": 110, **FIRST})
    assert callback.length == 200
    train(model, [callback])
    reference.run(200, greg1(reference, granularity, KEEP, **FIRST))
    assert int(model.optimizer.iterations) == 200
    _same(model, reference)
    _kept(callback, reference, granularity, goes)


@pytest.mark.parametrize("decoupled", [False, True])
def test_greg1_with_l1_pushes_as_hard_at_every_size(decoupled):
    """`λ sign(w)` in the loss; apart from it `|w|` falls by η·λ, to zero at most."""
    model = compiled()
    reference = Reference(model, decoupled=decoupled)
    goes = {unit: reference.lowest(*unit, KEEP) for unit in reference.units("channel")}
    law = {"step": 0.1, "every": 2, "ceiling": 0.5}
    grown = greg1(reference, "channel", KEEP, **law)

    def penalties(step):
        sizes = [np.maximum(np.abs(kernel), 1e-30) for kernel in reference.kernels]
        most = [size / RATE if decoupled else np.inf for size in sizes]
        return [np.minimum(factor, high) / size for factor, high, size in zip(grown(step), most, sizes, strict=True)]

    callback = GReg1(keep=KEEP, granularity="channel", norm="l1", decoupled=decoupled, schedule={"settle": 12, **law})
    assert callback.length == 20
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of weights that swing
        train(model, [callback])
    reference.run(20, penalties)
    _same(model, reference)
    _kept(callback, reference, "channel", goes)
    zeros = sum(int((kernel == 0).sum()) for kernel in model.get_weights()[0::2])
    assert zeros > 10 if decoupled else zeros == 0


@pytest.mark.matrix
@pytest.mark.whole
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_greg2_is_algorithm_1(granularity):
    model = compiled()
    reference = Reference(model)
    at_the_start = {unit: reference.lowest(*unit, KEEP) for unit in reference.units(granularity)}
    callback = GReg2(keep=KEEP, granularity=granularity, weight_decay=DECAY, schedule={"settle": 80, **SECOND})
    assert (callback.pick_step_number, callback.length) == (30, 200)
    train(model, [callback])
    penalties = greg2(reference, granularity, KEEP, **SECOND)
    reference.run(200, penalties)
    _same(model, reference)
    _kept(callback, reference, granularity, penalties.goes)
    # Otherwise the test would not see a pick at the wrong time.
    assert any((penalties.goes[unit] != goes).any() for unit, goes in at_the_start.items())


def test_the_reference_is_right_about_gradients():
    model = compiled()
    reference = Reference(model)
    train(model, epochs=2)
    reference.run(8, lambda step: [0.0] * 3)
    _same(model, reference, 1e-6)


def test_a_longer_interval_and_no_whole_number_of_updates():
    """λ = 0.3, 0.6, 0.9, 1.0: the last update is cut at the ceiling."""
    model = compiled()
    reference = Reference(model)
    callback = GReg1(keep=0.5, schedule={"step": 0.3, "every": 7, "settle": 19})
    assert callback.length == 3 * 7 + 19
    train(model, [callback])
    reference.run(40, greg1(reference, "filter", 0.5, step=0.3, every=7, ceiling=1.0))
    _same(model, reference)


# ---- convolutions, BatchNorm, a residual sum: an eager loop that knows nothing of groups -------------------------

# By hand from the layers of toy_model: the kernels that make each group's channels, and the axis of the channels.
ON_TENSORFLOW = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the loop that it is compared with is TensorFlow's"
)
TIED = {
    "stem_conv": [("stem_conv", 3), ("outer_conv", 3)],
    "inner_conv": [("inner_conv", 3)],
    "wide_conv": [("wide_conv", 3), ("lanes", 2)],
    "last_conv": [("last_conv", 3)],
}
FREE = {name: TIED[name] for name in ("inner_conv", "wide_conv", "last_conv")}
STEPS = 24


def _norms(model: keras.Model, kernels: list[tuple[str, int]]) -> np.ndarray:
    values = [np.moveaxis(np.abs(model.get_layer(name).kernel.numpy()), axis, 0) for name, axis in kernels]
    return sum(value.reshape(len(value), -1).sum(axis=1) for value in values)


def _eager(model: keras.Model, factors) -> None:
    """Trains with its own momentum; `factors(step)` gives `{group: λ of each channel}`."""
    import tensorflow as tf  # other backends do without

    images, labels = toy_data(64)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    speeds = [tf.zeros_like(variable.value) for variable in model.trainable_variables]
    for step in range(STEPS):
        begin = 8 * (step % 8)
        lambdas = {}
        for group, values in factors(step).items():
            for name, axis in TIED[group]:
                lambdas[name] = np.reshape(values, [-1 if a == axis else 1 for a in range(4)]).astype("float32")
        with tf.GradientTape() as tape:
            total = loss(labels[begin : begin + 8], model(images[begin : begin + 8], training=True))
            total += 1e-4 * tf.reduce_sum(tf.square(model.get_layer("inner_conv").kernel.value))
        gradients = tape.gradient(total, [v.value for v in model.trainable_variables])
        for index, variable in enumerate(model.trainable_variables):
            gradient = gradients[index]
            layer = variable.path.split("/")[0]
            if layer in lambdas and "kernel" in variable.name:
                gradient = gradient + lambdas[layer] * variable.value
            speeds[index] = MOMENTUM * speeds[index] - RATE * gradient
            variable.assign_add(speeds[index])


def _fitted(callback, **arguments) -> keras.Model:
    model = toy_model()
    model.compile(
        keras.optimizers.SGD(RATE, MOMENTUM), keras.losses.SparseCategoricalCrossentropy(from_logits=True), **arguments
    )
    images, labels = toy_data(64)
    model.fit(images, labels, 8, 99, shuffle=False, verbose=0, callbacks=[callback])
    return model


def _agree(model: keras.Model, expected: keras.Model) -> None:
    for one, two in zip(model.weights, expected.weights, strict=True):
        scale = np.abs(two.numpy()).max()
        np.testing.assert_allclose(one.numpy(), two.numpy(), atol=1e-4 * scale, err_msg=one.path)


@pytest.mark.thorough
@ON_TENSORFLOW
def test_greg1_with_a_tied_plan_pushes_every_kernel_that_makes_a_channel():
    expected = toy_model()
    plan = kp.plan(expected, keep=0.5)
    goes = {name: ~np.isin(np.arange(len(_norms(expected, TIED[name]))), plan.keep[name]) for name in TIED}
    callback = GReg1(plan=plan, schedule={"step": 0.05, "every": 2, "ceiling": 0.5, "settle": 6})
    assert callback.length == STEPS
    model = _fitted(callback)
    _eager(expected, lambda step: {name: gone * min(0.05 * (step // 2 + 1), 0.5) for name, gone in goes.items()})
    _agree(model, expected)
    assert callback.plan == plan


@pytest.mark.thorough
@ON_TENSORFLOW
def test_greg2_with_convolutions_picks_in_the_middle_of_training():
    expected = toy_model()
    callback = GReg2(
        keep=0.5,
        schedule={"pick_step": 0.01, "pick_at": 0.03, "push_step": 0.1, "every": 2, "ceiling": 0.5, "settle": 8},
        recover=-0.002,
    )
    assert (callback.pick_step_number, callback.length) == (8, STEPS)
    model = _fitted(callback)
    picked = {}

    def factors(step):
        if step < 8:
            return {name: np.full(len(_norms(expected, FREE[name])), 0.01 * (step // 2 + 1)) for name in FREE}
        if step == 8:
            for name in FREE:
                norms = _norms(expected, FREE[name])
                picked[name] = norms >= np.sort(norms)[-(norms.size // 2)]
        pushed = min(0.04 + 0.1 * ((step - 8) // 2 + 1), 0.5)
        return {name: np.where(stays, -0.002, pushed) for name, stays in picked.items()}

    _eager(expected, factors)
    _agree(model, expected)
    assert {n: list(k) for n, k in callback.plan.keep.items()} == {
        name: np.flatnonzero(stays).tolist() for name, stays in picked.items()
    }


def test_a_kernel_can_hold_entries_of_several_units():
    """Behind a concatenation a kernel reads channels of two groups; behind Flatten each of them several times."""
    inputs = keras.Input((2, 2, 3))
    a, b = (keras.layers.Conv2D(n, 1, name=name)(inputs) for n, name in ((2, "a"), (3, "b")))
    x = keras.layers.Flatten()(keras.layers.Concatenate()([b, a]))
    model = keras.Model(inputs, keras.layers.Dense(4, name="logits")(x))
    kernel = np.abs(model.get_layer("logits").kernel.numpy()).reshape(4, 5, 4)  # positions, channels, outputs
    units = {unit.name: unit for unit in Channel().candidates(kp.trace(model), {"a": 1, "b": 1})}
    for name, channels in (("b", slice(0, 3)), ("a", slice(3, 5))):
        unit = units[name]
        np.testing.assert_allclose(unit.scores(), kernel[:, channels].sum(axis=(0, 2)), rtol=1e-5)
        values = np.arange(1.0, unit.size + 1, dtype="float32")
        expected = np.zeros((4, 5))
        expected[:, channels] = values
        spread = unit.parts[0].spread(keras.ops.convert_to_tensor(values))
        np.testing.assert_array_equal(spread, expected.reshape(20, 1))
        assert np.flatnonzero(~np.asarray(unit.lowest())) == np.asarray(unit.scores()).argmax()
