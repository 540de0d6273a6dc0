"""Blocks that a model is better without: dropped where that is measured, and where nothing speaks against it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.planning.budgets.base import Floor
from kerasprune.planning.budgets.plan_request import PlanRequest
from kerasprune.planning.budgets.trials import Trials

BUDGET = {"name": "sensitivity", "samples": 80, "measurements": 12}


@pytest.fixture(scope="module")
def idle():
    """A residual network of two blocks, of which the first adds next to nothing, and examples."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(12, 3, padding="same", activation="relu", name="stem")(x)
    for number in (1, 2):
        branch = layers.Conv2D(12, 3, padding="same", activation="relu", name=f"inner{number}")(x)
        branch = layers.Conv2D(12, 3, padding="same", name=f"outer{number}")(branch)
        x = layers.Activation("relu")(layers.Add(name=f"sum{number}")([x, branch]))
    model = keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))
    outer = model.get_layer("outer1")
    outer.set_weights([array * 1e-3 for array in outer.get_weights()])
    return model, np.random.default_rng(0).normal(size=(80, 8, 8, 3)).astype("float32")


@pytest.mark.thorough
def test_a_block_that_does_nothing_goes_and_leaves_room(idle):
    model, data = idle
    plan, kept = (kp.plan(model, "l2", {**BUDGET, "blocks": blocks}, macs=0.5, data=data) for blocks in (True, False))
    assert plan.removed == ("sum1",) and kept.removed == () and "inner1" not in plan.keep
    assert len(plan.keep["stem"]) > len(kept.keep["stem"])
    trials = Trials(kp.trace(model), data, samples=80)
    assert trials.error(plan) < trials.error(kept)
    assert kp.cost(model, plan).macs <= max(0.5 * kp.cost(model).macs, kp.cost(model, kp.plan(model, macs=0.5)).macs)
    assert kp.verify(model, kp.rebuild(model, plan), plan, strict=True)


def test_parameters_are_counted_without_the_block_too(idle):
    model, data = idle
    plan = kp.plan(model, "l2", BUDGET, params=0.5, data=data)
    assert plan.removed == ("sum1",) and kp.cost(model, plan).params <= 0.52 * kp.cost(model).params


@pytest.mark.thorough
def test_what_is_dropped_is_said(idle):
    model, data = idle
    report = kp.prune(model, macs=0.5, data=data, budget=BUDGET, criterion="l2").report
    assert report.removed == ("sum1",) and "dropped whole: sum1" in str(report)
    plan = kp.Plan.of(kp.trace(model), {}, ["sum1"])
    assert "blocks dropped whole: sum1" in kp.report(model, plan)


def test_blocks_stay_where_channels_are_counted(idle):
    model, data = idle
    assert kp.plan(model, "l2", BUDGET, keep=0.5, data=data).removed == ()


@pytest.mark.thorough
@pytest.mark.parametrize("frozen", ["outer1", "inner1"])
def test_a_block_with_a_frozen_layer_stays(idle, frozen):
    model, data = idle
    assert "sum1" not in kp.plan(kp.trace(model, freeze=[frozen]), "l2", BUDGET, macs=0.6, data=data).removed


@pytest.mark.thorough
@pytest.mark.parametrize("freeze, stays", [((), False), (("net",), True)])
def test_the_blocks_of_a_frozen_model_stay(idle, freeze, stays):
    model = keras.models.clone_model(idle[0])
    model.name, images = "net", keras.Input((8, 8, 3))
    joined = layers.Concatenate()([model(images), layers.Dense(8, name="beside")(layers.Flatten()(images))])
    whole = keras.Model(images, layers.Dense(4)(joined))
    graph = kp.trace(whole, freeze=freeze)
    scores = kp.criteria.score(kp.criteria.get("l1"), graph)
    request = PlanRequest(graph, scores, kp.budgets.get("uniform"), Floor(), "macs", 0.6)
    assert (request.without("sum1") is None) == stays


@pytest.mark.thorough
def test_blocks_of_whose_channels_others_depend_stay():
    """A plain convolution: without it, what it read and what it made are one group, which has another size."""
    keras.utils.set_random_seed(0)
    chain = [layers.Conv2D(6, 3, padding="same", activation="relu", name=f"conv{n}") for n in range(3)]
    end = [layers.GlobalAveragePooling2D(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((6, 6, 3)), *chain, *end])
    graph = kp.trace(model)
    scores = kp.criteria.score(kp.criteria.get("l1"), graph)
    request = PlanRequest(graph, scores, kp.budgets.get("uniform"), Floor(), "macs", 0.5)
    data = np.random.default_rng(0).normal(size=(40, 6, 6, 3)).astype("float32")
    plan = kp.plan(model, budget=BUDGET, macs=0.5, data=data)
    assert kp.verify(model, kp.rebuild(model, plan), plan, strict=True)
    others = [other for name in graph.blocks if (other := request.without(name)) is not None]
    assert others
    for other in others:
        choice = other.met()
        if other.fits(choice):
            kp.rebuild(model, other.plan(choice))
        else:
            with pytest.raises(kp.PruneError):
                kp.rebuild(model, other.plan(choice))


def test_all_that_is_refused_is_refused_before_anything_is_measured(idle):
    model, data = idle
    with pytest.raises(kp.PruneError, match="blocks='no'"):
        kp.plan(model, budget={"name": "sensitivity", "blocks": "no"}, macs=0.5, data=data)


def _u_net(width: int = 8) -> keras.Model:
    """A network whose inner path is a block: without it no channels are left that could be kept instead."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    outer = layers.Conv2D(width, 3, padding="same", activation="relu", name="down")(inputs)
    inner = layers.Conv2D(2 * width, 3, padding="same", activation="relu", name="inner")(layers.MaxPooling2D()(outer))
    x = layers.Concatenate(name="joined")([outer, layers.UpSampling2D()(inner)])
    x = layers.Conv2D(width, 3, padding="same", activation="relu", name="up")(x)
    return keras.Model(inputs, layers.Conv2D(1, 1)(x))


@pytest.mark.thorough
def test_a_block_that_leaves_nothing_to_spend_goes_only_where_narrower_groups_are_worse():
    model, data = _u_net(), np.random.default_rng(0).normal(size=(40, 8, 8, 1)).astype("float32")
    plan, kept = (kp.plan(model, "l2", {**BUDGET, "blocks": blocks}, macs=0.5, data=data) for blocks in (True, False))
    trials = Trials(kp.trace(model), data, samples=80)
    without = kp.Plan.of(kp.trace(model), {}, ["joined"])
    assert trials.error(without) < trials.error(kp.plan(model, "l2", macs=0.5))  # than where it starts from
    assert trials.error(plan) <= trials.error(kept) < trials.error(without)
    assert plan.removed == () and kp.cost(model, plan).macs > 0.45 * kp.cost(model).macs


def test_less_than_was_asked_for_is_said():
    model, data = _u_net(), np.random.default_rng(0).normal(size=(40, 8, 8, 1)).astype("float32")
    kernel, bias = model.get_layer("up").get_weights()
    model.get_layer("up").set_weights([kernel * (np.arange(24) < 8)[:, None], bias])  # nothing of the inner path
    with pytest.warns(UserWarning, match=r"0\.\d+ of the macs are kept instead of macs=0.5: without 'joined'"):
        plan = kp.plan(model, "l2", BUDGET, macs=0.5, data=data)
    assert plan.removed == ("joined",) and kp.cost(model, plan).macs < 0.4 * kp.cost(model).macs
