"""Reconstruction: exact where that is possible, never worse on its own targets, and nothing of it silent."""

from __future__ import annotations

import warnings
from functools import partial, wraps

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune._keras import mask_of
from kerasprune.repair.reconstruction.feature_error import feature_error
from kerasprune.repair.reconstruction.program import Scratch
from kerasprune.repair.reconstruction.reconstruct import reconstruct
from kerasprune.repair.reconstruction.solving import Solving

SIZE = 8


def _shaken(model: keras.Model) -> keras.Model:
    """Gives every weight values that matter, BatchNorm statistics included."""
    random = np.random.default_rng(1)
    for weight in model.weights:
        fresh = random.normal(0.0, 0.4, weight.shape)
        weight.assign(np.abs(fresh) + 0.5 if "variance" in weight.path or "gamma" in weight.path else fresh)
    return model


def _images(number: int = 60) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(number, SIZE, SIZE, 3)).astype("float32")


def _outputs(model: keras.Model, x) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(x, training=False))


READERS = {
    "conv": lambda: layers.Conv2D(5, 3, padding="same", name="reader"),
    "conv, groups": lambda: layers.Conv2D(4, 3, groups=2, name="reader"),
    "transposed": lambda: layers.Conv2DTranspose(5, 3, strides=2, name="reader"),
    "separable": lambda: layers.SeparableConv2D(5, 3, name="reader"),
    "dense": lambda: layers.Dense(5, name="reader"),
    "einsum": lambda: layers.EinsumDense("abcd,de->abce", (None, None, 5), bias_axes="e", name="reader"),
}


@pytest.mark.parametrize("kind", READERS)
def test_channels_that_depend_on_kept_ones_are_made_up_for(kind):
    """The first layer is linear and its last two channels are sums of the others: their readers can do without."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(6, 3, name="first")(inputs)
    x = layers.BatchNormalization()(READERS[kind]()(x))
    model = _shaken(keras.Model(inputs, layers.Dense(3)(layers.ReLU()(x))))
    kernel, bias = (keras.ops.convert_to_numpy(each).copy() for each in model.get_layer("first").weights)
    mixing = np.array([[1.0, 0.5], [-1.0, 0.0], [0.0, 2.0], [0.3, 0.0]])
    if kind == "conv, groups":  # each group sees three channels, and loses one that depends on its own
        mixing = np.zeros((6, 2))
        mixing[[0, 1], 0], mixing[[3, 4], 1] = (1.0, -2.0), (0.5, 1.0)
        lost, kept = [2, 5], [0, 1, 3, 4]
        mixing = mixing[kept]
    elif kind == "separable":  # each depthwise filter is one channel's own: the same filter for all
        reader = model.get_layer("reader").depthwise_kernel
        reader.assign(np.repeat(keras.ops.convert_to_numpy(reader)[:, :, :1], 6, axis=2))
        lost, kept = [4, 5], [0, 1, 2, 3]
    else:
        lost, kept = [4, 5], [0, 1, 2, 3]
    kernel[..., lost], bias[lost] = kernel[..., kept] @ mixing, bias[kept] @ mixing
    model.get_layer("first").set_weights([kernel, bias])
    plan, x = kp.Plan({"first": kept[:2] if kind == "conv, groups" else kept}), _images()
    slim = kp.rebuild(model, plan)
    new = reconstruct(slim, model, plan, x, ridge=1e-10)
    fresh = _images(90)[60:]
    expected = _outputs(model, fresh)
    assert np.abs(_outputs(slim, fresh) - expected).max() > 0.1 * np.abs(expected).max()
    assert np.abs(_outputs(new, fresh) - expected).max() < 1e-3 * np.abs(expected).max()


@pytest.fixture(scope="module")
def net() -> keras.Model:
    """Two residual blocks with BatchNorm, the first with a projection."""

    def norm(x, relu=True):
        x = layers.BatchNormalization()(x)
        return layers.ReLU()(x) if relu else x

    inputs = keras.Input((SIZE, SIZE, 3))
    trunk = norm(layers.Conv2D(6, 3, padding="same", use_bias=False, name="stem")(inputs))
    for block, width in (("a", 8), ("b", 8)):
        x = norm(layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{block}1")(trunk))
        x = norm(layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{block}2")(x), relu=False)
        if block == "a":
            trunk = norm(layers.Conv2D(width, 1, use_bias=False, name="shortcut")(trunk), relu=False)
        trunk = layers.ReLU()(layers.Add(name=f"sum_{block}")([trunk, x]))
    x = layers.GlobalAveragePooling2D()(trunk)
    return _shaken(keras.Model(inputs, layers.Dense(4, name="logits")(x)))


PLANS = {
    "branches": {"a1": [0, 2, 3, 7], "b1": [1, 4, 5]},
    "trunk too": {"a1": [0, 2, 3, 7], "b1": [1, 4, 5], "stem": [0, 1, 5], "a2": [0, 3, 4, 6]},
}


@pytest.mark.matrix
@pytest.mark.parametrize("name", [*PLANS, "a block less"])
@pytest.mark.parametrize("absorb", [True, False])
def test_a_residual_network_comes_nearer(net, name, absorb):
    graph = kp.trace(net)
    if name == "a block less":
        plan = kp.Plan({"a1": [0, 2, 3, 7]}, removed=["sum_b"])
    else:
        keep = {next(g.name for g in graph.groups.values() if k in g.layers): v for k, v in PLANS[name].items()}
        plan = kp.Plan(keep)
    slim, x, fresh = kp.rebuild(net, plan, absorb=absorb), _images(), _images(90)[60:]
    before, dense_before = [[np.array(w) for w in each.get_weights()] for each in (slim, net)]
    new = reconstruct(slim, net, plan, x, positions=3000)
    if name == "a block less":  # the last features are another block's: what the classifier makes of them counts
        ours, theirs, expected = (_outputs(each, fresh) for each in (new, slim, net))
        assert ((ours - expected) ** 2).sum() < 0.6 * ((theirs - expected) ** 2).sum()
    else:
        assert feature_error(new, net, plan, fresh) < 0.6 * feature_error(slim, net, plan, fresh)
    assert all(map(np.array_equal, before, slim.get_weights())) and new is not slim
    assert all(map(np.array_equal, dense_before, net.get_weights()))
    assert [w.path for w in new.weights] == [w.path for w in slim.weights]


def test_where_nothing_is_removed_nothing_changes(net):
    plan = kp.Plan({})
    new = reconstruct(kp.rebuild(net, plan), net, plan, _images(20))
    assert np.allclose(_outputs(new, _images()), _outputs(net, _images()), atol=1e-4)
    solved = [(a, b) for a, b in zip(new.weights, net.weights, strict=True) if a.path.endswith(("kernel", "bias"))]
    assert solved and all(np.allclose(*map(keras.ops.convert_to_numpy, pair), atol=1e-4) for pair in solved)


def test_slack_makes_weights_smaller_where_no_batchnorm_divides_them_out():
    """A classifier of features that hardly differ: what tells them apart has large weights, and explains little."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    hidden = layers.Dense(12, use_bias=False, name="hidden")(inputs)
    features = layers.Dense(10, "tanh", name="features")(layers.BatchNormalization(name="norm")(hidden))
    model = keras.Model(inputs, layers.Dense(4, name="out")(features))
    data = np.random.default_rng(0).normal(size=(400, 6)).astype("float32")
    plan = kp.Plan({"hidden": [0, 5]})
    slim = kp.rebuild(model, plan)
    tight, loose = (reconstruct(slim, model, plan, data, slack=slack) for slack in (0.0, 0.3))
    start, *solved = (each.get_layer("out").get_weights()[0] for each in (slim, tight, loose))
    moved = [np.square(kernel - start).sum() for kernel in solved]
    assert moved[1] < 0.7 * moved[0]
    hidden = [each.get_layer("hidden").get_weights()[0] for each in (tight, loose)]
    assert np.array_equal(*hidden)  # a BatchNorm follows
    assert _error(loose, model, data) < 1.5 * _error(tight, model, data)


def _error(slim: keras.Model, model: keras.Model, data: np.ndarray) -> float:
    return float(np.square(_outputs(slim, data) - _outputs(model, data)).sum())


def test_activations_in_files_count_as_those_in_memory(net, monkeypatch):
    plan = kp.Plan({"a1": [0, 2, 3, 7], "b1": [1, 4, 5]})
    slim, x, held = kp.rebuild(net, plan), _images(), []

    class InFiles(Scratch):
        def __init__(self):
            super().__init__(memory=0)

        def hold(self, array):
            held.append(super().hold(array))
            return held[-1]

    there = reconstruct(slim, net, plan, x)
    monkeypatch.setattr("kerasprune.repair.reconstruction.dense_targets.Scratch", InFiles)
    assert all(map(np.array_equal, there.get_weights(), reconstruct(slim, net, plan, x).get_weights()))
    assert held and all(isinstance(array, np.memmap) for array in held)


def test_memory_is_free_again_when_arrays_go():
    scratch = Scratch(memory=80)
    first, other = scratch.hold(np.ones(8)), scratch.hold(np.ones(8))
    assert [type(each) for each in (first, other)] == [np.ndarray, np.memmap]
    assert np.array_equal(first, other)
    del first
    assert type(scratch.hold(np.ones(8))) is np.ndarray


def test_gates_are_in_the_kernels_already():
    inputs = keras.Input((5,))
    hidden = layers.Dense(6, "relu", name="hidden")(inputs)
    model = kp.surgery.gated(keras.Model(inputs, layers.Dense(3, name="out")(hidden)))
    model.get_layer("hidden_gate").gamma.assign([0.1, 2.0, 3.0, 0.5, 1.0, 4.0])
    data = np.random.default_rng(0).normal(size=(80, 5)).astype("float32")
    new = reconstruct(kp.rebuild(model, kp.Plan({})), model, kp.Plan({}), data)
    assert np.allclose(_outputs(new, data), _outputs(model, data), atol=1e-4)


@pytest.mark.parametrize("coupling", ["free", "padded"])
def test_other_couplings(net, coupling):
    graph = kp.trace(net, coupling=coupling)
    plan = kp.plan(graph, keep=0.6)
    slim, x = kp.rebuild(graph, plan), _images(40)
    new = reconstruct(slim, graph, plan, x, positions=1500)
    assert feature_error(new, graph, plan, x) < 0.7 * feature_error(slim, graph, plan, x)


def test_one_layer_against_the_problem_written_out():
    """A dense layer behind a pruned one, solved by hand: ridge, present weights and constant as in the equation."""
    inputs = keras.Input((5,))
    hidden = layers.Dense(6, "tanh", name="hidden")(inputs)
    model = _shaken(keras.Model(inputs, layers.Dense(3, name="out")(hidden)))
    plan, x = kp.Plan({"hidden": [0, 1, 4]}), np.random.default_rng(0).normal(size=(80, 5)).astype("float32")
    slim = kp.rebuild(model, plan)
    new = reconstruct(slim, model, plan, x, ridge=0.1)
    read = _outputs(keras.Model(model.inputs, hidden), x)[:, [0, 1, 4]].astype("float64")
    y, judges, found = _outputs(model, x), np.arange(80) % 10 == 9, []
    start, there, want = slim.get_layer("out").get_weights()[0], read[~judges], y[~judges]
    middle = there - there.mean(axis=0)
    residual = want - want.mean(axis=0) - middle @ start
    for ridge in (0.1, 1.0, 10.0, 100.0, 1e12):
        level = ridge * (middle**2).sum() / 3
        kernel = start + np.linalg.solve(middle.T @ middle + level * np.eye(3), middle.T @ residual)
        bias = want.mean(axis=0) - there.mean(axis=0) @ kernel
        found.append((((read[judges] @ kernel + bias - y[judges]) ** 2).sum(), kernel, bias))
    _, kernel, bias = min(found, key=lambda each: each[0])
    assert np.allclose(new.get_layer("out").get_weights()[0], kernel, atol=1e-4)
    assert np.allclose(new.get_layer("out").get_weights()[1], bias, atol=1e-4)
    errors = [((_outputs(each, x) - y) ** 2).sum() for each in (new, slim)]
    assert errors[0] < errors[1]


def test_what_a_relu_cuts_off_need_not_be_met(monkeypatch):
    """Each turn lowers the error behind the relu; the error before it may rise."""
    inputs = keras.Input((5,))
    hidden = layers.Dense(8, "tanh", name="hidden")(inputs)
    x = layers.ReLU(6.0, name="seen")(
        layers.BatchNormalization()(layers.Dense(10, use_bias=False, name="read")(hidden))
    )
    model = _shaken(keras.Model(inputs, layers.Dense(3)(x)))
    plan, x = kp.Plan({"hidden": [0, 1, 4]}), np.random.default_rng(0).normal(size=(300, 5)).astype("float32")
    expected = _outputs(keras.Model(model.inputs, model.get_layer("seen").output), x)
    errors = []
    for turns in (0, 1, 8):
        solving = partial(Solving, turns=turns)
        monkeypatch.setattr("kerasprune.repair.reconstruction.reconstruct.Solving", solving)
        new = reconstruct(kp.rebuild(model, plan), model, plan, x)
        seen = _outputs(keras.Model(new.inputs, new.get_layer("seen").output), x)
        errors.append(((seen - expected) ** 2).sum())
    assert errors[2] < errors[1] < errors[0] and errors[2] < 0.99 * errors[0]


@pytest.mark.parametrize("kind", ["self", "cross", "named"])
def test_an_attention_is_run_three_times_with_its_masks_and_solved_from_what_it_reads(kind, monkeypatch):
    words, others = keras.Input((5,), dtype="int32"), keras.Input((4, 6))
    x = layers.Embedding(20, 8, mask_zero=True)(words)
    attention = layers.MultiHeadAttention(4, 3, name="attention")
    if kind == "self":
        made, model_inputs = attention(x, x), [words]
    else:
        key = layers.Dense(7, name="key")(others)
        value = layers.Dense(8, name="value")(others)
        made = attention(x, value, key) if kind == "cross" else attention(query=x, value=value, key=key)
        model_inputs = [words, others]
    model = _shaken(keras.Model(model_inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(made))))
    generator = np.random.default_rng(0)
    data = [generator.integers(1, 20, (150, 5)) * (np.arange(5) < generator.integers(2, 6, (150, 1)))]
    data += [generator.normal(size=(150, 4, 6)).astype("float32")] * (kind != "self")
    plan = kp.Plan({"attention/heads": [0, 2]})
    slim, masked, call = kp.rebuild(model, plan), [], layers.MultiHeadAttention.call

    @wraps(call)
    def counted(self, query, *args, **kwargs):
        masked.append(mask_of(query) is not None)
        return call(self, query, *args, **kwargs)

    monkeypatch.setattr(layers.MultiHeadAttention, "call", counted)
    new = reconstruct(slim, model, plan, tuple(each[:100] for each in data), samples=100)
    assert masked == [True] * 3  # the dense one; the slim one, for what its last projection reads, and as it is solved
    monkeypatch.undo()
    there = [each[100:] for each in data]
    ours, before, expected = (each.predict(there, verbose=0) for each in (new, slim, model))
    assert ((ours - expected) ** 2).sum() < 0.5 * ((before - expected) ** 2).sum()


@pytest.mark.parametrize("kind", ["heads", "trunk", "grouped queries"])
def test_attention(kind):
    """Its projections are solved one by one, the last one for what the sum behind it lacks."""
    inputs = keras.Input((5, 6))
    x = layers.Dense(8, name="trunk")(inputs)
    if kind == "grouped queries":
        attention = layers.GroupQueryAttention(4, 4, 2, name="attention")
    else:
        attention = layers.MultiHeadAttention(4, 3, name="attention")
    x = layers.Add(name="sum")([x, layers.Dropout(0.1)(attention(x, x))])
    x = layers.Add()([x, layers.Dense(8)(layers.Dense(12, "gelu", name="wide")(layers.LayerNormalization()(x)))])
    model = _shaken(keras.Model(inputs, layers.Dense(3, name="out")(x)))
    keep = (
        {"trunk": [0, 1, 2, 5, 7]}
        if kind == "trunk"
        else {"attention/heads": [1] if kind == "grouped queries" else [0, 2]}
    )
    plan = kp.Plan({**keep, "wide": list(range(6))})
    data = np.random.default_rng(0).normal(size=(150, 5, 6)).astype("float32")
    slim = kp.rebuild(model, plan)
    new = reconstruct(slim, model, plan, data[:100])
    ours, before, expected = (_outputs(each, data[100:]) for each in (new, slim, model))
    assert ((ours - expected) ** 2).sum() < 0.5 * ((before - expected) ** 2).sum()
    own = new.get_layer("attention").weights, slim.get_layer("attention").weights
    same = {a.path for a, b in zip(*own, strict=True) if np.allclose(a, b, atol=1e-5)}
    solved = {weight.path for weight in own[0]} - same
    assert any("kernel" in path if kind == "trunk" else "output/kernel" in path for path in solved)


def test_what_cannot_be_solved_is_named():
    inputs = keras.Input((6, 4))
    x = layers.LSTM(5, name="memory")(layers.Dense(6, name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(3, name="out")(x))
    plan, data = kp.Plan({"first": [0, 1, 2]}), np.random.default_rng(0).normal(size=(20, 6, 4))
    with pytest.warns(UserWarning, match="left as they are: 'memory' of class LSTM"):
        reconstruct(kp.rebuild(model, plan), model, plan, data)


@pytest.mark.parametrize("kind", [layers.Embedding, layers.ReversibleEmbedding])
def test_an_embedding_makes_what_it_made_and_is_not_named(kind, recwarn):
    words = keras.Input((6,), dtype="int32")
    x = layers.Conv1D(5, 2, activation="relu", name="conv")(kind(20, 8, name="table")(words))
    model = keras.Model(words, layers.Dense(3, name="out")(layers.GlobalAveragePooling1D()(x)))
    plan, data = (
        kp.Plan({"table": [0, 2, 3, 6], "conv": [1, 2, 4]}),
        np.random.default_rng(0).integers(20, size=(300, 6)),
    )
    slim = kp.rebuild(model, plan)
    solved = reconstruct(slim, model, plan, data)
    assert not [each for each in recwarn if "left as they are" in str(each.message)]
    rows = [each.get_layer("table").get_weights()[0] for each in (model, solved)]
    np.testing.assert_array_equal(rows[0][:, [0, 2, 3, 6]], rows[1])
    before, after = (
        np.square(each.predict(data, verbose=0) - model.predict(data, verbose=0)).sum() for each in (slim, solved)
    )
    assert after < before


def test_a_model_of_texts_is_solved():
    keras.utils.set_random_seed(0)
    x = layers.StringLookup(vocabulary=list("abcdef"))(inputs := keras.Input((4,), dtype="string"))
    x = layers.Flatten()(layers.Embedding(7, 8)(x))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(16, "relu", name="hidden")(x)))
    texts = np.random.default_rng(0).choice(list("abcdef"), size=(200, 4)).astype(object)
    plan = kp.plan(model, keep=0.5)
    slim = kp.rebuild(model, plan)
    solved = reconstruct(slim, model, plan, texts, verbose=0)
    wanted, cut, near = (each(keras.ops.convert_to_tensor(texts)).numpy() for each in (model, slim, solved))
    assert np.square(near - wanted).sum() < 0.5 * np.square(cut - wanted).sum()


def test_a_layer_that_nobody_knows_is_named():
    inputs = keras.Input((6,))
    hidden = layers.Dense(5, name="hidden")(layers.Dense(4, "relu", name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(3, name="out")(hidden))
    model.get_layer("hidden").quantize("int8")
    data = np.random.default_rng(0).normal(size=(20, 6))
    plan = kp.Plan({})
    with pytest.warns(UserWarning, match="'hidden' of class Dense quantized to int8"):
        reconstruct(kp.rebuild(model, plan), model, plan, data)


def test_a_shared_layer_is_named_and_few_examples_too():
    inputs = keras.Input((6,))
    shared = layers.Dense(6, name="shared")
    model = keras.Model(inputs, layers.Dense(3, name="out")(shared(shared(inputs))))
    data = np.random.default_rng(0).normal(size=(4, 6))
    with pytest.warns(UserWarning) as caught:
        reconstruct(kp.rebuild(model, kp.Plan({})), model, kp.Plan({}), data)
    told = " ".join(str(each.message) for each in caught)
    assert "'shared' is called again on its own output" in told and "unknowns, or than 10, in 'out'" in told


@pytest.mark.parametrize("number", [9, 40])
def test_from_fewer_examples_than_are_held_out_of_only_biases_move_and_that_is_said(number):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(2, name="out")(layers.Dense(4, "relu", name="first")(inputs)))
    plan = kp.Plan({"first": [0, 1]})
    slim = kp.rebuild(model, plan)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        solved = reconstruct(slim, model, plan, np.random.default_rng(0).normal(size=(number, 3)))
    moved = not np.array_equal(*(each.get_layer("out").kernel.numpy() for each in (slim, solved)))
    assert moved == (number == 40)
    assert ["only biases are solved" in str(each.message) for each in caught] == ([] if moved else [True])


@pytest.mark.parametrize("steps", [3, None])
@pytest.mark.parametrize("behind", ["nothing", "a relu in it", "a norm"])
def test_a_layer_at_every_step_in_time(steps, behind, recwarn):
    """Frames of a film: as for single pictures, the last two channels are sums of others and a constant."""
    every = layers.TimeDistributed
    inputs = keras.Input((steps, SIZE, SIZE, 3))
    x = every(layers.Conv2D(6, 3, name="of_each"), name="first")(inputs)
    x = every(layers.Conv2D(5, 3, activation="relu" if behind == "a relu in it" else None), name="reader")(x)
    x = every(layers.BatchNormalization())(x) if behind == "a norm" else x
    x = every(layers.GlobalAveragePooling2D())(x)
    model = _shaken(keras.Model(inputs, every(layers.Dense(3))(x)))
    kernel, bias = (keras.ops.convert_to_numpy(each).copy() for each in model.get_layer("first").weights)
    mixing = np.array([[1.0, 0.5], [-1.0, 0.0], [0.0, 2.0], [0.3, 0.0]])
    kernel[..., 4:], bias[4:] = kernel[..., :4] @ mixing, bias[:4] @ mixing + [3.0, -2.0]
    model.get_layer("first").set_weights([kernel, bias])
    plan, films = kp.Plan({"of_each": [0, 1, 2, 3]}), _images().reshape(20, 3, SIZE, SIZE, 3)
    slim = kp.rebuild(model, plan, absorb=False)
    new = reconstruct(slim, model, plan, films, ridge=1e-10)
    assert not [each for each in recwarn if "left as they are" in str(each.message)]
    fresh = _images(90)[60:].reshape(10, 3, SIZE, SIZE, 3)
    expected = _outputs(model, fresh)
    assert np.abs(_outputs(slim, fresh) - expected).max() > 0.1 * np.abs(expected).max()
    assert np.abs(_outputs(new, fresh) - expected).max() < 1e-3 * np.abs(expected).max()


SHARED = {
    "one norm": lambda: [layers.BatchNormalization(name="norm")] * 2,
    "a norm for each": lambda: [layers.BatchNormalization(), layers.BatchNormalization()],
    "a bias": lambda: [layers.ReLU(), layers.ReLU()],
}


@pytest.mark.parametrize("behind", SHARED)
def test_a_layer_of_several_calls_is_solved_for_all_of_them(behind, recwarn):
    """Two pictures through one encoder, whose last two channels are sums of others and a constant: its reader can do
    without them."""
    inputs = [keras.Input((SIZE, SIZE, 3)), keras.Input((SIZE, SIZE, 3))]
    first = layers.Conv2D(6, 3, name="first")
    reader = layers.Conv2D(5, 3, use_bias=behind == "a bias", name="reader")
    x = [norm(reader(first(x))) for x, norm in zip(inputs, SHARED[behind](), strict=True)]
    model = _shaken(keras.Model(inputs, layers.Dense(3, use_bias=False, name="out")(layers.Concatenate()(x))))
    kernel, bias = (keras.ops.convert_to_numpy(each).copy() for each in model.get_layer("first").weights)
    mixing = np.array([[1.0, 0.5], [-1.0, 0.0], [0.0, 2.0], [0.3, 0.0]])
    kernel[..., 4:], bias[4:] = kernel[..., :4] @ mixing, bias[:4] @ mixing + [3.0, -2.0]
    model.get_layer("first").set_weights([kernel, bias])
    plan, data = kp.Plan({"first": [0, 1, 2, 3]}), (_images(), -2 * _images()[::-1])
    slim = kp.rebuild(model, plan, absorb=False)
    new = reconstruct(slim, model, plan, data, ridge=1e-10)
    assert not [each for each in recwarn if "left as they are" in str(each.message)]
    fresh = [_images(90)[60:], _images(120)[90:]]
    expected = _outputs(model, fresh)
    assert np.abs(_outputs(slim, fresh) - expected).max() > 0.1 * np.abs(expected).max()
    assert np.abs(_outputs(new, fresh) - expected).max() < 1e-3 * np.abs(expected).max()


def test_shared_layers_are_solved_after_all_that_any_of_their_calls_reads():
    """A head on two levels of a pyramid, and a block that is applied to what it has made."""
    from kerasprune.repair.reconstruction.program import Program
    from kerasprune.repair.reconstruction.solving import in_order

    inputs = keras.Input((SIZE, SIZE, 3))
    head, again = layers.Conv2D(4, 3, name="head"), layers.Conv2D(4, 1, name="again")
    fine = layers.Conv2D(4, 3, name="fine")(inputs)
    first = layers.Conv2D(2, 1, name="of_fine")(head(fine))
    coarse = layers.Conv2D(4, 1, name="coarse")(fine)
    x = layers.Add()([first, layers.Conv2D(2, 1, name="of_coarse")(head(coarse))])
    program = Program(keras.Model(inputs, [x, again(again(coarse))]))
    steps = [each for each in program.before(program.outputs) if isinstance(each.operation, layers.Conv2D)]
    found = [(calls[0].operation.name, len(calls), apart) for calls, apart in in_order(program, steps)]
    place = {name: number for number, (name, *_) in enumerate(found)}
    assert found[place["head"]] == ("head", 2, True) and found[place["again"]] == ("again", 2, False)
    assert place["fine"] < place["coarse"] < place["head"] < min(place["of_fine"], place["of_coarse"])
    assert len(place) == len(found) == 6


def test_bad_arguments(net):
    plan = kp.Plan({"b1": [0, 1]})
    slim = kp.rebuild(net, plan)
    with pytest.raises(
        kp.PruneError, match="samples=0(.|\n)*positions=1.5(.|\n)*ridge=-1(.|\n)*slack=None(.|\n)*seed=-1"
    ):
        reconstruct(slim, net, plan, _images(4), samples=0, positions=1.5, seed=-1, ridge=-1, slack=None)
    with pytest.raises(kp.PruneError, match="2 channels out of 'b1'. Received: 8"):
        reconstruct(net, net, plan, _images(4))
    with pytest.raises(kp.PruneError, match="Expected shape"):
        reconstruct(slim, net, plan, _images(4)[:, :5, :, :2])
    broken = kp.rebuild(net, kp.Plan({}))
    broken.get_layer("stem").kernel.assign(np.full((3, 3, 3, 6), np.nan))
    with pytest.raises(kp.PruneError, match="NaN or infinity in"):
        reconstruct(kp.rebuild(net, plan), broken, plan, _images(4))


def test_steps_in_time_of_one_example_judge_together(monkeypatch):
    """They are alike: those of an example that kernels are solved on say little about others."""
    every, seen, rows = layers.TimeDistributed, [], Solving._rows
    monkeypatch.setattr(Solving, "_rows", lambda self, *given: seen.append(rows(self, *given)) or seen[-1])
    inputs = keras.Input((6, 5))
    model = keras.Model(inputs, every(layers.Dense(3))(every(layers.Dense(8, activation="relu", name="first"))(inputs)))
    plan = kp.Plan({"first": range(4)})
    reconstruct(kp.rebuild(model, plan), model, plan, np.random.default_rng(0).normal(size=(140, 6, 5)))
    for each in seen:
        judges = each.judges.reshape(140, 6)
        assert (judges == judges[:, :1]).all() and judges[:, 0].sum() == 14
