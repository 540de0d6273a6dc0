"""Polarization and slimming in `fit`: against a NumPy loop, in every way that `fit` can be called, and their plans."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers
from support.processes import run_python
from support.scale_reference import BATCHES, compiled, gammas, network, polarization_gradient, reference, samples, train

import kerasprune as kp
from kerasprune.callbacks import NetworkSlimming, Polarization
from kerasprune.testing.toys import toy_data, toy_model
from kerasprune.training.bn_scales import find_scales

STRENGTH, T = 0.05, 1.2


def _polarization(**arguments) -> Polarization:
    return Polarization(**{"strength": STRENGTH, "t": T, **arguments})


def _slimming(**arguments) -> NetworkSlimming:
    return NetworkSlimming(**{"strength": STRENGTH, **arguments})


MAKERS = pytest.mark.parametrize("make", [_polarization, _slimming])


def _gradient(scales):
    return polarization_gradient(scales, STRENGTH, T)


def _same(model: keras.Model, other: keras.Model, tolerance: float = 1e-5) -> None:
    for variable, expected in zip(model.weights, other.weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected.numpy(), atol=tolerance, err_msg=variable.path)


@pytest.fixture(scope="module")
def expected() -> keras.Model:
    """Twenty steps of the reference."""
    model = network()
    reference(model, 5 * BATCHES, _gradient, ceiling=0.6, initial=0.5)
    return model


# ---- the training --------------------------------------------------------------------------------------------------


@pytest.mark.matrix
@pytest.mark.parametrize(
    "arguments",
    [{"jit_compile": False}, {"steps_per_execution": 8}, {"jit_compile": True}, {"run_eagerly": True}],
    ids=str,
)
def test_training_is_that_of_the_reference(expected, arguments):
    model = compiled(**arguments)
    train(model, [_polarization(ceiling=0.6)])
    _same(model, expected)
    scales = np.concatenate([gamma.numpy() for gamma in gammas(model)])
    assert scales.min() == 0.0 and scales.max() == np.float32(0.6)  # both bounds were met


def test_slimming_is_that_of_the_reference():
    model, other = compiled(), network()
    train(model, [_slimming()])
    reference(other, 5 * BATCHES, lambda s: STRENGTH * np.sign(s), ceiling=np.inf, initial=0.5)
    assert min(gamma.numpy().min() for gamma in gammas(other)) > 0  # so that the reference's clamp did nothing
    _same(model, other)


@pytest.mark.thorough
def test_with_gradient_accumulation():
    model, other = compiled(gradient_accumulation_steps=4), network()
    train(model, [_polarization(ceiling=0.52)], epochs=8)
    reference(other, 8 * BATCHES, _gradient, ceiling=0.52, initial=0.5, accumulate=4)
    _same(model, other)


@pytest.mark.thorough
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_makes_the_same_plan(policy):
    plain = compiled()
    callback = _polarization(strength=0.1, threshold=0.1)
    train(plain, [callback], epochs=30)
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(policy)
        mixed = network()
    finally:
        keras.config.set_dtype_policy(before)
    compiled(mixed)
    assert isinstance(mixed.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    other = _polarization(strength=0.1, threshold=0.1)
    train(mixed, [other], epochs=30)
    assert other.plan == callback.plan and callback.plan.keep["one"] != tuple(range(6))


@pytest.mark.slow  # half a minute; masks on two replicas are in the fast suite
def test_two_replicas_train_alike():
    code = """
import tensorflow as tf
cpus = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np
from support.scale_reference import compiled, network, samples
from kerasprune.callbacks import Polarization

def run(model):
    callback = Polarization(strength=0.05, ceiling=0.6, threshold=0.1, until={"macs": 0.95})
    inputs, targets = samples()
    data = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(16)
    model.fit(data, epochs=12, verbose=0, callbacks=[callback])
    return callback

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    model = keras.models.clone_model(network(synchronized=True))
    model.set_weights(network().get_weights())
    compiled(model, jit_compile=False)
assert strategy.num_replicas_in_sync == 2
two = run(model)
single = compiled(jit_compile=False)
one = run(single)
for a, b in zip(model.get_weights(), single.get_weights()):
    np.testing.assert_allclose(a, b, atol=1e-4)
assert one.plan == two.plan and one.target_met_at == two.target_met_at != None, (one.target_met_at, two.target_met_at)
print("alike")
"""
    assert run_python(code).endswith("alike")


@pytest.mark.thorough
def test_a_fit_before_and_a_fit_after_are_without_penalty_and_clamp():
    model, other = compiled(), compiled()
    train(model)
    train(model, [_polarization()])
    scales = [gamma.numpy() for gamma in gammas(model)]
    for gamma in gammas(model):
        gamma.assign(gamma.numpy() * 0 - 0.5)
    other.set_weights(model.get_weights())
    other.optimizer.build(other.trainable_variables)
    for one, two in zip(other.optimizer.variables, model.optimizer.variables, strict=True):
        one.assign(two)
    train(model)
    train(other)
    _same(model, other)
    assert gammas(model)[0].numpy().min() < 0 < scales[0].max()


def test_what_users_have_on_the_scales_goes_on_and_is_put_back():
    own = {"gamma_constraint": keras.constraints.MaxNorm(0.3, axis=0), "gamma_regularizer": keras.regularizers.L2(0.1)}
    model = compiled(network(**own))
    before = [(v.regularizer, v.constraint) for v in model.weights]
    inside = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: inside.append([np.linalg.norm(g.numpy()) for g in gammas(model)])
    )
    train(model, [_polarization(), watch])
    assert np.max(inside) <= 0.3 + 1e-6
    after = [(v.regularizer, v.constraint) for v in model.weights]
    assert all(a is b and c is d for (a, c), (b, d) in zip(before, after, strict=True))


@pytest.mark.thorough
def test_saved_files_load_where_kerasprune_is_not_installed(tmp_path):
    for make in (_polarization, _slimming):
        model, folder = compiled(), tmp_path / make.__name__
        folder.mkdir()
        during = keras.callbacks.ModelCheckpoint(folder / "during.keras", save_freq=8)
        train(model, [make(), during])
        model.save(folder / "after.keras")
    code = """
import sys, pathlib
sys.modules["kerasprune"] = None
import keras
paths = sorted(pathlib.Path(sys.argv[1]).rglob("*.keras"))
for path in paths:
    model = keras.models.load_model(path)
    assert all(layer.gamma_regularizer is None for layer in model.layers if hasattr(layer, "gamma_regularizer"))
print(len(paths), "loaded")
"""
    assert run_python(code, tmp_path).endswith("4 loaded")


def test_scales_that_stay_as_they_are_are_clamped_at_once():
    model = compiled()
    for gamma in gammas(model):
        gamma.assign(np.linspace(-0.5, 2, gamma.shape[0]))
    seen = []
    watch = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: seen.extend(g.numpy() for g in gammas(model)))
    train(model, [_polarization(initial=None), watch], epochs=1)
    np.testing.assert_allclose(seen[1], np.clip(np.linspace(-0.5, 2, 5), 0, 1), rtol=1e-6)


def test_a_training_loop_of_ones_own_is_the_same(expected):
    """The penalty is among `model.losses`, the clamp is applied by the optimizer: the hooks are all that is needed."""
    import tensorflow as tf

    model = compiled()
    callback = _polarization(ceiling=0.6)
    callback.set_model(model)
    callback.on_train_begin()
    inputs, targets = samples()
    for epoch in range(5):
        for begin in range(0, 64, 16):
            with tf.GradientTape() as tape:
                outputs = model(inputs[begin : begin + 16], training=True)
                loss = tf.reduce_mean((outputs - targets[begin : begin + 16]) ** 2) + sum(model.losses)
            gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
            model.optimizer.apply(gradients, model.trainable_variables)
        callback.on_epoch_end(epoch)
    callback.on_train_end()
    _same(model, expected)
    assert callback.plan.keep and callback.steps.tolist() == [0, 4, 8, 12, 16, 20]


# ---- the plan ------------------------------------------------------------------------------------------------------


def _with_scales(model: keras.Model, values: dict[str, np.ndarray]) -> keras.Model:
    """Returns a model, compiled so that `fit` does not move its scales."""
    for name, numbers in values.items():
        model.get_layer(name).gamma.assign(numbers)
    model.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def _plan(model: keras.Model, callback) -> kp.Plan:
    images, labels = toy_data(8)
    model.fit(images, labels, 8, 1, verbose=0, callbacks=[callback])
    return callback.plan


def _toy(**values) -> keras.Model:
    model = toy_model()
    names = [layer.name for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    ones = {name: np.ones(model.get_layer(name).gamma.shape) for name in names}
    for name, gone in values.items():
        ones[name][gone] = 0.004
    return _with_scales(model, ones)


def test_what_is_below_its_threshold_goes():
    plan = _plan(_toy(inner_norm=[1, 4], last_norm=[0]), _polarization(initial=None))
    assert plan.keep["inner_conv"] == tuple(i for i in range(17) if i not in (1, 4))
    assert plan.keep["last_conv"] == tuple(range(1, 23))
    assert plan.fingerprint == kp.trace(toy_model()).fingerprint


@pytest.mark.thorough
def test_channels_tied_by_a_residual_connection_go_where_all_their_scales_are_low():
    model = _toy(stem_norm=[2, 5, 7], outer_norm=[5, 7, 9])
    assert _plan(model, _polarization(initial=None)).keep["stem_conv"] == tuple(i for i in range(13) if i not in (5, 7))
    free = _plan(model, _polarization(initial=None, coupling="free"))
    assert free.coupling == "free" and "stem_conv" not in free.keep
    padded = _plan(model, _polarization(initial=None, coupling="padded"))
    assert padded.coupling == "padded"
    padded.check(kp.trace(model, coupling="padded"))
    for plan in (free, padded):
        kp.rebuild(model, plan)


def test_free_leaves_the_scales_of_the_trunk_alone():
    model = _with_scales(toy_model(), {})
    model.optimizer.learning_rate = 0.1
    trunk = model.get_layer("outer_norm").gamma
    before = trunk.numpy()
    callback = _polarization(coupling="free")
    _plan(model, callback)
    assert trunk.path not in callback.scales and "inner_norm/gamma" in callback.scales
    assert np.abs(trunk.numpy() - before).max() < 0.2  # trained, but not set to 0.5
    assert not np.allclose(before, 0.5, atol=0.2)


@pytest.mark.thorough
def test_no_group_is_emptied():
    everything = {f"{name}_norm": slice(None) for name in ("stem", "outer", "inner", "wide", "lanes", "last")}
    model = _toy(**everything)
    model.get_layer("inner_norm").gamma.assign(0.004 + 1e-4 * (np.arange(17) == 6))
    plan = _plan(model, _polarization(initial=None))
    assert plan.keep["inner_conv"] == (6,)  # the best of them
    assert all(len(kept) == 1 for kept in plan.keep.values())
    assert _plan(model, _polarization(initial=None, min_keep=4)).keep["inner_conv"] == (0, 1, 2, 6)
    slim = _plan(_toy(last_norm=slice(None)), _slimming(initial=None, keep=0.5))
    assert len(slim.keep["last_conv"]) == 1
    kp.rebuild(model, plan)


def test_slimming_ranks_the_whole_network():
    """Half of the 72 channels stay: those with the largest |γ|, wherever they are."""
    model = toy_model()
    names = {"inner_conv": "inner_norm", "last_conv": "last_norm", "stem_conv": "stem_norm", "wide_conv": "wide_norm"}
    numbers = dict(zip(names, np.split(np.random.default_rng(0).permutation(72) - 36.5, [17, 40, 53]), strict=True))
    values = {names[group]: n for group, n in numbers.items()}
    _with_scales(model, {**values, "outer_norm": 0 * numbers["stem_conv"], "lanes_norm": 0 * numbers["wide_conv"]})
    plan = _plan(model, _slimming(initial=None, keep=0.5))
    limit = np.sort(np.abs(np.concatenate(list(numbers.values()))))[36]
    for group, n in numbers.items():
        assert plan.keep[group] == tuple(np.flatnonzero(np.abs(n) >= limit))


@pytest.mark.matrix
@pytest.mark.parametrize("make", [_polarization, _slimming])
@pytest.mark.parametrize("macs", [0.7, 0.5, 0.3])
def test_macs_are_met(make, macs):
    model = toy_model()
    callback = make(macs=macs, initial=None)
    plan = _plan(_with_scales(model, {}), callback)
    assert kp.cost(model, plan).macs / kp.cost(model).macs == pytest.approx(macs, abs=0.03)
    assert len(set(callback.thresholds.values())) == 1


@pytest.mark.thorough
def test_the_penalty_ends_when_the_target_is_met():
    model = compiled()
    callback = _polarization(strength=0.1, threshold=0.1, until={"macs": 0.9})
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(np.concatenate([g.numpy() for g in gammas(model)]))
    )
    kernel = []
    more = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kernel.append(model.get_weights()[0]))
    train(model, [callback, watch, more], epochs=25)
    assert 0 < callback.target_met_at < 25 * BATCHES and callback.target_met_at % BATCHES == 0
    met = callback.target_met_at // BATCHES - 1
    assert all(np.array_equal(now, seen[met]) for now in seen[met:])  # the scales stand still
    assert not np.array_equal(seen[met], seen[met - 1])
    assert not np.array_equal(kernel[met], kernel[-1])  # the rest is trained on
    assert kp.cost(model, callback.plan).macs <= 0.9 * kp.cost(model).macs
    assert all(gamma.constraint is None and gamma.regularizer is None for gamma in gammas(model))


def test_a_target_that_is_not_met_is_warned_of():
    with pytest.warns(UserWarning, match=r"was to reach until={'macs': 0\.2}; fit ended before"):
        train(compiled(), [_polarization(until={"macs": 0.2})], epochs=1)


@pytest.mark.parametrize("make", [lambda: _polarization(macs=0.5), lambda: NetworkSlimming(keep=0.5)])
def test_scales_that_are_cut_though_they_have_not_shrunk_are_said_at_the_rebuild(make):
    model, callback = compiled(), make()
    train(model, [callback], epochs=1)
    with pytest.warns(UserWarning, match=r"have not: their norm is 0\.\d+ .* strength"):
        kp.rebuild(model, callback.plan)
    for gamma, kept in zip(gammas(model), callback.plan.keep.values(), strict=True):
        gamma.assign(gamma * np.where(np.isin(np.arange(gamma.shape[0]), kept), 1.0, 0.1))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The channels that this plan removes")
        kp.rebuild(model, callback.plan)


def test_history_and_report(tmp_path):
    callback = _polarization(strength=0.1, threshold=0.1)
    train(compiled(), [callback], epochs=6)
    assert callback.steps.tolist() == [4 * i for i in range(7)]
    assert {name: s.shape for name, s in callback.scales.items()} == {
        "one_norm/gamma": (7, 6),
        "two_norm/gamma": (7, 5),
    }
    counts, edges = callback.histogram(bins=10)
    assert counts.shape == (7, 10) and (counts.sum(axis=1) == 11).all() and edges[-1] == 1.0
    assert counts[0, 5] == 11  # all at 0.5
    for name, (goes, stays) in callback.gaps.items():
        assert np.isnan(goes) or goes <= callback.thresholds[name] < stays
    with np.load(callback.save(tmp_path / "scales.npz")) as arrays:
        np.testing.assert_array_equal(arrays["one_norm.gamma"], callback.scales["one_norm/gamma"])


@pytest.mark.thorough
def test_an_instance_can_be_used_twice():
    model = compiled()
    callback = _polarization()
    train(model, [callback])
    first = callback.plan
    train(model, [callback], epochs=2)
    assert callback.steps.tolist() == list(range(0, 29, 4))  # the second fit goes on
    assert callback.plan == callback.choose() and first.keep.keys() == callback.plan.keep.keys()


@pytest.mark.thorough
def test_state_can_be_put_back():
    model = compiled()
    callback = _polarization(strength=0.1, threshold=0.1, until={"macs": 0.9})
    states = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: states.append(callback.state()))
    train(model, [callback, watch], epochs=20)
    other = _polarization(strength=0.1, threshold=0.1, until={"macs": 0.9})
    twin = compiled()
    back = []

    def put_back(logs):
        other.restore(states[-1])
        back.append(other.state())

    train(twin, [other, keras.callbacks.LambdaCallback(on_train_begin=put_back)], epochs=1)
    assert back[0].keys() == states[-1].keys()
    for name, value in states[-1].items():
        np.testing.assert_array_equal(back[0][name], value)
    assert other.target_met_at == callback.target_met_at


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:The fit resumes")
def test_a_broken_fit_goes_on_to_the_same_plan(tmp_path):
    """Broken off after the target was met, and before it."""

    def make() -> Polarization:
        return _polarization(strength=0.1, threshold=0.1, until={"macs": 0.9})

    whole, model = make(), compiled()
    train(model, [whole], epochs=20)
    met = whole.target_met_at // BATCHES
    for broken_in in (met - 2, met + 2):

        def interrupt(epoch, logs, broken_in=broken_in):
            if epoch == broken_in:
                raise KeyboardInterrupt

        folder = tmp_path / str(broken_in)
        with pytest.raises(KeyboardInterrupt):
            stop = keras.callbacks.LambdaCallback(on_epoch_end=interrupt)
            train(compiled(), [make(), kp.callbacks.Resume(folder), stop], epochs=20)
        other, twin = make(), compiled(network(seed=4))
        train(twin, [kp.callbacks.Resume(folder), other], epochs=20)
        assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), twin.get_weights(), strict=True))
        assert (other.plan, other.target_met_at) == (whole.plan, whole.target_met_at)
        assert other.steps.tolist() == whole.steps.tolist()
        assert all(np.array_equal(other.scales[name], looks) for name, looks in whole.scales.items())


# ---- models that do not fit ----------------------------------------------------------------------------------------


def test_groups_without_scales_stay_whole_and_are_reported():
    x = inputs = keras.Input((8,))
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(layers.Dense(6, name="with")(x)))
    x = layers.ReLU()(layers.Dense(5, name="without")(x))
    x = layers.ReLU()(layers.BatchNormalization(scale=False)(layers.Dense(4, name="unscaled")(x)))
    model = compiled(keras.Model(inputs, layers.Dense(3)(x)))
    callback = _slimming(keep=0.5)
    with pytest.warns(UserWarning, match="group 'without' is kept whole: no BatchNorm scales"):
        train(model, [callback])
    assert list(callback.plan.keep) == ["with"] and set(callback.left) == {"without", "unscaled"}
    assert kp.rebuild(model, callback.plan).get_layer("with").units == 3


def test_a_name_that_looks_like_a_wildcard_is_a_name():
    x = inputs = keras.Input((8,))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(6, name="with")(x)))
    x = layers.ReLU()(layers.Dense(5, name="without[5]")(x))
    with pytest.warns(UserWarning, match=r"group 'without\[5\]' is kept whole: no BatchNorm scales"):
        assert list(find_scales(keras.Model(inputs, layers.Dense(3)(x))).graph.prunable) == ["with"]


def test_frozen_scales_are_left_alone():
    model = network()
    model.get_layer("one_norm").trainable = False
    before = model.get_layer("one_norm").gamma.numpy()
    callback = _polarization()
    with pytest.warns(UserWarning, match="group 'one' is kept whole: its BatchNorm scales are frozen"):
        train(compiled(model), [callback])
    np.testing.assert_array_equal(model.get_layer("one_norm").gamma.numpy(), before)
    assert list(callback.plan.keep) == ["two"]


def test_no_warning_without_a_reason():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(compiled(), [_polarization(), _slimming()])


def test_scales_of_channels_that_are_concatenated():
    """One BatchNorm behind a concatenation scales two groups; frozen layers' positions are not touched."""
    inputs = keras.Input((8, 8, 3))
    one, two = (layers.Conv2D(n, 3, padding="same", name=name)(inputs) for n, name in ((4, "a"), (6, "b")))
    x = layers.BatchNormalization(name="norm")(layers.Concatenate()([one, two]))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    model = keras.Model(inputs, layers.Dense(4)(x))
    model.get_layer("norm").gamma.assign([0, 1, 0, 1, 1, 0, 0, 1, 1, 1.0])
    model.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    both = _plan(model, _polarization(initial=None))
    assert dict(both.keep) == {"a": (1, 3), "b": (0, 3, 4, 5)}
    callback = _polarization(initial=0.25, freeze=["a"])
    only = _plan(model, callback)
    assert list(only.keep) == ["b"] and callback.scales["norm/gamma"].shape == (2, 6)
    np.testing.assert_array_equal(model.get_layer("norm").gamma.numpy()[:4], [0, 1, 0, 1])
    np.testing.assert_array_equal(model.get_layer("norm").gamma.numpy()[4:], 0.25)


def _plain() -> keras.Model:
    x = inputs = keras.Input((8,))
    return keras.Model(inputs, layers.Dense(3)(layers.ReLU()(layers.Dense(6)(x))))


def _all_frozen() -> keras.Model:
    model = network()
    model.trainable = False
    model.get_layer("out").trainable = True
    return model


@MAKERS
@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (_plain, {}, "whose channels are scaled by BatchNorm.*GReg1"),
        (_all_frozen, {}, "BatchNorm scales that are trained.*trainable = True"),
        (network, {"freeze": ["*"]}, "all of whose channels are pinned"),
        (network, {"freeze": ["tow"]}, "two"),
    ],
)
def test_models_without_scales_stop_the_fit_at_once(make, model, arguments, message):
    model = compiled(model())
    before = model.get_weights()
    with pytest.raises(kp.PruneError, match=message):
        train(model, [make(**arguments)])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert all(v.regularizer is None and v.constraint is None for v in model.weights)


@pytest.mark.experiments
def test_a_missing_resolution_is_said_at_once():
    model = kp.models.resnet_cifar(8)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = toy_data(8)
    for callback in (_polarization(until={"macs": 0.5}), _polarization(macs=0.5), _slimming(macs=0.5)):
        with pytest.raises(kp.PruneError, match="size"):
            model.fit(images, labels, verbose=0, callbacks=[callback])
        assert int(model.optimizer.iterations) == 0
        assert all(v.regularizer is None for v in model.weights)


@pytest.mark.parametrize(
    "arguments", [{"macs": 0.001}, {"until": {"macs": 0.001}}, {"until": {"macs": 0.3}, "min_keep": 0.9}]
)
def test_a_target_that_cannot_be_reached_is_said_at_once(arguments):
    model = compiled()
    before = model.get_weights()
    with pytest.raises(kp.PruneError, match="target that can be reached"):
        train(model, [_polarization(**arguments)])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strength": 0}, "strength=0"),
        ({"t": -1}, "t=-1"),
        ({"ceiling": 0}, "ceiling=0"),
        ({"threshold": "vally"}, "Did you mean 'valley'"),
        ({"threshold": 2}, "value=2"),
        ({"macs": 0}, "macs=0"),
        ({"macs": 0.5, "until": {"macs": 0.5}}, "both"),
        ({"until": {"macs": 1.5}}, "macs=1.5"),
        ({"initial": 1.5}, "initial=1.5"),
        ({"initial": 0}, "initial=0"),
        ({"coupling": "tie"}, "Did you mean 'tied'"),
        ({"min_keep": -1}, "min_keep=-1"),
    ],
)
def test_bad_arguments_of_polarization(arguments, message):
    with pytest.raises(kp.PruneError, match="Invalid arguments for Polarization") as caught:
        Polarization(**arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep": 0}, "keep=0"),
        ({"keep": None}, "keep=None"),
        ({"macs": 2}, "macs=2"),
        ({"strength": -1}, "strength=-1"),
    ],
)
def test_bad_arguments_of_slimming(arguments, message):
    with pytest.raises(kp.PruneError, match="Invalid arguments for NetworkSlimming") as caught:
        NetworkSlimming(**arguments)
    assert message in str(caught.value)


def test_all_faults_are_listed_at_once():
    with pytest.raises(kp.PruneError) as caught:
        Polarization(0, ceiling=-1, threshold="x", macs=2, coupling="y", min_keep=-1)
    assert str(caught.value).count("\n  - ") == 6


def test_before_a_fit_there_is_no_plan():
    for name in ("plan", "thresholds", "gaps", "scales"):
        with pytest.raises(kp.PruneError, match="has not been used"):
            getattr(_polarization(), name)


def test_names_and_dicts_make_callbacks():
    assert isinstance(kp.callbacks.get({"name": "polarization", "macs": 0.5}), Polarization)
    assert isinstance(kp.callbacks.get("network_slimming"), NetworkSlimming)
    assert samples()[0].shape == (64, 8)


@pytest.mark.parametrize("until", [0.7, {}, {"keep": 0.7}, {"macs": 0.7, "params": 0.5}, {"macs": 7}])
def test_an_end_that_is_no_target_is_refused(until):
    with pytest.raises(kp.PruneError, match=r"Received: (until|macs)="):
        Polarization(until=until)


def test_the_penalty_can_end_at_a_number_of_parameters():
    callback = _polarization(strength=0.1, threshold=0.1, until={"params": 0.9})
    model = compiled()
    train(model, [callback], epochs=12)
    assert callback.target_met_at is not None
    assert kp.cost(model, callback.plan).params <= 0.9 * kp.cost(model).params
