"""Reordered channels compute the same; plans of padded sums keep prefixes, and need no gather."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.testing import check_rebuild, compare, random_inputs, random_plan, randomise

SHAPE = (16, 16, 3)
MAKERS = {
    "resnet-identity": lambda: kp.models.resnet_cifar(14, input_shape=SHAPE, width=0.5),
    "resnet-projection": lambda: kp.models.resnet_cifar(14, input_shape=SHAPE, width=0.5, shortcut="projection"),
    "densenet": lambda: kp.models.densenet_cifar(13, input_shape=SHAPE, growth=4),
    "mobilenet": lambda: kp.models.mobilenet_v2(4, SHAPE, stem="cifar", width=0.35),
    "EfficientNetB0": lambda: keras.applications.EfficientNetB0(
        weights=None, classifier_activation=None, input_shape=(32, 32, 3), classes=4
    ),
}


@pytest.fixture(scope="module")
def made():
    """Returns a function that makes each model once, with random weights."""
    models = {}

    def make(name):
        if name not in models:
            models[name] = randomise(MAKERS[name](), seed=4)
        return models[name]

    return make


# ---- reorder -------------------------------------------------------------------------------------------------------


@pytest.mark.experiments
@pytest.mark.matrix
@pytest.mark.parametrize("name", MAKERS)
def test_reordered_model_computes_the_same(made, name):
    model, random = made(name), np.random.default_rng(0)
    scores = {group.name: random.normal(size=group.size) for group in kp.trace(model).prunable.values()}
    new = kp.surgery.reorder(model, scores)
    assert compare(model, new, random_inputs(model)).error < 2e-5
    assert new.output_shape == model.output_shape and new.count_params() == model.count_params()
    moved = [not np.array_equal(a, b) for a, b in zip(model.get_weights(), new.get_weights(), strict=True)]
    assert sum(moved) > 0.5 * len(moved)


def test_channels_tied_unequally_often_keep_their_order():
    """`x[:5] · x[3:]` of eight ties three, three and two channels: no one of them can take the place of another."""
    inputs = keras.Input((4,))
    x = layers.Dense(8, name="hidden")(inputs)
    model = randomise(keras.Model(inputs, layers.Dense(2, name="logits")(x[..., :5] * x[..., 3:])))
    (group,) = kp.trace(model).prunable.values()
    for scores in ([0.0, 1.0, 2.0], [0.0, 2.0, 1.0]):
        new = kp.surgery.reorder(model, {group.name: scores})
        assert compare(model, new, random_inputs(model)).error < 1e-5


@pytest.mark.experiments
def test_channels_are_sorted_by_score(made):
    model = made("resnet-identity")
    scores = kp.criteria.score(kp.criteria.get("l1"), kp.trace(model))
    new = kp.surgery.reorder(model, scores)
    for name in ("stage1_block1_conv1", "stage3_block2_conv1"):
        kernel, sorted_kernel = np.array(model.get_layer(name).kernel), np.array(new.get_layer(name).kernel)
        order = np.argsort(-scores[name], kind="stable")
        before = np.take(np.abs(kernel).sum((0, 1, 2)), order)
        np.testing.assert_allclose(np.abs(sorted_kernel).sum((0, 1, 2)), before, rtol=1e-5)
        assert (np.diff(kp.criteria.score(kp.criteria.get("l1"), kp.trace(new))[name]) <= 1e-5).all()


@pytest.mark.experiments
def test_groups_that_are_not_scored_keep_their_order(made):
    model = made("resnet-projection")
    new = kp.surgery.reorder(model, {"stage1_block1_conv1": np.arange(8.0)})
    changed = [
        a.path for a, b in zip(model.weights, new.weights, strict=True) if not np.array_equal(np.array(a), np.array(b))
    ]
    assert {path.split("/")[-2] for path in changed} == {
        "stage1_block1_conv1",
        "stage1_block1_bn1",
        "stage1_block1_conv2",
    }


@pytest.mark.experiments
@pytest.mark.parametrize(
    "scores, said",
    [
        ({"stage1_block1_conv1": [1.0, 2.0]}, r"needs 8 finite scores\. Received: shape \(2,\)"),
        ({"stage1_block1_conv1": [np.nan] * 8}, "needs 8 finite scores"),
        ({"logits": np.ones(10)}, "must keep its order"),
        ({"stage1_block1_conv": np.ones(8)}, "Did you mean 'stage1_block1_conv1'"),
    ],
)
def test_scores_that_do_not_fit(made, scores, said):
    with pytest.raises(kp.PruneError, match=said):
        kp.surgery.reorder(made("resnet-projection"), scores)


# ---- padded sums ---------------------------------------------------------------------------------------------------


@pytest.mark.experiments
@pytest.mark.thorough
@pytest.mark.parametrize("name", ["resnet-identity", "resnet-projection", "mobilenet"])
def test_padded_plans_keep_prefixes(made, name):
    """Each branch keeps the first of the channels that its trunk keeps, and is often narrower."""
    model = made(name)
    graph = kp.trace(model, coupling="padded")
    narrower = 0
    for plan in (random_plan(graph, 7), kp.plan(graph, "l1", keep=0.5)):
        alive = graph.alive(plan.keep)
        assert graph.padded
        for sum_ in graph.padded:
            branch, trunk = np.flatnonzero(alive[sum_.branch]), np.flatnonzero(alive[sum_.trunk])
            assert branch.tolist() == trunk[: branch.size].tolist()
            narrower += branch.size < trunk.size
        check_rebuild(model, plan, inputs=random_inputs(model))
    assert narrower


@pytest.mark.experiments
def test_a_branch_that_keeps_other_channels_is_refused(made):
    model = made("resnet-identity")
    with pytest.raises(kp.PruneError, match="must keep the first channels of its trunk"):
        kp.rebuild(model, kp.Plan({"stage1_block1_conv2": [1, 2]}, coupling="padded"))
    wide = kp.Plan({"stem_conv": [0, 1, 2], "stage1_block1_conv2": [0, 1, 2, 3]}, coupling="padded")
    with pytest.raises(kp.PruneError, match="kp.surgery.reorder"):
        kp.rebuild(model, wide)


@pytest.mark.experiments
def test_a_plan_of_another_coupling_is_refused(made):
    graph = kp.trace(made("resnet-identity"), coupling="padded")
    with pytest.raises(kp.PruneError, match="coupling"):
        kp.Plan({"stem_conv": [0, 1]}).check(graph)


@pytest.mark.experiments
def test_a_padded_model_has_no_gather(made):
    """Only an operation that phones know: a padding; the sum itself is the old one."""
    model = made("resnet-identity")
    new = kp.rebuild(model, random_plan(kp.trace(model, coupling="padded"), 7))
    kinds = {type(operation).__name__ for operation in new.operations}
    assert "Pad" in kinds and not kinds & {"Take", "TakeAlongAxis", "GetItem", "Scatter", "ScatterUpdate"}
    assert kinds - {"Pad"} == {type(operation).__name__ for operation in model.operations}


def test_a_sum_of_three_branches_is_padded():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(6, 1, name="trunk")(inputs)
    y, z = (layers.Conv2D(6, 1, name=name)(layers.ReLU()(x)) for name in ("one", "two"))
    model = randomise(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Add()([y, x, z])))))
    plan = kp.Plan({"trunk": [1, 3, 4, 5], "one": [1, 3], "two": [1, 3, 4]}, coupling="padded")
    check_rebuild(model, plan, inputs=random_inputs(model))


def test_the_trunk_of_a_pinned_branch_stays():
    inputs = keras.Input((4, 4, 6))
    x = layers.Conv2D(6, 1, name="made")(inputs)
    total = layers.Add(name="sum")([x, layers.ReLU()(layers.Softmax()(layers.Conv2D(6, 1, name="soft")(x)))])
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(total)))
    group = kp.trace(model, coupling="padded").groups["made"]
    assert not group.prunable and "'sum'" in group.reason
