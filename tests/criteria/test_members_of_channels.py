"""Scores over all that makes, reads or scales a channel, against loops over single weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import layers, ops

import kerasprune as kp
from kerasprune import criteria
from kerasprune.criteria import aggregations, normalisations
from kerasprune.testing.randomness import randomise
from kerasprune.testing.toys import toy_model

GRAPH = kp.trace(toy_model(3))
# Written by hand from toy_model: (layer, weight, axis of the channels) of what makes, reads and scales each group.
PIECES = {
    "stem_conv": (
        [("stem_conv", 0, 3), ("outer_conv", 0, 3)],
        [("inner_conv", 0, 2), ("wide_conv", 0, 2)],
        [("stem_norm", 0, 0), ("outer_norm", 0, 0)],
    ),
    "inner_conv": ([("inner_conv", 0, 3)], [("outer_conv", 0, 2)], [("inner_norm", 0, 0)]),
    "wide_conv": (
        [("wide_conv", 0, 3), ("lanes", 0, 2)],
        [("last_conv", 0, 2)],
        [("wide_norm", 0, 0), ("lanes_norm", 0, 0)],
    ),
    "last_conv": ([("last_conv", 0, 3)], [("logits", 0, 0)], [("last_norm", 0, 0)]),
}
KINDS = {"makers": (0,), "readers": (1,), "scales": (2,), "everything": (0, 1, 2)}


def _norms(group: str, kind: str, power: int) -> list[list[float]]:
    """Norms of every member, channel by channel."""
    rows = []
    for part in KINDS[kind]:
        for layer, index, axis in PIECES[group][part]:
            weight = GRAPH.model.get_layer(layer).weights[index].numpy().astype("float64")
            rows.append([float((abs(np.take(weight, c, axis)) ** power).sum()) for c in range(weight.shape[axis])])
    return rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "power"), [("l1", 1), ("l2", 2)])
@pytest.mark.parametrize(("aggregation", "of"), [("sum", sum), ("max", max), ("first", lambda column: column[0])])
def test_norms_of_members_are_those_of_loops(kind, name, power, aggregation, of):
    found = criteria.score(criteria.Grouped(name, kind, aggregation), GRAPH)
    assert list(found) == list(PIECES)
    for group, scores in found.items():
        columns = zip(*_norms(group, kind, power), strict=True)
        np.testing.assert_allclose(scores, [of(column) ** (1 / power) for column in columns], rtol=1e-6)


@pytest.mark.parametrize(("name", "power"), [("group_l1", 1), ("group_l2", 2)])
def test_group_norms_are_the_mean_over_members_over_the_mean_of_the_group(name, power):
    for group, scores in criteria.score(criteria.get(name), GRAPH).items():
        norms = np.mean(_norms(group, "everything", power), axis=0) ** (1 / power)
        np.testing.assert_allclose(scores, norms / norms.mean(), rtol=1e-6)


@pytest.mark.parametrize("name", ["l1", "l2"])
def test_by_default_a_grouped_criterion_is_the_one_inside(name):
    spelt = name, {"name": "grouped", "criterion": name}
    inside, grouped = (criteria.score(criteria.get(each), GRAPH) for each in spelt)
    for group, scores in inside.items():
        np.testing.assert_array_equal(grouped[group], scores)


def test_members_that_hold_a_part_of_a_group_speak_for_that_part():
    inputs = keras.Input((6, 6, 3))
    a, b = (layers.Conv2D(n, 1, use_bias=False, name=name)(inputs) for n, name in ((2, "a"), (3, "b")))
    both = layers.Concatenate()([a, b])
    x = layers.Add()([both, layers.Conv2D(5, 1, use_bias=False, name="c")(inputs)])
    model = randomise(keras.Model(inputs, layers.Dense(2)(layers.GlobalMaxPooling2D()(x))), 0)
    graph = kp.trace(model)
    norm = {name: np.abs(model.get_layer(name).kernel.numpy()).sum(axis=(0, 1, 2)) for name in "abc"}
    found = criteria.Grouped(aggregation="mean").score(graph)
    joined = np.concatenate([found["a"], found["b"]]) if "b" in found else found["a"]
    np.testing.assert_allclose(joined, (np.concatenate([norm["a"], norm["b"]]) + norm["c"]) / 2, rtol=1e-6)


@given(
    arrays.arrays(float, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(-9, 9)),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_aggregations_ignore_members_that_say_nothing(values, random):
    present = np.array([[random.random() < 0.7 for _ in row] for row in values])
    values = np.where(present, values, 0.0)
    loops = {"sum": sum, "mean": lambda x: sum(x) / len(x), "max": max, "first": lambda x: x[0]}
    for name, of in loops.items():
        expected = [of(list(v[p])) if p.any() else 0.0 for v, p in zip(values.T, present.T, strict=True)]
        np.testing.assert_allclose(aggregations.get(name)(values, present), expected, atol=1e-12)


@given(arrays.arrays(float, st.integers(1, 8), elements=st.floats(0, 9).map(lambda x: round(x, 3))))
@settings(max_examples=60, deadline=None)
def test_normalisations_are_finite_and_keep_the_order(scores):
    for name in normalisations:
        found = normalisations.get(name)(scores)
        assert np.isfinite(found).all() and found.shape == scores.shape
        for i, j in zip(*np.where(scores[:, None] < scores[None, :]), strict=True):
            assert found[i] <= found[j], name


def test_normalisations_by_their_definitions():
    scores = np.array([1.0, 2.0, 5.0])
    expected = {
        "none": scores,
        "mean": scores / (8 / 3),
        "max": scores / 5,
        "sum": scores / 8,
        "norm": scores / 30**0.5,
        "standardised": (scores - 8 / 3) / (26 / 9) ** 0.5,
        "range": [0, 0.25, 1],
        "quantile": scores / 2,
        "larger": [1 / 8, 2 / 7, 1],
    }
    assert list(normalisations) == sorted(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(normalisations.get(name)(scores), values, err_msg=name)


def test_groups_are_comparable_under_a_common_threshold():
    """The same weights, ten times as large in one group: without normalisation that group is kept whole."""
    inputs = keras.Input((4,))
    x = layers.Dense(8, use_bias=False, name="small")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(8, use_bias=False, name="large")(x)))
    model.get_layer("small").kernel.assign(np.tile(np.arange(1, 9), (4, 1)))
    model.get_layer("large").kernel.assign(10 * np.tile(np.arange(1, 9), (8, 1)))
    plain, normalised = (
        kp.plan(model, criteria.Grouped(normalisation=each), "threshold", keep=0.5).keep for each in ("none", "mean")
    )
    assert {name: len(kept) for name, kept in plain.items()} == {"small": 1, "large": 8}
    assert normalised == dict.fromkeys(("small", "large"), (4, 5, 6, 7))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"criterion": "random"}, "scores weights by themselves.*Received: criterion=Random"),
        ({"criterion": "bn_scale"}, "Use 'l1' or 'l2'"),
        ({"members": "maker"}, "Did you mean 'makers'"),
        ({"aggregation": "average"}, "known aggregation: first, max, mean, sum"),
        ({"normalisation": {"name": "quantile", "quantile": 2}}, r"quantile to be a fraction in \(0, 1\)"),
    ],
)
def test_what_cannot_be_grouped_is_refused(arguments, message):
    with pytest.raises(kp.PruneError, match=message):
        criteria.Grouped(**arguments)


def test_groups_without_members_are_named():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="hidden"), layers.Dense(2)])
    with pytest.raises(kp.PruneError, match="Expected scales in every prunable group. Received: none in hidden"):
        kp.plan(model, criteria.Grouped(members="scales"), keep=0.5)


def _lamp(weights: np.ndarray) -> np.ndarray:
    flat = weights.astype("float64").ravel()
    return np.reshape([w * w / sum(v * v for v in flat if abs(v) >= abs(w)) if w else 0.0 for w in flat], weights.shape)


def test_lamp_of_single_weights_and_of_channels():
    graph = GRAPH
    found = criteria.get("lamp").saliency_of(graph.model)
    kernel = graph.model.get_layer("lanes").kernel
    np.testing.assert_allclose(found[kernel.path], _lamp(kernel.numpy()), rtol=1e-6)
    inside = criteria.get("lamp").saliency(ops.convert_to_tensor(kernel))  # as in the compiled step
    np.testing.assert_allclose(ops.convert_to_numpy(inside), _lamp(kernel.numpy()), rtol=1e-4)
    for group, scores in criteria.score(criteria.get("lamp"), graph).items():
        norms = np.sqrt(np.sum(_norms(group, "makers", 2), axis=0))
        np.testing.assert_allclose(scores, _lamp(norms), rtol=1e-5)


def test_lamp_of_equal_and_of_dead_weights():
    lamp = criteria.get("lamp").saliency
    np.testing.assert_allclose(lamp(np.array([2.0, -2.0, 1.0])), [0.5, 0.5, 1 / 9])
    assert lamp(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]
    assert ops.convert_to_numpy(lamp(ops.zeros((3,)))).tolist() == [0, 0, 0]


def test_fpgm_against_the_distances_of_all_pairs():
    for group, scores in criteria.score(criteria.get("fpgm"), GRAPH).items():
        expected = np.zeros_like(scores)
        for layer, index, axis in PIECES[group][0]:
            filters = np.moveaxis(GRAPH.model.get_layer(layer).weights[index].numpy().astype("float64"), axis, 0)
            for c in range(len(filters)):
                expected[c] += sum(np.sqrt(((filters[c] - filters[d]) ** 2).sum()) for d in range(len(filters)))
        np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_fpgm_removes_what_the_others_can_replace_where_norms_remove_the_small():
    kernel = np.array([[0.1, 5.0, 5.0, 5.0], [0.0, 4.9, 5.0, 5.1]])
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(4, name="hidden")(inputs)))
    model.get_layer("hidden").kernel.assign(kernel)
    assert kp.plan(model, "fpgm", keep=0.75).keep["hidden"] == (0, 1, 3)
    assert kp.plan(model, "l2", keep=0.75).keep["hidden"] == (1, 2, 3)


@pytest.mark.parametrize("name", ["group_l1", "group_l2", "grouped", "lamp", "fpgm"])
def test_dead_groups_have_scores(name):
    model = toy_model()
    for layer in ("inner_conv", "inner_norm", "outer_conv"):
        model.get_layer(layer).set_weights([np.zeros(w.shape) for w in model.get_layer(layer).weights])
    assert criteria.score(criteria.get(name), kp.trace(model))["inner_conv"].tolist() == [0.0] * 17
