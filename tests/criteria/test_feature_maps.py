"""Scores from feature maps: ranks and zeros, counted map by map; and data that does not fit."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune import criteria
from kerasprune.criteria.feature_maps import places
from kerasprune.criteria.hrank import matrix_ranks
from kerasprune.testing.randomness import randomise
from kerasprune.testing.toys import toy_data, toy_model

FEATURES = ["apoz", "hrank", "hrank_edge", "hrank_random", "hrank_reverse"]
# Where toy_model shows each group: behind the first activation, or (lanes) what the layer itself puts out.
SEEN = {
    "stem_conv": ["stem_act", "trunk"],
    "inner_conv": ["inner_act"],
    "wide_conv": ["wide_act", "lanes"],
    "last_conv": ["last_act"],
}


@pytest.fixture(scope="module")
def toy():
    """The toy with some dead and some constant channels, its data, and what stands at every layer."""
    model = toy_model(1)
    norm = model.get_layer("inner_norm")
    gamma, beta = norm.gamma.numpy(), norm.beta.numpy()
    gamma[:5], beta[:5] = 0, [-1, -1, 0, 1, 2]
    norm.gamma.assign(gamma)
    norm.beta.assign(beta)
    images, labels = toy_data(20, 1)
    data = [(images[:12], labels[:12]), (images[12:], labels[12:])]
    names = sorted({name for each in SEEN.values() for name in each})
    looks = keras.Model(model.inputs, {name: model.get_layer(name).output for name in names})
    return kp.trace(model), data, {name: np.asarray(maps) for name, maps in looks(images, training=False).items()}


def _expected(maps, of) -> dict[str, np.ndarray]:
    return {
        group: np.mean(
            [
                [np.mean([of(image[..., c]) for image in maps[name]]) for c in range(maps[name].shape[-1])]
                for name in names
            ],
            axis=0,
        )
        for group, names in SEEN.items()
    }


def test_hrank_is_the_mean_rank_of_the_maps(toy):
    graph, data, maps = toy
    found = criteria.score(criteria.get("hrank"), graph, data)
    expected = _expected(maps, np.linalg.matrix_rank)
    for group, scores in found.items():
        np.testing.assert_allclose(scores, expected[group], atol=0.05)  # a rank may hang on the last bit
        assert np.mean(np.abs(scores - expected[group])) < 1e-2
    assert found["inner_conv"][:5].tolist() == [0, 0, 0, 1, 1]  # silent, silent, zero, constant, constant


def test_apoz_is_minus_the_share_of_zeros(toy):
    graph, data, maps = toy
    found = criteria.score(criteria.get("apoz"), graph, data)
    behind = {**maps, "lanes": maps["wide_act"]}  # an output without activation is zero by accident only
    expected = _expected(behind, lambda one: (one == 0).mean())
    for group, scores in found.items():
        np.testing.assert_allclose(-scores, expected[group], atol=1e-6)
    assert found["inner_conv"][:5].tolist() == [-1, -1, -1, 0, 0]


def test_variants_arrange_the_same_ranks(toy):
    graph, data, _ = toy
    ranks, edge, dealt, reverse = (criteria.get(name).score(graph, data) for name in FEATURES[1:])
    other = criteria.get("hrank_random").score(graph, data, seed=1)
    for group, line in ranks.items():
        np.testing.assert_array_equal(reverse[group], -line)
        assert sorted(dealt[group]) == sorted(line)
        place = np.array([np.mean([sorted(line).index(x), len(line) - 1 - sorted(line)[::-1].index(x)]) for x in line])
        np.testing.assert_allclose(edge[group], -abs(place - (len(line) - 1) / 2))
    assert any((dealt[group] != other[group]).any() for group in ranks)


def test_fewer_batches_and_batches_of_other_sizes(toy):
    graph, data, _ = toy
    images = np.concatenate([batch for batch, _ in data])
    first = criteria.HRank(samples=12).score(graph, data)
    only, halves = (criteria.HRank().score(graph, each) for each in ([images[:12]], [images[:3], images[3:12]]))
    for group in first:
        np.testing.assert_array_equal(first[group], only[group])
        np.testing.assert_allclose(first[group], halves[group], atol=0.1)


def test_ranks_of_matrices_are_those_of_numpy_and_of_their_making():
    generator = np.random.default_rng(0)
    made = [[generator.normal(size=(7, r)) @ generator.normal(size=(r, 9)) for r in (0, 1, 3, 7)] for _ in range(3)]
    assert matrix_ranks(np.array(made, "float32")).tolist() == [[0, 1, 3, 7]] * 3
    assert matrix_ranks(np.ones((2, 3))).tolist() == [[1, 1, 1]] * 2  # of dense layers
    cubes = generator.normal(size=(1, 1, 2, 3, 4)).astype("float32")
    assert matrix_ranks(cubes).tolist() == [[np.linalg.matrix_rank(cubes.reshape(6, 4))]]


def _named(graph, group):
    seen = places(graph)[group]
    return [(graph.calls[place.call].operation.name, place.activated) for place in seen]


def test_channels_are_seen_behind_the_next_activation():
    inputs = keras.Input((8, 8, 3))
    stem = layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    x = layers.ReLU(name="first")(layers.BatchNormalization()(stem))
    x = layers.Conv2D(6, 3, padding="same", name="branch")(x)
    x = layers.Add(name="sum")([stem, x])  # pre-activation: the trunk itself is never activated alone
    x = layers.Activation("gelu", name="last")(layers.BatchNormalization()(x))
    x = layers.Concatenate()([layers.Conv2D(4, 1, activation="relu", name="own")(x), x])
    x = layers.Conv2D(5, 1, name="bare")(layers.MaxPooling2D()(x))
    graph = kp.trace(keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))))
    assert _named(graph, "stem") == [("first", True), ("last", True)]
    assert _named(graph, "own") == [("own", True)]
    assert _named(graph, "bare") == [("bare", False)]


def test_nested_models_and_shared_layers_are_seen_through():
    body = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="inside")], name="body")
    one, two = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    relu = layers.ReLU(name="relu")
    x = layers.Add()([relu(body(one)), layers.Activation("tanh", name="other")(body(two))])
    model = randomise(keras.Model([one, two], layers.Dense(2)(layers.GlobalAveragePooling2D()(x))), 0)
    graph = kp.trace(model)
    assert sorted(_named(graph, "inside")) == [("other", True), ("relu", True)]
    images = np.random.default_rng(0).normal(size=(2, 6, 8, 8, 3)).astype("float32")
    inner = np.asarray(model.get_layer("body")(images[0]))
    zeros = (inner <= 0).mean(axis=(0, 1, 2)) / 2  # tanh has none
    np.testing.assert_allclose(criteria.APoZ().score(graph, [list(images)])["inside"], -zeros, atol=1e-6)


def test_layers_that_are_random_in_training_are_not():
    inputs = keras.Input((8, 8, 3))
    x = layers.Dropout(0.9)(layers.RandomFlip(seed=0)(inputs))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, name="conv")(x))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    model = randomise(keras.Model(inputs, layers.Dense(2)(x)), 0)
    images, _ = toy_data(16)
    before = [w.numpy() for w in model.variables]
    first, again = (criteria.APoZ().score(kp.trace(model), [images])["conv"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert all(map(np.array_equal, before, [w.numpy() for w in model.variables]))


@pytest.mark.parametrize("name", ["hrank", "thinet"])
def test_models_of_half_precision_are_looked_at_in_float32(name):
    def made(dtype):
        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, padding="same", dtype=dtype, name="conv")(inputs)
        x = keras.ops.relu(layers.BatchNormalization(dtype=dtype, name="norm")(x))
        x = layers.Conv2D(3, 1, dtype=dtype, name="next", activation="relu")(x)
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        return keras.Model(inputs, layers.Dense(2, name="logits")(x))

    half, whole = made("mixed_float16"), made("float32")
    generator = np.random.default_rng(0)
    # rows and columns that repeat: maps of rank 4 and less, whose rounding would have rank 8
    images = [np.outer(a, b)[None, :, :, None] for a, b in generator.normal(size=(6, 2, 8))]
    images = np.concatenate(images).repeat(3, axis=3).astype("float32")
    whole.set_weights(half.get_weights())
    one, two = (criteria.get(name).score(kp.trace(model), [images]) for model in (half, whole))
    for group, scores in two.items():
        np.testing.assert_allclose(one[group], scores, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", FEATURES)
def test_dead_groups_have_scores(name, toy):
    _, data, _ = toy
    model = toy_model()
    for layer in ("inner_conv", "inner_norm"):
        model.get_layer(layer).set_weights([np.zeros(w.shape) for w in model.get_layer(layer).weights])
    scores = criteria.score(criteria.get(name), kp.trace(model), data)["inner_conv"]
    assert scores.tolist() == [-1.0 if name == "apoz" else 0.0] * 17


def test_maps_without_area_and_without_zeros_are_warned_of():
    inputs = keras.Input((8,))
    x = layers.Dense(4, activation="sigmoid", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    data = [np.ones((4, 8))]
    with pytest.warns(UserWarning, match="Feature maps of hidden have fewer than two axes"):
        kp.plan(model, "hrank", keep=0.5, data=data)
    with pytest.warns(UserWarning, match="The activations of hidden are never zero"):
        kp.plan(model, "apoz", keep=0.5, data=data)


def test_channels_inside_of_a_layer_cannot_be_seen():
    inputs = keras.Input((5, 6))
    x = layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    with pytest.raises(kp.PruneError, match="groups hidden inside layers: attention"):
        kp.plan(model, "apoz", keep=0.5, data=[np.ones((2, 5, 6))])


IMAGES, LABELS = toy_data(8)
BAD = {
    "none": (None, "needs data. Received: data=None"),
    "a number": (3, "Received: data=3"),
    "nothing": ([], "Expected examples in data. Received: none"),
    "unbatched": ([IMAGES[0]], r"Received: shape \(8, 8, 3\). It lacks the batch axis: give x"),
    "other shape": ([IMAGES[:, :6]], r"Received: shape \(8, 6, 8, 3\)"),
    "NaN": ([np.where(IMAGES > 2, np.nan, IMAGES)], "Received: NaN or infinity"),
    "another name": ([({"picture": IMAGES}, LABELS)], "image"),
}


@pytest.mark.parametrize("name", ["apoz", "hrank"])
@pytest.mark.parametrize("bad", BAD)
def test_data_that_does_not_fit_is_refused(name, bad):
    model = toy_model()
    before, (data, message) = model.get_weights(), BAD[bad]
    with pytest.raises(kp.PruneError, match=message):
        kp.plan(model, name, keep=0.5, data=data)
    assert all(map(np.array_equal, before, model.get_weights()))


class _Dataset(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return IMAGES[4 * index : 4 * index + 4], LABELS[:4]


def test_data_of_all_kinds():
    import tensorflow as tf

    graph = kp.trace(toy_model())
    expected = criteria.APoZ().score(graph, [IMAGES])
    kinds = [
        tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(4),
        tf.data.Dataset.from_tensor_slices(IMAGES).batch(4),
        _Dataset(),
        [{"image": IMAGES}],
        [({"image": IMAGES}, LABELS, np.ones(8))],
        ([IMAGES, LABELS] for _ in range(1)),
        (IMAGES, LABELS),
        IMAGES,
        [((IMAGES,), LABELS)],
    ]
    for data in kinds:
        for group, scores in criteria.APoZ().score(graph, data).items():
            np.testing.assert_allclose(scores, expected[group], atol=1e-6)


def test_weights_that_are_not_finite_are_refused():
    model = toy_model()
    kernel = model.get_layer("inner_conv").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(kp.PruneError, match="Expected finite feature maps. Received: NaN or infinity from 'inner_act'"):
        kp.plan(model, "hrank", keep=0.5, data=[IMAGES])


@pytest.mark.parametrize("arguments", [{"samples": 0}, {"samples": 1.5}])
def test_numbers_of_examples_are_checked(arguments):
    with pytest.raises(kp.PruneError, match="Received: samples="):
        criteria.HRank(**arguments)
