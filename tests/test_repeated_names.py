"""Layers and outputs of one name are told apart: an ensemble of two loaded networks does what distinct names do."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from support.callback_makers import MAKERS

import kerasprune as kp
from kerasprune import criteria
from kerasprune.callbacks import HoldMask
from kerasprune.graph.graph import values, weight_paths
from kerasprune.surgery.clone import clone
from kerasprune.surgery.copy_layer import make_layer
from kerasprune.testing.toys import toy_data, toy_model

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
QUICK = {"hold_mask", "trained_quantization", "l1", "taylor_fo"}


def ensemble(distinct):
    """Two networks whose layers have the same names, or others."""

    def make(layer):
        return make_layer(layer, {("name",): f"{layer.name}_b"})

    one, other = toy_model(0), toy_model(1)
    if distinct:
        other = clone(other, make, value=values)[0]
    one.name, other.name = "a", "b"
    images = keras.Input((8, 8, 3))
    return keras.Model(images, layers.Average(name="mean")([one(images), other(images)]))


def some_masks(model):
    generator = np.random.default_rng(0)
    return {path: generator.random(v.shape) < 0.4 for v, path in _kernels(model)}


def _kernels(model):
    paths = weight_paths(model)
    return [(v, paths[id(v)]) for v in model.trainable_variables if v.name == "kernel" and len(v.shape) > 1]


def _members(names):
    return [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.thorough]) for name in names]


@pytest.mark.parametrize("name", _members(MAKERS))
def test_callbacks(name):
    ends = []
    for distinct in (False, True):
        model = ensemble(distinct)
        model.compile(keras.optimizers.SGD(0.02, momentum=0.9), LOSS, jit_compile=False)
        callback = HoldMask(some_masks(model)) if name == "hold_mask" else MAKERS[name][0]()
        model.fit(*toy_data(64), batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=[callback])
        ends.append(model.get_weights())
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", _members(criteria.names()))
def test_criteria(name):
    images, labels = toy_data(16)
    criterion = criteria.get(name)
    scored, single = [], []
    for distinct in (False, True):
        model = ensemble(distinct)
        given = [(images[:8], labels[:8]), (images[8:], labels[8:])], LOSS, 0
        scored.append(list(criterion.score(kp.trace(model), *given).values()))
        try:
            single.append(list(criterion.saliency_of(model, *given).values()))
        except kp.PruneError:
            single.append(None)
    assert len(scored[0]) == len(scored[1]) > 0
    for found in (scored, single):
        for one, other in zip(*(each or () for each in found), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_masks_at_initialisation_and_their_report():
    found = []
    for distinct in (False, True):
        model = ensemble(distinct)
        masks = kp.prune_at_init(model, "l1", keep=0.3, rounds=2)
        assert len(masks) == len({id(v) for v, _ in _kernels(model) if "lanes" not in v.path}) + 2
        found.append([*masks.values(), *kp.sparsity.random_masks(model, 0.5).values()])
    assert all(map(np.array_equal, *found))
    assert [path for path in weight_paths(ensemble(False)).values() if path.startswith("logits/kernel")] == [
        "logits/kernel#1",
        "logits/kernel#2",
    ]


def test_freeze_takes_the_name_of_a_nested_model():
    model = ensemble(False)
    inside = {id(v) for v in model.get_layer("a").weights}
    slim = kp.prune(model, macs=0.7, data=toy_data(32)[0], freeze=["a"], verify=False, verbose=0).slim
    a, b = (slim.get_layer(name) for name in "ab")
    assert [w.shape for w in a.weights] == [w.shape for w in model.get_layer("a").weights]
    assert b.count_params() < model.get_layer("b").count_params()
    masks = kp.prune_at_init(model, "l1", keep=0.5, freeze=["a"])
    paths = weight_paths(model)
    assert not {paths[key] for key in inside} & masks.keys()
    with pytest.raises(kp.PruneError, match="freeze"):
        kp.trace(model, freeze=["c"])


@pytest.mark.matrix
@pytest.mark.parametrize("form", [list, tuple])
def test_outputs_of_one_head(form):
    """A head on two levels: labels and losses in a list are those of its first and its second output."""
    images = keras.Input((16, 16, 3))
    fine = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="fine")(images)
    coarse = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="coarse")(fine)
    head = layers.Conv2D(5, 1, name="head")
    model = keras.Model(images, [head(fine), head(coarse)])
    x = np.random.default_rng(0).normal(size=(16, 16, 16, 3)).astype("float32")
    y = form(np.asarray(each) + 1 for each in model.predict(x, verbose=0))
    model.compile("sgd", ["mse", "mae"], loss_weights=[1.0, 3.0])
    expected = model.evaluate(x, y, verbose=0, batch_size=16)
    assert np.isclose(expected if np.isscalar(expected) else expected[0], 4.0, atol=1e-4)
    scores = kp.criteria.score(criteria.get("taylor_fo"), kp.trace(model), [(x, y)])
    model.compile("sgd", {"head": "mse"})
    assert set(scores) == {"fine"} and all((each >= 0).all() for each in scores.values())
    model.compile("sgd", ["mse", "mse"])
    slim = kp.prune(model, macs=0.6, data=(x, y), epochs=1, verbose=0).slim
    assert [output.shape[1:] for output in slim.outputs] == [(8, 8, 5), (4, 4, 5)]


def test_weights_of_layers_without_a_rule_are_masked():
    """Masks of single weights couple nothing: they reach the layers of users, and `kept` counts them."""

    class Own(layers.Layer):
        def build(self, shape):
            self.table = self.add_weight((shape[-1], 32), name="table")
            self.state = self.add_weight((3, 3), trainable=False, name="state")

        def call(self, x):
            return keras.ops.relu(x @ self.table)

    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(3)(Own(name="own")(layers.Dense(8)(inputs))))
    model.compile("adam", "mse")
    masks = kp.prune_at_init(model, "snip", keep=0.25, data=[(np.ones((4, 8)), np.ones((4, 3)))])
    assert {path.split("/")[-1] for path in masks} == {"kernel", "table"}
    pruning = kp.callbacks.GradualMagnitude(kp.schedules.cubic(keep=0.2, end=8))
    logs = model.fit(np.ones((64, 8)), np.ones((64, 3)), 8, 2, verbose=0, callbacks=[pruning]).history
    zeros = sum(int((values(v) == 0).sum()) for v in model.trainable_variables if len(v.shape) > 1)
    size = sum(int(np.prod(v.shape)) for v in model.trainable_variables if len(v.shape) > 1)
    assert abs(1 - logs["kept"][-1] - zeros / size) < 0.01


@pytest.mark.parametrize("granularity", ["filter", "channel"])
def test_channels_beside_layers_without_a_rule_are_masked(granularity):
    """What a mask of channels does not reach is named with its share, and the rest is masked."""

    class Own(layers.Layer):
        def build(self, shape):
            self.table = self.add_weight((shape[-1], 6), name="table")

        def call(self, x):
            return keras.ops.cumsum(x @ self.table, axis=-1)

    inputs = keras.Input((8,))
    x = layers.Dense(6)(layers.Dense(16, activation="relu", name="wide")(inputs))
    model = keras.Model(inputs, layers.Dense(3)(Own(name="own")(x)))
    model.compile("sgd", "mse")
    pruning = kp.callbacks.GradualMagnitude(kp.schedules.cubic(keep=0.5, end=2), every=1, granularity=granularity)
    share = round(100 * 36 / model.count_params())
    with pytest.warns(UserWarning, match=f"leaves {share}% .*own"):
        model.fit(np.ones((16, 8)), np.ones((16, 3)), 8, 2, verbose=0, callbacks=[pruning])
    made, read = (np.abs(values(layer.kernel)) for layer in model.layers[1:3])
    assert 8 in ((made.sum(axis=0) == 0).sum(), (read.sum(axis=1) == 0).sum())


def test_costs_by_name():
    """Layers of one name are added, so that a ratio of two models is that of both layers."""
    alone, both = (kp.cost(model).macs_by_name for model in (toy_model(0), ensemble(distinct=False)))
    assert both == {name: 2 * macs for name, macs in alone.items()}


def test_names_with_brackets_are_names():
    """As a model has them that another format was converted to; a wildcard matches them otherwise."""
    inputs = keras.Input((4,))
    x = layers.Dense(8, name="block[1]")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="last")(layers.Dense(8, name="block[2]")(x)))
    assert [*kp.trace(model, freeze=["block[1]"]).prunable] == ["block[2]"]
    widths = kp.plan(model, params=0.6, budget=kp.budgets.PerStage({"block[1]": 0.5}), round_to=1).keep
    assert len(widths["block[1]"]) < 8 == len(widths["block[2]"])
