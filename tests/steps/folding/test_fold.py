"""Folded models: slim as they are whole, alike channels found, statistics moved and repaired as the formulas say."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.graph.graph import values
from kerasprune.steps.folding.clusters import obstacle, representatives
from kerasprune.steps.folding.variance import lost_spread
from kerasprune.surgery.clone import clone, taken_arguments
from kerasprune.surgery.comparison import difference, outputs_of
from kerasprune.surgery.reordering import from_others
from kerasprune.testing import random_inputs, randomise
from kerasprune.testing.toys import toy_data, toy_model
from tests.support.architectures import shufflenet, vit


def plain():
    """Convolutions with and without a bias, the first with its activation, and a Flatten."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(9, 3, padding="same", activation="relu", name="first")(inputs)
    x = layers.BatchNormalization()(layers.Conv2D(12, 3, strides=2, name="second")(x))
    x = layers.ReLU(max_value=6.0)(x)
    x = layers.BatchNormalization(scale=False)(layers.Conv2D(8, 1, use_bias=False, name="third")(x))
    return keras.Model(inputs, layers.Dense(5, name="logits")(layers.Flatten()(layers.Activation("swish")(x))))


def separable():
    """Depthwise and separable convolutions, with multipliers, and a gate."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, use_bias=False, name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="lanes")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    gate = layers.Dense(4, activation="relu", name="squeeze")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, layers.Dense(16, activation="sigmoid", name="excite")(gate)])
    x = layers.SeparableConv2D(10, 3, depth_multiplier=3, name="separable")(x)
    x = layers.BatchNormalization()(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(layers.GlobalMaxPooling2D()(x)))


def grouped():
    """A grouped convolution, a concatenation that holds a tensor twice, a transposed convolution, constants."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(12, 3, activation="relu", name="stem")(inputs)
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, groups=2, name="grouped")(x))
    y = layers.Conv2DTranspose(6, 2, strides=2, name="transposed")(layers.Concatenate()([x[:, 1:-1, 1:-1], y, y]))
    y = layers.BatchNormalization()(y) * np.arange(1.0, 7.0, dtype="float32")
    return keras.Model(inputs, layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D(name="pool")(y)))


def dense():
    """Dense layers without a BatchNorm."""
    inputs = keras.Input((7,))
    x = layers.Dense(16, activation="tanh", name="first")(inputs)
    x = layers.Dense(12, activation="relu", name="second")(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def sequences():
    """An embedding, an LSTM on top of a residual one, and heads of attention."""
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8, name="table")(inputs)
    x = layers.Add()([x, layers.LSTM(8, return_sequences=True, name="inner")(x)])
    x = layers.Add()([x, layers.MultiHeadAttention(4, 4, name="attention")(x, x)])
    x = layers.Bidirectional(layers.GRU(6, name="gru"))(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def halves():
    """A tensor that is cut in two."""
    inputs = keras.Input((8,))
    x = layers.Dense(8, activation="relu", name="whole")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="one")(x[:, :4]) + layers.Dense(3, name="other")(x[:, 4:]))


CASES = plain, separable, grouped, dense, sequences, shufflenet, toy_model
MAKERS = {each.__name__: each for each in CASES}


def error(expected, model, inputs):
    """The largest relative difference of the logits."""
    return difference(outputs_of(expected, inputs)[0], outputs_of(model, inputs)[0]).error


@pytest.mark.parametrize("name", MAKERS)
def test_slim_models_compute_what_folded_ones_do(name):
    model = randomise(MAKERS[name](), seed=1)
    inputs, before = random_inputs(model), model.get_weights()
    keep = kp.plan(model, keep=0.5).keep
    asked = kp.Plan({group: kept for group, kept in keep.items() if "key_dim" not in group})
    folded, plan = kp.fold(model, asked, repair=None)
    assert {group: len(kept) for group, kept in plan.keep.items()} == {g: len(k) for g, k in asked.keep.items()}
    assert all(map(np.array_equal, before, model.get_weights()))
    slim = kp.rebuild(folded, plan)
    assert slim.count_params() < 0.8 * model.count_params()
    assert error(folded, slim, inputs) <= 1e-5 and error(model, slim, inputs) > 1e-3
    verdict = kp.verify(folded, slim, plan, inputs, reload=False)
    assert verdict.passed and verdict.error <= 1e-5


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_merged_is_the_same_model(name):
    model = randomise(MAKERS[name](), seed=1)
    folded, _ = kp.fold(model, kp.Plan({}))
    assert error(model, folded, random_inputs(model)) <= 1e-5


def test_standard_deviations_lie_in_the_kernels():
    folded, _ = kp.fold(randomise(plain(), seed=1), kp.Plan({}))
    for layer in folded.layers:
        if isinstance(layer, layers.BatchNormalization):
            np.testing.assert_allclose(np.array(layer.moving_variance) + layer.epsilon, 1.0, rtol=1e-6)


def doubled(model):
    """Returns a copy in which channels 0 and 1, 2 and 3, … of every group that can be merged are equal; its plan."""
    graph, keep = kp.trace(model), {}
    replacement = np.arange(graph.classes.max() + 1)
    for name, group in graph.prunable.items():
        if not obstacle(graph, name):
            pairs = np.arange(group.size) // 2 * 2
            replacement[group.classes], keep[name] = group.classes[pairs], np.unique(pairs)
    take, slices = from_others(graph, replacement), {id(entry.variable): entry for entry in graph.slices}

    def value(variable):
        array, entry = values(variable), slices.get(id(variable))
        reads = () if entry is None or entry.role != "kernel" or "depthwise" in variable.name else entry.reads
        for axis, ids in enumerate(entry.ids if entry else ()):
            array = array if ids is None or axis in reads else np.take(array, take(ids), axis)
        return array

    return clone(model, argument=taken_arguments(graph, take), value=value)[0], kp.Plan(keep)


@pytest.mark.parametrize("name", MAKERS)
def test_equal_channels_are_found_and_folded_without_loss(name):
    model, expected = doubled(randomise(MAKERS[name](), seed=1))
    asked = kp.Plan({group: range(len(kept)) for group, kept in expected.keep.items()})
    folded, plan = kp.fold(model, asked)
    assert plan.keep == expected.keep
    assert error(model, folded, random_inputs(model)) < 1e-4


def test_members_of_a_cluster_are_equal_behind_constants():
    folded, plan = kp.fold(randomise(grouped(), seed=1), kp.Plan({"transposed": range(3)}))
    inner = keras.Model(folded.input, folded.get_layer("pool").input)
    channels = outputs_of(inner, random_inputs(folded))[0].reshape(-1, 6)
    assert len(np.unique(channels, axis=1).T) == len(plan.keep["transposed"]) == 3


def test_channels_equal_but_for_their_scale_are_found_and_folded_without_loss():
    inputs = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(layers.Conv2D(10, 3, name="first")(inputs)))
    x = layers.Conv2D(8, 3, activation="relu", name="second")(x)
    model = randomise(keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x))), seed=3)
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(5), 2))  # channel c is a copy of order[c]
    for name in ("first", "norm"):
        for variable in model.get_layer(name).weights:
            variable.assign(np.array(variable)[..., order])
    norm = model.get_layer("norm")  # one of each pair is half as large before the BatchNorm, which makes up for it
    half = np.where(np.unique(order, return_index=True)[1][order] == np.arange(10), 0.5, 1.0)
    for variable, by in zip((*model.get_layer("first").weights, norm.moving_mean), (half, half, half), strict=True):
        variable.assign(np.array(variable) * by)
    norm.moving_variance.assign((np.array(norm.moving_variance) + norm.epsilon) * half**2 - norm.epsilon)
    folded, plan = kp.fold(model, kp.Plan({"first": range(5)}))
    assert sorted(order[list(plan.keep["first"])]) == [0, 1, 2, 3, 4]
    slim, images = kp.rebuild(folded, plan), random_inputs(model)
    assert max(error(model, each, images) for each in (folded, slim)) < 1e-4
    assert error(model, kp.rebuild(model, plan), images) > 1e-2  # it is not enough to pick one of each


def test_repair_is_the_formula():
    random = np.random.default_rng(0)
    rows, source = random.normal(size=(9, 6)) + 0.5, np.array([0, 1, 0, 3, 1, 0, 6, 6, 0])
    rows[7] = -rows[6]
    found = lost_spread(rows, source)
    for first in np.unique(source):
        members = np.flatnonzero(source == first)
        pairs = itertools.combinations(rows[members], 2)
        cosines = [a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in pairs]
        n, rho = len(members), max(np.mean(cosines), 0) if cosines else 0.0
        np.testing.assert_allclose(found[members], np.sqrt(n / (1 + (n - 1) * rho)))


def test_repair_restores_the_variance_before_a_batchnorm():
    """On white inputs, for which the cosine of weights is the correlation of outputs."""
    random = np.random.default_rng(0)
    data = random.normal(size=(1000, 16)).astype("float32")
    inputs = keras.Input((16,))
    x = layers.BatchNormalization(name="norm")(layers.Dense(12, name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.ReLU()(x)))
    model.get_layer("first").kernel.assign(random.normal(size=(16, 12)) + 0.3)
    model = kp.recalibrate(model, data)
    spread = {}
    for repair in (None, "approximate", "examples"):
        examples = {"data": data} if repair == "examples" else {}
        folded, plan = kp.fold(model, kp.Plan({"first": range(4)}), repair=repair, **examples)
        slim = kp.rebuild(folded, plan)
        norm = slim.get_layer("norm")
        before = outputs_of(keras.Model(slim.input, norm.input), data)[0].var(axis=0)
        spread[repair] = before / (np.array(norm.moving_variance) + norm.epsilon)
    assert spread[None].min() < 0.7
    for repair in ("approximate", "examples"):
        np.testing.assert_allclose(spread[repair], 1.0, atol=0.15 if repair == "approximate" else 0.02)


@pytest.mark.parametrize(
    "make, group, reason",
    [
        (vit, "mlp0b", "takes statistics over them"),
        (vit, "attention0/key_dim", "makes and reads them along one axis"),
        (halves, "whole", "a tensor holds only some of them"),
    ],
)
def test_groups_that_cannot_be_merged_are_named_and_stay_picked(make, group, reason):
    model = randomise(make(), seed=1)
    graph = kp.trace(model)
    name = next(each for each in graph.prunable if group in (each, *graph.groups[each].layers))
    asked = kp.Plan({name: range(0, graph.groups[name].size, 2)})
    with pytest.warns(UserWarning, match=f"{name}': .*{reason}"):
        folded, plan = kp.fold(model, asked)
    assert plan.keep == asked.keep
    assert error(model, folded, random_inputs(model)) < 1e-5


def test_clusters_are_as_many_as_asked_for_and_the_best():
    random = np.random.default_rng(0)
    rows = random.normal(size=(4, 3))[[0, 1, 2, 3, 0, 1, 2, 3, 3]] + 1e-3 * random.normal(size=(9, 3))
    assert representatives(rows, 4).tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 3]
    for number in range(1, 10):
        assert len(set(representatives(np.zeros((9, 2)), number).tolist())) == number


def test_a_fraction_is_of_the_multiply_adds():
    model = toy_model()
    _, plan = kp.fold(model, 0.5)
    same = kp.plan(model, "l1", macs=0.5)
    assert {name: len(kept) for name, kept in plan.keep.items()} == {n: len(k) for n, k in same.keep.items()}
    assert plan.fingerprint == same.fingerprint


def test_examples_set_the_statistics():
    model, (images, _) = toy_model(), toy_data()
    folded, _ = kp.fold(model, 0.5, repair="examples", data=images)
    plain, _ = kp.fold(model, 0.5, repair=None)
    again = kp.recalibrate(plain, images)
    assert error(folded, again, images) < 1e-6 < error(folded, plain, images)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"plan": 50}, "plan=50. Did you mean 0.5"),
        ({"repair": "approximat"}, "Did you mean 'approximate'"),
        ({"repair": "examples"}, "data=kp.synthesise"),
        ({"data": np.zeros((4, 8, 8, 3))}, "Leave data out"),
        ({"plan": kp.Plan({}, removed=["sum"])}, "without removed blocks"),
        ({"plan": kp.Plan({"stem": [0]})}, "no group is called 'stem'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, said):
    with pytest.raises(kp.PruneError, match=said):
        kp.fold(toy_model(), **{"plan": 0.5, **arguments})
