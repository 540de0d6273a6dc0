"""The arguments of `kp.prune`: one declaration, plans in two forms, and how often a model is read for them."""

from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import fields

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.graph.builder import GraphBuilder
from kerasprune.steps.settings import OF_PLAN, OF_STEPS, PruneSettings
from kerasprune.surgery.cut import Cut

TAKEN = inspect.signature(kp.prune).parameters


def residual():
    keras.utils.set_random_seed(0)
    x = inputs = layers.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", name="stem")(x)))
    inner = layers.ReLU()(layers.Conv2D(12, 3, padding="same", name="inner")(x))
    x = layers.Add()([x, layers.Conv2D(16, 3, padding="same", name="branch")(inner)])
    x = layers.Dense(3, name="classes")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def model():
    return residual()


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    return random.normal(size=(60, 8, 8, 3)).astype("float32"), random.integers(0, 3, 60)


def test_the_fields_are_the_parameters_in_their_order():
    assert [each.name for each in fields(PruneSettings)] == list(TAKEN) and len(TAKEN) <= 23


def test_what_prune_does_not_take_itself_goes_in_a_dict():
    others = {*inspect.signature(kp.trace).parameters, *inspect.signature(kp.plan).parameters}
    assert others - set(TAKEN) - {"removed"} == set(OF_PLAN)
    for name, keys in OF_STEPS.items():
        assert set(keys) <= set(inspect.signature(getattr(kp, name)).parameters)


def test_a_plan_is_carried_out(model, data):
    plan = kp.plan(model, "l2", keep=0.5)
    slim, taken, report = kp.prune(model, data=data, plan=plan, reconstruct=False, verbose=0)
    for ours, theirs in zip(slim.get_weights(), kp.rebuild(model, plan).get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert taken == plan and report.macs == kp.cost(model, plan).macs / kp.cost(model).macs
    tuned = kp.prune(model, data=data, epochs=1, plan=plan, reconstruct=False, verify=False, verbose=0)
    assert tuned.report.steps[-1].name == "fine-tuned" and tuned.slim.count_params() == slim.count_params()


def test_a_dict_holds_the_other_arguments_of_trace_and_plan(model):
    how = {"coupling": "free", "min_keep": 4, "round_to": 2, "unknown": "freeze"}
    plan = kp.prune(model, keep=0.5, plan=how, reconstruct=False, verbose=0).plan
    graph = kp.trace(model, coupling="free", unknown="freeze")
    assert plan == kp.plan(graph, keep=0.5, min_keep=4, round_to=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"plan": "here", "macs": 0.5}, "plan=Plan.*and macs=0.5"),
        ({"plan": "here", "freeze": ["stem"], "criterion": "l2"}, "criterion='l2', freeze="),
        ({"plan": {"round": 8}}, "Received: 'round'. Did you mean 'round_to'"),
        ({"plan": "plan.json"}, "Expected plan to be None or a dict with coupling"),
        ({"reconstruct": {"sample": 3}}, "Did you mean 'samples'"),
        ({"reconstruct": 1e-3}, "Expected reconstruct to be True or False or a dict"),
        ({"distil": {"plan": None}}, "Expected the keys temperature"),
        ({"verify": "yes"}, "verify"),
        ({"data": "inputs", "epochs": 1, "distil": {"weight": 0.5}}, "Expected labels with distil="),
        ({"plan": {"min_keep": 0}}, "min_keep"),
        ({"plan": {"coupling": "loose"}}, "coupling"),
    ],
)
def test_what_is_wrong_is_named(model, data, arguments, words):
    given = {"plan": kp.plan(model, keep=0.5), "data": data[0]}
    arguments = {
        name: given[name] if isinstance(each, str) and each in ("here", "inputs") else each
        for name, each in arguments.items()
    }
    with pytest.raises(kp.PruneError, match=words):
        kp.prune(model, **arguments, verbose=0)


def test_the_arguments_of_the_steps_arrive(model, data, monkeypatch):
    seen = {}
    reconstruct = importable("kerasprune.steps.repair", "reconstruct_cut", monkeypatch, seen)
    distil = importable("kerasprune.steps.prune", "taught", monkeypatch, seen)
    kp.prune(
        model, keep=0.5, data=data, epochs=1, verify=False, verbose=0,
        reconstruct={"ridge": 0.1, "samples": 20, "slack": 0.0}, distil={"temperature": 2.0},
    )  # fmt: skip
    assert {key: seen[reconstruct][key] for key in ("ridge", "samples", "slack")} == {
        "ridge": 0.1,
        "samples": 20,
        "slack": 0.0,
    }
    assert seen[distil]["temperature"] == 2.0 and seen[distil]["weight"] == 0.9


def importable(module, name, monkeypatch, seen):
    real = getattr(__import__(module, fromlist=[name]), name)

    def watch(*args, **kwargs):
        seen[name] = kwargs
        return real(*args, **kwargs)

    monkeypatch.setattr(f"{module}.{name}", watch)
    return name


def test_what_is_not_verified_is_said(model):
    report = kp.prune(model, keep=0.5, reconstruct=False, verify=False, verbose=0).report
    assert report.verified is None and "not verified" in str(report)
    assert "not verified" not in str(kp.prune(model, keep=0.5, reconstruct=False, verbose=0).report)


def test_the_dense_model_is_read_once_and_the_slim_one_once(data, monkeypatch):
    model = residual()
    traced, cuts = [], Counter()
    finish, post = GraphBuilder.finish, Cut.__init__

    def finishing(self, of, *args, **kwargs):
        traced.append(of)
        return finish(self, of, *args, **kwargs)

    def cutting(self, *args, **kwargs):
        cuts["cut"] += 1
        post(self, *args, **kwargs)

    monkeypatch.setattr(GraphBuilder, "finish", finishing)
    monkeypatch.setattr(Cut, "__init__", cutting)
    slim = kp.prune(model, macs=0.5, data=data, epochs=1, verbose=0).slim
    assert sum(each is model for each in traced) == 1
    assert len(traced) == 2 and traced[1].count_params() == slim.count_params()
    assert cuts["cut"] <= 6


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = layers.Dense(16, "relu"), layers.Dense(3)

    def call(self, x):
        return self.out(self.hidden(x))


def test_subclassed_models_are_written_out_wherever_a_plan_is_used():
    model = Subclassed()
    x = np.random.default_rng(0).normal(size=(20, 6)).astype("float32")
    model(x)
    plan = kp.plan(model, keep=0.5)
    slim = kp.rebuild(model, plan)
    assert sum(map(len, plan.keep.values())) == 8 and kp.report(model, plan).macs == pytest.approx(0.5)
    assert kp.verify(model, slim, plan, reload=False).passed
    assert kp.cost(model, plan).params == slim.count_params()
    solved = kp.reconstruct(slim, model, plan, x)
    masked = kp.mask(model, plan)
    np.testing.assert_allclose(
        kp.mask(model, plan, silence="weights")(x), slim(x), atol=1e-5
    )  # constants of removed channels are folded in
    assert solved.count_params() == slim.count_params() < masked.count_params() == model.count_params()
    assert kp.prune(model, keep=0.5, data=x, reconstruct=False, verbose=0).plan == plan
