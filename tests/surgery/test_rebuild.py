"""Whole architectures: the slim model computes what the dense one does with the removed channels silenced."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from support.processes import run_python

import kerasprune as kp
from kerasprune.surgery.absorb import fold
from kerasprune.surgery.cut import Cut
from kerasprune.testing import check_rebuild, compare, random_inputs, random_plan, randomise

SIDE = 64


def application(name):
    make = getattr(keras.applications, name)
    return lambda: make(weights=None, classifier_activation=None, input_shape=(SIDE, SIDE, 3), classes=10)


OURS = {
    "resnet_cifar-identity": lambda: kp.models.resnet_cifar(depth=14),
    "resnet_cifar-projection": lambda: kp.models.resnet_cifar(depth=14, shortcut="projection"),
    "vgg_cifar": lambda: kp.models.vgg_cifar(depth=16, width=0.25),
    "densenet_cifar": lambda: kp.models.densenet_cifar(depth=22, bottleneck=4, compression=0.5),
    "mobilenet_v2": lambda: kp.models.mobilenet_v2(width=0.35),
    "wide_resnet": lambda: kp.models.wide_resnet(depth=16, widen_factor=2),
    "vgg_snip": lambda: kp.models.vgg_snip("C", input_shape=(32, 32, 3), width=0.125),
    "alexnet_cifar": lambda: kp.models.alexnet_cifar(units=32),
    "lstm_rows": lambda: kp.models.lstm_rows(units=24),
    "gru_rows": lambda: kp.models.gru_rows(units=24),
    "lenet_5": lambda: kp.models.lenet_5(),
    "lenet_300_100": lambda: kp.models.lenet_300_100(),
}
THEIRS = {
    name: application(name)
    for name in (
        "ResNet50",
        "MobileNetV2",
        "DenseNet121",
        "EfficientNetB0",
        "VGG16",
        "ConvNeXtTiny",
        "MobileNetV3Small",
    )
}
PLAIN = ("vgg_cifar", "vgg_snip", "alexnet_cifar", "lstm_rows", "gru_rows", "lenet_5", "lenet_300_100", "VGG16")
WITHOUT_SUMS = (*PLAIN, "densenet_cifar", "DenseNet121")
SAVED = ("resnet_cifar-identity", "lenet_5", "MobileNetV2", "EfficientNetB0", "ConvNeXtTiny", "MobileNetV3Small")
CASES = [(name, "tied") for name in (*OURS, *THEIRS)]
CASES += [(name, "free") for name in (*OURS, *THEIRS) if name not in WITHOUT_SUMS]
CASES += [(name, "padded") for name in ("resnet_cifar-identity", "mobilenet_v2")]
# Of Keras's own architectures one coupling is tried every time, all with `-m slow`.
SOMETIMES = {(name, "free") for name in THEIRS}


def cases():
    """Every architecture in every coupling."""
    for case in sorted(CASES):
        yield pytest.param(*case, id="-".join(case), marks=[pytest.mark.slow] if case in SOMETIMES else [])


# Fifty layers in float32: 1.4e-5 on a processor that sums in another order, and nothing at all in float64.
ROUNDING = {"mobilenet_v2": 3e-5}


@pytest.fixture(scope="module")
def dense():
    """Returns a function that makes each model once, with random weights."""
    made = {}

    def make(name):
        if name not in made:
            keras.utils.clear_session(free_memory=False)
            made.clear()  # the cases of one model follow one another; one model at a time is kept
            made[name] = randomise({**OURS, **THEIRS}[name]())
        return made[name]

    return make


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Slim models and what they compute, for `test_files_load_without_kerasprune`."""
    return tmp_path_factory.mktemp("slim")


def keep_for_later(model, folder, name):
    inputs = random_inputs(model, side=32)
    np.savez(folder / f"{name}.npz", inputs=inputs, outputs=model(inputs, training=False))
    model.save(folder / f"{name}.keras")


@pytest.mark.experiments
@pytest.mark.matrix("resnet_cifar-identity-free", "resnet_cifar-identity-padded", "resnet_cifar-identity-tied")
@pytest.mark.parametrize(("name", "coupling"), cases())
def test_slim_model_is_exact(name, coupling, dense, folder):
    model = dense(name)
    graph = kp.trace(model, coupling=coupling)
    plan = random_plan(graph, seed=len(name))
    assert plan.keep, "nothing to remove"
    check_rebuild(model, plan, tolerance=ROUNDING.get(name, 1e-5))
    if coupling == "tied":
        assert share_that_can_be_dropped(graph) >= 0.9
    if coupling == "tied" and name in SAVED:
        keep_for_later(kp.rebuild(model, plan), folder, name)


def share_that_can_be_dropped(graph):
    """Returns how many of the numbers in kernels belong to a channel of a prunable group, on one side or the other."""
    prunable = np.zeros(graph.classes.max() + 1, bool)
    for group in graph.prunable.values():
        prunable[group.classes] = True
    total = stays = 0
    for kernel in graph.kernels:
        size = int(np.prod(kernel.variable.shape))
        pinned = [1.0 if ids is None else 1 - prunable[graph.classes[ids]].mean() for ids in kernel.ids]
        total, stays = total + size, stays + size * np.prod(pinned)
    return 1 - stays / total


@pytest.mark.experiments
@pytest.mark.thorough
def test_files_load_without_kerasprune(folder):
    """An ordinary Keras installation loads the files, in safe mode, and computes the same."""
    if not list(folder.glob("*.keras")):
        keep_for_later(randomise(kp.models.lenet_5()), folder, "lenet_5")
    code = f"""
import sys, pathlib
sys.modules["kerasprune"] = None  # importing it fails
import keras, numpy as np
for path in sorted(pathlib.Path({str(folder)!r}).glob("*.keras")):
    known = np.load(path.with_suffix(".npz"))
    model = keras.models.load_model(path, compile=False, safe_mode=True)
    found = np.asarray(model(known["inputs"], training=False))
    print(path.stem, np.abs(found - known["outputs"]).max() / np.abs(known["outputs"]).max())
"""
    errors = dict(line.split() for line in run_python(code).splitlines())
    assert set(errors) == {path.stem for path in folder.glob("*.keras")}
    assert all(float(error) < 1e-5 for error in errors.values()), errors


# ---- absorption ------------------------------------------------------------------------------------------------------


def valid_net():
    inputs = keras.Input((17, 17, 3))
    x = layers.Conv2D(8, 3, name="a", activation="relu")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(9, 3, strides=2, use_bias=False, name="b")(x)))
    x = layers.DepthwiseConv2D(2, name="lanes")(x)
    x = layers.MaxPooling2D(2)(layers.Activation("silu")(layers.BatchNormalization()(x)))
    x = layers.Conv2D(7, 2, use_bias=False, name="c")(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(layers.Flatten()(x)))


def pointwise_net():
    inputs = keras.Input((6, 6, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 1, name="a")(inputs))
    y = layers.Conv2D(8, 1, use_bias=False, name="b")(layers.ELU()(x))
    x = layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))
    gate = layers.Conv2D(5, 1, activation="relu", name="squeeze")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid", name="excite")(gate)])
    x = layers.Concatenate()([x, layers.Conv2D(6, 1, name="c")(x)])
    x = layers.SeparableConv2D(7, 1, depth_multiplier=2, activation="tanh", name="d")(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(layers.GlobalMaxPooling2D()(x)))


def dense_net():
    inputs = keras.Input((10,))
    x = layers.Dense(9, activation="gelu", name="a")(inputs)
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Dense(8, use_bias=False, name="b")(x)))
    x = layers.Dense(7, activation="sigmoid", use_bias=False, name="c")(x * np.linspace(-1, 1, 8, dtype="float32"))
    return keras.Model(inputs, layers.Dense(4, use_bias=False, name="logits")(x))


NETS = {"valid": valid_net, "pointwise": pointwise_net, "dense": dense_net}


@pytest.mark.matrix
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("seed", range(3))
def test_absorption_is_exact_without_padding(name, seed):
    model = randomise(NETS[name](), seed)
    plan = random_plan(kp.trace(model), seed)
    folded = fold(Cut.of(model, plan))
    assert folded.biases and not folded.padded and not folded.lost
    inputs = random_inputs(model, seed=seed)
    slim, silent = kp.rebuild(model, plan), kp.mask(model, plan, silence="weights")
    assert compare(silent, slim, inputs).error < 1e-5
    assert compare(silent, kp.rebuild(model, plan, absorb=False), inputs).error > 1e-3  # else nothing is shown
    assert kp.surgery.border_error(model, plan, inputs) < 1e-5


@pytest.mark.parametrize("name", NETS)
def test_channels_that_only_emit_a_constant_go_unnoticed(name):
    """With γ = 0 and the kernels of what goes at zero, the *dense* model is what the slim one computes."""
    model = randomise(NETS[name](), 4)
    graph = kp.trace(model)
    plan = random_plan(graph, 4)
    for group, kept in plan.keep.items():
        for entry, axis, channel in graph.made_by(group) + graph.scaled_by(group):
            stays = (channel < 0) | np.isin(channel, kept)
            shape = [-1 if a == axis else 1 for a in range(len(entry.variable.shape))]
            entry.variable.assign(np.asarray(entry.variable) * stays.reshape(shape))
    inputs = random_inputs(model)
    assert compare(model, kp.rebuild(model, plan), inputs).error < 1e-5
    assert compare(model, kp.rebuild(model, plan, absorb=False), inputs).error > 1e-3


@pytest.mark.parametrize("scale", [True, False])
def test_behind_a_batch_norm_a_removed_channel_emits_its_beta(scale):
    """`bias += Σ_removed relu(β) · kernel`: the mean of what it emitted, whatever the moving statistics are."""
    inputs = keras.Input((4, 4, 3))
    x = layers.BatchNormalization(scale=scale, name="norm")(layers.Conv2D(6, 1, name="a")(inputs))
    x = layers.Conv2D(5, 1, name="b")(layers.ReLU()(x))
    model = randomise(keras.Model(inputs, layers.Flatten()(x)))
    model.get_layer("norm").moving_mean.assign(np.full(6, 7.0))
    plan, gone = kp.Plan({"a": [1, 4]}), [0, 2, 3, 5]
    b, beta = model.get_layer("b"), np.asarray(model.get_layer("norm").beta)
    expected = np.asarray(b.bias) + np.maximum(beta[gone], 0) @ np.asarray(b.kernel)[0, 0, gone]
    np.testing.assert_allclose(kp.rebuild(model, plan).get_layer("b").bias, expected, rtol=1e-5)
    silent = kp.mask(model, plan, silence="weights")
    assert compare(silent, kp.rebuild(model, plan), random_inputs(model)).error < 1e-5


def normed_net(activation=None, twice=False, again=False, axis=-1):
    """A convolution without bias in front of a BatchNorm that may be read elsewhere, or be called again."""
    inputs = keras.Input((4, 6, 3))
    x = layers.Conv2D(6, 1, name="a")(inputs)
    y = layers.Conv2D(6, 1, use_bias=False, activation=activation, name="b")(x)
    norm = layers.BatchNormalization(axis=axis, name="norm")
    z = norm(y)
    outputs = layers.Flatten()(layers.ReLU()(z)), layers.Flatten()(y if twice else norm(z) if again else z)
    return keras.Model(inputs, layers.Dense(3)(layers.Concatenate()(outputs)))


def test_a_constant_in_front_of_a_batch_norm_goes_into_its_mean():
    """`μ −= Σ_removed bias · kernel`; no parameter comes new."""
    model, plan, gone = randomise(normed_net()), kp.Plan({"a": [1, 4]}), [0, 2, 3, 5]
    a, b, norm = (model.get_layer(name) for name in ("a", "b", "norm"))
    expected = np.asarray(norm.moving_mean) - np.asarray(a.bias)[gone] @ np.asarray(b.kernel)[0, 0, gone]
    slim = kp.rebuild(model, plan)
    np.testing.assert_allclose(slim.get_layer("norm").moving_mean, expected, rtol=1e-4, atol=1e-6)
    assert not slim.get_layer("b").use_bias
    assert slim.count_params() == kp.rebuild(model, plan, absorb=False).count_params() == kp.cost(slim).params
    assert compare(kp.mask(model, plan, silence="weights"), slim, random_inputs(model)).error < 1e-5
    assert "folded into 1 layers" in kp.report(model, plan)


@pytest.mark.parametrize(
    "changes", [{"activation": "tanh"}, {"twice": True}, {"again": True}, {"axis": 1}], ids=lambda changes: str(changes)
)
def test_where_a_mean_cannot_hold_it_a_bias_is_added(changes):
    model, plan = randomise(normed_net(**changes)), kp.Plan({"a": [1, 4]})
    slim = kp.rebuild(model, plan)
    assert slim.get_layer("b").use_bias
    assert compare(kp.mask(model, plan, silence="weights"), slim, random_inputs(model)).error < 1e-5


def padded_net(inside):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, activation="relu", name="a")(inputs)
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(inside(x))))


@pytest.mark.parametrize(
    "inside, padded",
    [
        (lambda x: layers.Conv2D(6, 3, padding="same", name="b")(x), ["b"]),
        (lambda x: layers.Conv2D(6, 3, name="b")(layers.ZeroPadding2D(1)(x)), ["b"]),
        (lambda x: layers.Conv2D(6, 3, name="b")(keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))), ["b"]),
        (lambda x: layers.Conv2D(6, 3, name="b")(layers.AveragePooling2D(2)(layers.ZeroPadding2D(1)(x))), ["b"]),
        (lambda x: layers.Conv2DTranspose(6, 3, 2, name="b")(x), ["b"]),
        (lambda x: layers.Dense(6, name="b")(keras.ops.std(layers.ZeroPadding2D(1)(x), axis=(1, 2))), ["b"]),
        (lambda x: layers.Conv2D(6, 1, name="b")(keras.ops.relu(0.2 - layers.ZeroPadding2D(1)(x))), ["b"]),
        (lambda x: layers.Conv2D(6, 1, padding="same", name="b")(x), []),
    ],
    ids=[
        "same",
        "zero-padding",
        "pad",
        "padding-and-pooling",
        "transposed",
        "nothing-inside",
        "only-at-the-border",
        "pointwise",
    ],
)
def test_borders_are_reported(inside, padded):
    model = randomise(padded_net(inside), 2)
    plan = kp.Plan({"a": [0, 1, 2]})
    model.get_layer("a").bias.assign(np.linspace(0.2, 0.9, 8))
    folded = fold(Cut.of(model, plan))
    assert folded.padded == padded and not folded.lost
    error = kp.surgery.border_error(model, plan, random_inputs(model))
    assert (error > 1e-4) == bool(padded)
    assert ("approximate at the border" in kp.report(model, plan)) == bool(padded)


def test_what_no_bias_can_make_up_for_is_said():
    """A constant that differs from position to position, and a shared layer that would need two biases."""
    inputs = keras.Input((4, 4, 3))
    x = layers.PReLU(alpha_initializer="ones", name="alpha")(layers.Conv2D(6, 1, name="a")(inputs))
    model = randomise(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Conv2D(5, 1, name="b")(x)))), 3)
    model.get_layer("a").bias.assign(-np.ones(6))
    assert fold(Cut.of(model, kp.Plan({"a": [0, 1]}))).lost == ["b"]

    shared = layers.Conv2D(5, 1, name="shared")
    ends = [layers.Flatten()(shared(layers.Conv2D(6, 1, name=name)(inputs))) for name in ("left", "right")]
    model = randomise(keras.Model(inputs, layers.Dense(3)(layers.Concatenate()(ends))), 3)
    (name,) = [name for name, group in kp.trace(model).groups.items() if "left" in group.layers]
    assert fold(Cut.of(model, kp.Plan({name: [0, 1]}))).lost == ["shared"]


def test_one_channel_that_speaks_twice():
    """After `[x; x]` a lane has two biases, so that one channel stands for two constants."""
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 1, name="a")(inputs)
    x = layers.DepthwiseConv2D(2, name="lanes")(layers.Concatenate()([x, x]))
    model = randomise(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))
    check_rebuild(model, kp.Plan({"a": [0, 2, 3]}))


def test_new_channels_beside_those_of_an_input():
    inputs = keras.Input((6, 6, 3))
    x = keras.ops.pad(inputs, ((0, 0), (0, 0), (0, 0), (1, 2)))
    x = layers.Add(name="sum")([x, layers.Conv2D(6, 1, name="a")(inputs)])
    model = randomise(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Conv2D(5, 1, name="b")(x)))))
    graph = kp.trace(model)
    made = {group.prunable: group.size for group in graph.groups.values() if "a" in group.layers}
    assert made == {True: 3, False: 3}
    check_rebuild(model, random_plan(graph))


def test_norms_over_channels_stop_constants():
    inputs = keras.Input((5, 4))
    x = layers.LayerNormalization()(layers.Dense(8, name="a")(inputs))
    model = randomise(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Dense(6, name="b")(x)))))
    folded = fold(Cut.of(model, kp.Plan({"a": [1, 2, 5]})))
    assert not folded.biases and not folded.lost


# ---- bad input -------------------------------------------------------------------------------------------------------


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="code")
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(x)


def small(name="small", units=6):
    inputs = keras.Input((4,))
    x = layers.Dense(units, name="hidden", activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x), name=name)


ACTIONS = {
    "trace": lambda model, plan: kp.trace(model),
    "rebuild": lambda model, plan: kp.rebuild(model, plan),
    "mask": lambda model, plan: kp.mask(model, plan),
    "cost": lambda model, plan: kp.cost(model, plan),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "make, words",
    [
        (Subclassed, ["'code'", "Subclassed", "kp.functional(model"]),
        (lambda: keras.Sequential([layers.Dense(3)], name="unbuilt"), ["'unbuilt'", "model.build(input_shape)"]),
        (lambda: "model.keras", ["model='model.keras'", "str"]),
    ],
    ids=["subclassed", "unbuilt", "path"],
)
def test_models_without_a_graph_are_refused(action, make, words):
    with pytest.raises(kp.PruneError) as error:
        ACTIONS[action](make(), kp.Plan({"hidden": [0]}))
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("action", ["rebuild", "mask", "cost"])
@pytest.mark.parametrize(
    "plan, words",
    [
        (kp.Plan({"hiden": [0]}), ["'hiden'", "Did you mean 'hidden'"]),
        (kp.Plan({"hidden": [0, 6]}), ["'hidden' has 6 channels", "index 6"]),
        (kp.Plan({"logits": [0]}), ["'logits' must be kept whole", "an output of the model"]),
        (kp.Plan({}, removed=["block"]), ["'block'"]),
        (kp.Plan({"hiden": [0], "logits": [1]}), ["'hiden'", "'logits' must be kept whole"]),
    ],
    ids=["unknown-group", "out-of-range", "pinned", "unknown-block", "all-at-once"],
)
def test_plans_that_do_not_fit_are_refused(action, plan, words):
    with pytest.raises(kp.PruneError) as error:
        ACTIONS[action](small(), plan)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("action", ["rebuild", "mask", "cost"])
def test_a_plan_of_another_model_is_refused(action):
    plan = kp.plan(small(units=7), keep=0.5)
    with pytest.raises(kp.PruneError, match="a plan of another model"):
        ACTIONS[action](small("other"), plan)


def test_a_slice_may_not_become_empty():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(6, 1, name="a")(inputs)
    y = x[..., 1:3]
    model = keras.Model(inputs, layers.Dense(3)(layers.Concatenate()([layers.Flatten()(x), layers.Flatten()(y)])))
    model = randomise(model)
    with pytest.raises(kp.PruneError, match="no channel of the output of 'get_item.*would be kept"):
        kp.rebuild(model, kp.Plan({"a": [0, 4]}))
    model.get_layer("a").kernel.assign(model.get_layer("a").kernel * np.array([9, 1, 2, 9, 9, 9]))
    assert kp.plan(model, keep=0.4).keep["a"] == (0, 2, 4) or 2 in kp.plan(model, keep=0.4).keep["a"]
    check_rebuild(model, kp.plan(model, keep=0.4))


def test_a_slice_that_is_empty_from_the_start():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(6, 1, name="a")(inputs)
    x = layers.Concatenate()([x[..., :1][..., 1:], layers.Conv2D(5, 1, name="b")(x)])
    model = randomise(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))
    check_rebuild(model, random_plan(kp.trace(model)))


def test_padded_sums_have_names_of_their_own():
    """After a model is loaded, Keras counts names from the beginning: what is added must not take one that is there."""
    keras.utils.clear_session()  # so that the operation is called "pad", whatever was made before
    inputs = keras.Input((4,))
    stem = layers.Dense(6, name="stem")(inputs)
    x = keras.ops.pad(layers.Dense(4, name="pad_1")(stem), ((0, 0), (1, 1)))
    x = layers.Add(name="multiply")([stem, layers.Dense(6, name="branch")(x)])
    x = layers.Dense(5, name="multiply_pad_1")(x)
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(x)))
    keras.utils.clear_session()
    first = kp.Plan({"stem": range(5), "branch": range(4)}, coupling="padded")
    check_rebuild(model, first)
    slim = kp.rebuild(model, first)
    keras.utils.clear_session()
    check_rebuild(slim, random_plan(kp.trace(slim, coupling="padded"), seed=1))


def test_unknown_silence_is_refused():
    with pytest.raises(kp.PruneError, match="silence='both'"):
        kp.mask(small(), kp.Plan({"hidden": [0]}), silence="both")


def test_an_empty_plan_changes_nothing():
    model = randomise(small())
    same = kp.rebuild(model, kp.Plan({}))
    assert all(map(np.array_equal, model.get_weights(), same.get_weights()))
    assert kp.cost(model) == kp.cost(model, kp.Plan({})) == kp.cost(same)


def test_rebuild_keeps_what_training_needs():
    """Trainable flags, regularizers, initializers and dtype policies follow; nothing is shared with the dense model."""
    inputs = keras.Input((4,))
    x = layers.Dense(6, "relu", kernel_regularizer="l2", kernel_initializer="he_normal", name="hidden")(inputs)
    x = layers.Dense(5, trainable=False, dtype="mixed_bfloat16", name="frozen")(x)
    model = randomise(keras.Model(inputs, layers.Dense(3, dtype="float32", name="logits")(x)))
    slim = kp.rebuild(model, kp.Plan({"hidden": [0, 5], "frozen": [1, 2]}))
    assert isinstance(slim.get_layer("hidden").kernel_initializer, keras.initializers.HeNormal)
    assert isinstance(slim.get_layer("hidden").kernel_regularizer, keras.regularizers.L2)
    assert not slim.get_layer("frozen").trainable and slim.get_layer("frozen").dtype_policy.name == "mixed_bfloat16"
    assert {id(w) for w in model.weights}.isdisjoint(id(w) for w in slim.weights)


def test_statistics_of_the_data_follow():
    """An adapted Normalization computes with numbers that it derives from its weights."""
    inputs = keras.Input((4,))
    norm = layers.Normalization()
    model = keras.Model(inputs, layers.Dense(3)(layers.Dense(6, name="hidden")(norm(inputs))))
    norm.adapt(np.random.default_rng(0).normal(3.0, 5.0, (32, 4)))
    check_rebuild(model, kp.Plan({"hidden": [0, 5]}))
    same = kp.rebuild(model, kp.Plan({}))
    assert compare(model, same, random_inputs(model)).error == 0


def test_a_function_that_keras_reads_back_as_another_stays():
    """`ops.gelu` approximates, and `"gelu"`, its name in a config, does not."""
    inputs = keras.Input((4,))
    x = layers.Activation(keras.ops.gelu)(layers.Dense(6, name="hidden")(inputs))
    model = randomise(keras.Model(inputs, layers.Dense(3)(x)))
    assert model.layers[2].activation is keras.ops.gelu
    check_rebuild(model, kp.Plan({"hidden": [0, 3, 5]}), tolerance=2e-6)


@pytest.mark.experiments
def test_the_slim_model_learns(tmp_path: Path):
    slim = kp.rebuild(randomise(kp.models.lenet_300_100(input_shape=(8, 8, 1))), kp.Plan({}))
    slim = kp.rebuild(slim, random_plan(kp.trace(slim)))
    slim.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = slim.get_weights()
    slim.fit(np.random.default_rng(0).normal(size=(16, 8, 8, 1)), np.arange(16) % 10, verbose=0)
    assert not any(map(np.array_equal, before, slim.get_weights()))


@pytest.mark.parametrize(("pushed", "advised"), [("filter", '"channel" or "scale"'), ("scale", '"channel"')])
def test_weights_that_did_not_shrink_are_warned_of_with_other_granularities(pushed, advised):
    inputs = keras.Input((4,))
    hidden = layers.BatchNormalization()(layers.Dense(4, name="hidden")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(hidden))
    with pytest.warns(UserWarning, match=f"with granularity={advised} if a BatchNorm"):
        kp.rebuild(model, kp.Plan({"hidden": [0, 1]}, pushed=pushed))
