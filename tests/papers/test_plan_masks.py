"""A network silenced by values computes what the network of the plan does."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.papers.three_dimensional.plan_masks import PlanMasks
from kerasprune.testing import compare, random_inputs, random_plan, randomise
from kerasprune.training.session import Session

ENDS = {
    "norm": lambda x: layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same")(x)),
    "norm-without-shift": lambda x: layers.BatchNormalization(center=False)(layers.Conv2D(6, 1)(x)),
    "norm-without-scale": lambda x: layers.BatchNormalization(scale=False, center=False)(layers.Conv2D(6, 1)(x)),
    "kernel-and-bias": lambda x: layers.Conv2D(6, 3, padding="same")(x),
    "kernel": lambda x: layers.Conv2D(6, 3, padding="same", use_bias=False)(x),
    "activated": lambda x: layers.Conv2D(6, 1, activation="tanh")(x),
    "quiet": lambda x: layers.Dropout(0.5)(layers.ReLU()(layers.Conv2D(6, 1)(x))),
    "speaks-at-zero": lambda x: layers.Conv2D(6, 1, activation="sigmoid")(x),
    "speaks-afterwards": lambda x: layers.Activation("sigmoid")(layers.Conv2D(6, 1)(x)),
}
NOT = {"norm-without-scale", "speaks-at-zero", "speaks-afterwards"}


def residual(end):
    inputs = keras.Input((5, 5, 3))
    x = layers.Conv2D(6, 1, name="stem")(inputs)
    y = layers.Conv2D(4, 1, activation="relu", name="inner")(x)
    x = layers.Add(name="sum")([x, end(y)])
    x = layers.Add(name="last")([x, layers.Conv2D(6, 1, name="branch")(x)])
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x))))
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("end", ENDS)
def test_a_residual_branch_is_silenced_by_its_last_weights(end):
    model, plan = residual(ENDS[end]), kp.Plan({}, ["sum"])
    if end in NOT:
        with pytest.raises(kp.PruneError, match="'sum' .residual. does not end in a layer whose weights can be zero"):
            PlanMasks(model, "depth")
        return
    shorter, inputs = kp.rebuild(model, plan), random_inputs(model)
    dense = keras.models.clone_model(model)
    dense.set_weights(model.get_weights())
    PlanMasks(model, "depth").assign(plan)
    assert compare(shorter, model, inputs).error < 1e-6
    assert compare(dense, model, inputs).error > 1e-3


def test_before_a_plan_is_given_training_is_as_ever():
    models = [residual(ENDS["norm"]), residual(ENDS["norm"])]
    session = Session(models[0])
    PlanMasks(models[0], "depth").attach(session)
    session.compile()
    for model in models:
        inputs = random_inputs(model)
        model.train_on_batch(inputs, np.zeros((len(inputs), 3)))
    session.detach()
    assert compare(models[1], models[0], inputs).error < 1e-5


def test_channels_are_silenced_in_the_kernels_that_read_them():
    model = residual(ENDS["norm"])
    plan, inputs = random_plan(kp.trace(model)), random_inputs(model)
    expected = kp.mask(model, plan)
    PlanMasks(model, "width").assign(plan)
    assert compare(expected, model, inputs).error < 1e-6


def test_statistics_over_channels_and_plain_blocks_are_refused():
    inputs = keras.Input((5, 4))
    x = layers.LayerNormalization(name="norm")(layers.Dense(6)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Dense(6)(x))))
    with pytest.raises(kp.PruneError, match="norm take statistics over channels"):
        PlanMasks(model, "width")
    inputs = keras.Input((5, 5, 3))
    x = layers.Conv2D(6, 3, padding="same", name="plain")(layers.Conv2D(6, 1)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    with pytest.raises(kp.PruneError, match="'plain' .plain. does not end"):
        PlanMasks(model, "depth")


def test_weights_of_one_path_have_masks_of_their_own_in_the_state():
    inputs, parts = keras.Input((3,)), []
    for name in "ab":
        images = keras.Input((3,))
        own = layers.Dense(2, name="two")(layers.Dense(4, name="one")(images))
        parts.append(keras.Model(images, own, name=name))
    model = keras.Model(inputs, layers.Average()([part(inputs) for part in parts]))
    model.compile("sgd", "mse")
    session = Session(model)
    PlanMasks(model, "width").attach(session)
    assert sum(name.startswith("pruned") for name in session.variables) == 2
