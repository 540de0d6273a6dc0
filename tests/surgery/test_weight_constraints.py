"""What is written into a weight obeys its constraint, or its layer is named: a step of rate 0 changes nothing."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import constraints, layers

import kerasprune as kp

X = np.random.default_rng(0).uniform(-1, 1, (200, 6, 6, 3)).astype("float32")


@keras.saving.register_keras_serializable("tests")
class Clipped(constraints.Constraint):
    """Weights between two numbers."""

    def __call__(self, w):
        return keras.ops.clip(w, -0.15, 0.2)


KINDS = {
    "non_neg": lambda axis: constraints.NonNeg(),
    "max_norm": lambda axis: constraints.MaxNorm(0.4, axis=axis),
    "unit_norm": lambda axis: constraints.UnitNorm(axis=axis),
    "min_max_norm": lambda axis: constraints.MinMaxNorm(0.5, 0.8, axis=axis),
    "slow": lambda axis: constraints.MinMaxNorm(0.5, 0.8, rate=0.5, axis=axis),
    "own": lambda axis: Clipped(),
}


def within(model: keras.Model) -> keras.Model:
    """Returns a model whose weights obey their constraints, as after a training."""
    for variable in model.trainable_variables:
        for _ in range(30 if variable.constraint is not None else 0):
            variable.assign(variable.constraint(variable))
    return model


def network(kind: str, bias: str | None = None, norm: bool = False) -> keras.Model:
    keras.utils.set_random_seed(3)
    conv, dense = KINDS[kind]([0, 1, 2]), KINDS[kind](0)
    line = bias and KINDS[bias](0)
    x = layers.Conv2D(12, 3, activation=None if norm else "relu", kernel_constraint=conv, bias_constraint=line)(
        inputs := keras.Input((6, 6, 3))
    )
    if norm:
        x = layers.ReLU()(layers.BatchNormalization(gamma_constraint=KINDS[kind](0))(x))
    x = layers.Conv2D(12, 3, activation="relu", kernel_constraint=conv, bias_constraint=line)(x)
    x = layers.Dense(16, "relu", kernel_constraint=dense, bias_constraint=line)(layers.Flatten()(x))
    model = within(keras.Model(inputs, layers.Dense(4, kernel_constraint=dense)(x)))
    for variable in model.trainable_variables:
        if variable.name in ("bias", "beta"):
            start = np.random.default_rng(len(variable.shape)).uniform(0.02, 0.1, variable.shape)
            variable.assign(start)
    return within(model)


def rebuilt(model):
    return kp.rebuild(model, kp.plan(model, keep=0.5))


def reconstructed(model):
    plan = kp.plan(model, keep=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that of the rebuilt model
        slim = kp.rebuild(model, plan)
    return kp.reconstruct(slim, model, plan, X)


WAYS = {
    "rebuild": rebuilt,
    "reconstruct": reconstructed,
    "prune": lambda model: kp.prune(model, keep=0.5, data=X, verbose=0).slim,
    "cut": lambda model: kp.prune(model, keep=0.5, data=X, reconstruct=False, verbose=0).slim,
    "fold": lambda model: kp.fold(model, kp.plan(model, keep=0.6))[0],
    "equalise": kp.quantization.equalise,
    "correct_biases": lambda model: kp.quantization.correct_biases(model, X),
    "reinitialise": lambda model: kp.surgery.reinitialise(model, seed=1),
    "gates": lambda model: rebuilt(kp.surgery.gated(model)),
}


def check_step_changes_nothing(model, way):
    """Makes a model in one way; a step of rate 0 leaves its outputs as they are, or a warning says that it will not."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        new = WAYS[way](model)
    told = any("constraints" in str(each.message) for each in caught)
    before = np.asarray(new(X))
    for layer in new.layers:
        layer.trainable = not isinstance(layer, layers.BatchNormalization)  # whose statistics a step of any rate moves
    new.compile(keras.optimizers.SGD(0.0), "mse")
    new.fit(X[:32], np.zeros((32, 4), "float32"), batch_size=32, verbose=0)
    moved = np.abs(np.asarray(new(X)) - before).max() / before.std()
    assert told or moved < 5e-3, moved
    return new, told


CASES = [(kind, way) for kind in KINDS for way in WAYS]
FIRST = {("non_neg", "prune"), ("unit_norm", "rebuild"), ("max_norm", "reconstruct"), ("own", "reconstruct")}


@pytest.mark.parametrize(
    ("kind", "way"), [pytest.param(*case, marks=() if case in FIRST else pytest.mark.thorough) for case in CASES]
)
def test_a_step_of_rate_zero_changes_nothing(kind, way):
    _, told = check_step_changes_nothing(network(kind), way)
    assert not told or way in ("rebuild", "cut", "fold", "gates")


@pytest.mark.matrix
@pytest.mark.parametrize("way", ["rebuild", "reconstruct", "fold", "equalise", "correct_biases"])
@pytest.mark.parametrize("kind", KINDS)
def test_biases_and_scales_obey_too(kind, way):
    check_step_changes_nothing(network(kind, bias=kind), way)
    new, told = check_step_changes_nothing(network(kind, norm=True), way)
    gamma = new.layers[2].gamma
    assert told or np.allclose(gamma, gamma.constraint(gamma), atol=2e-3)


@pytest.mark.matrix
@pytest.mark.parametrize("kind", ["non_neg", "max_norm"])
def test_solving_within_a_constraint_is_nearer_than_cutting(kind):
    report = kp.prune(network(kind), keep=0.5, data=X, verbose=0).report
    assert report.steps[-1].name == "reconstructed" and report.steps[-1].error < 0.8 * report.steps[1].error
