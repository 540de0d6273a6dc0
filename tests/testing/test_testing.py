"""The checks for users' own methods: good ones pass, and each kind of bad one is caught."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.criteria import Criterion
from kerasprune.graph.kept_channels import kept_number
from kerasprune.graph.rule import table
from kerasprune.planning.budgets import Budget
from kerasprune.planning.budgets.base import Floor
from kerasprune.surgery.comparison import difference, finite_outputs_of, outputs_of
from kerasprune.testing import (
    check_budget,
    check_callback,
    check_criterion,
    check_rebuild,
    check_rule,
    random_inputs,
    random_plan,
    randomise,
)
from kerasprune.testing.criteria import permuted, renamed
from kerasprune.testing.toys import toy_data, toy_model

# ---- criteria --------------------------------------------------------------------------------------------------------


class Norms(Criterion):
    """A good criterion to spoil."""

    def score(self, graph, data=None, loss=None, seed=0):
        return {name: self.spoilt(name, values) for name, values in kp.criteria.get("l1").score(graph).items()}

    def spoilt(self, name, values):
        return values


class NotFinite(Norms):
    def spoilt(self, name, values):
        return np.log(values - values.min())


class TooShort(Norms):
    def spoilt(self, name, values):
        return values[:-1]


class Unseeded(Norms):
    def spoilt(self, name, values):
        return np.random.default_rng().random(values.size)


class ByPlace(Norms):
    def spoilt(self, name, values):
        return np.arange(values.size)


class ByName(Norms):
    def spoilt(self, name, values):
        return values * (1 + len(name))


class Destructive(Norms):
    def score(self, graph, data=None, loss=None, seed=0):
        scores = super().score(graph, data, loss, seed)
        graph.kernels[0].variable.assign(graph.kernels[0].variable * 2)
        return {name: np.ones_like(values) for name, values in scores.items()}


class Incomplete(Norms):
    def score(self, graph, data=None, loss=None, seed=0):
        return dict(list(super().score(graph, data, loss, seed).items())[1:])


class WithoutWeights(Norms):
    """Scores single weights, but none of any kernel."""

    def saliency_of(self, model, data=None, loss=None, seed=0):
        return {}


def test_a_good_criterion_passes():
    check_criterion(Norms())


@pytest.mark.matrix
@pytest.mark.parametrize(
    "criterion, words",
    [
        (NotFinite, "finite scores"),
        (TooShort, "one score for each"),
        (Incomplete, "scores for the prunable groups"),
        (Unseeded, "same scores for the same seed"),
        (Destructive, "not to change the model"),
        (ByName, "under other layer names"),
        (ByPlace, "permuted scores for permuted channels"),
        (WithoutWeights, "weights of every kernel"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_criteria_are_caught(criterion, words):
    with pytest.raises(AssertionError, match=words):
        check_criterion(criterion())


def test_renamed_and_permuted_models_compute_the_same():
    model = toy_model()
    graph = kp.trace(model)
    orders = {name: np.random.default_rng(3).permutation(group.size) for name, group in graph.prunable.items()}
    inputs = random_inputs(model)
    expected = np.asarray(model(inputs, training=False))
    for other in (renamed(model), permuted(graph, orders)):
        np.testing.assert_allclose(other(inputs, training=False), expected, rtol=1e-4, atol=1e-5)
    assert not set(kp.trace(renamed(model)).groups) & set(graph.prunable)


# ---- budgets ---------------------------------------------------------------------------------------------------------


class Even(Budget):
    """A good budget to spoil."""

    def fractions(self, graph, level):
        return dict.fromkeys(graph.prunable, level)


class Lowest(Even):
    """Keeps what matters least."""

    def choose(self, graph, scores, level, floor):
        return super().choose(graph, {name: -values for name, values in scores.items()}, level, floor)


class Emptying(Even):
    """Leaves nothing at low levels."""

    def choose(self, graph, scores, level, floor):
        kept = super().choose(graph, scores, level, floor)
        return {name: indices[: int(level * len(scores[name]))] for name, indices in kept.items()}


class Coarse(Even):
    """Knows two levels only, so that it misses its target."""

    def fractions(self, graph, level):
        return dict.fromkeys(graph.prunable, 1.0 if level > 0.9 else 0.05)


class Floorless(Even):
    """Knows neither min_keep nor round_to."""

    def choose(self, graph, scores, level, floor):
        return super().choose(graph, scores, level, Floor())


class Erratic(Even):
    """Gives a group less where more may stay."""

    def fractions(self, graph, level):
        names = list(graph.prunable)
        return dict.fromkeys(names, level) | {names[1]: 0.8 - 0.3 * level}


class Greedy(Even):
    """Drops channels of pinned groups."""

    def choose(self, graph, scores, level, floor):
        pinned = next(group for group in graph.groups.values() if not group.prunable and group.size > 4)
        return {**super().choose(graph, scores, level, floor), pinned.name: np.arange(2)}


def test_a_good_budget_passes():
    check_budget(Even())


@pytest.mark.parametrize(
    "budget, words",
    [
        (Lowest, "highest scores"),
        (Emptying, "at least one channel"),
        (Coarse, "within one channel"),
        (Erratic, "kept at macs="),
        (Floorless, "in multiples of 4"),
        (Greedy, "must be kept whole"),
    ],
)
def test_bad_budgets_are_caught(budget, words):
    with pytest.raises((AssertionError, kp.PruneError), match=words):
        check_budget(budget(), targets=(0.45, 0.6, 0.75))


# ---- callbacks -------------------------------------------------------------------------------------------------------


class ForgetsItsPenalty(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.model.get_layer("stem_conv").kernel.regularizer = keras.regularizers.L1(1e-3)


class ForgetsItsConstraint(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.model.get_layer("stem_conv").kernel.constraint = keras.constraints.NonNeg()


class Explodes(keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        kernel = self.model.get_layer("stem_conv").kernel
        kernel.assign(kernel / 0.0)


class Freezes(keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        self.model.get_layer("stem_conv").trainable = False


class OncePerCall(keras.callbacks.Callback):
    """Shrinks weights after every call of the hook: eight times less with eight steps per execution."""

    def on_train_batch_end(self, batch, logs=None):
        kernel = self.model.get_layer("stem_conv").kernel
        kernel.assign(kernel * 0.9)


class OneUse(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        if getattr(self, "used", False):
            raise RuntimeError("used before")
        self.used = True


@pytest.mark.thorough
@pytest.mark.parametrize(
    "callback, error, words",
    [
        (ForgetsItsPenalty, AssertionError, "regularizers after the first fit"),
        (ForgetsItsConstraint, AssertionError, "constraints after the first fit"),
        (Explodes, AssertionError, "finite weights"),
        (Freezes, AssertionError, "trainable flags"),
        (OneUse, RuntimeError, "used before"),
        (OncePerCall, AssertionError, "steps_per_execution 1 and 8"),
    ],
)
def test_bad_callbacks_are_caught(callback, error, words):
    with pytest.raises(error, match=words):
        check_callback(callback)


# ---- rules and the oracle --------------------------------------------------------------------------------------------


class Gain:
    """Something that no config holds, and that is no plain value either."""

    def __init__(self, factor):
        self.factor = factor


class Forgetful(layers.Layer):
    """A layer whose config forgets an argument: its copies compute something else, all of them the same."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.gain = Gain(factor)

    def get_config(self):
        return {"name": self.name}

    def call(self, x):
        return keras.ops.tanh(x * self.gain.factor)


def test_a_config_that_forgets_an_argument_is_caught(taught):
    taught(Forgetful, lambda graph, layer, x: x)
    check_rule(Forgetful(), (4, 4, 6), plans=1)
    with pytest.raises(AssertionError, match="to equal the model itself"):
        check_rule(Forgetful(0.3), (4, 4, 6), plans=1)
    inputs = keras.Input((4,))
    x = Forgetful(0.3)(layers.Dense(6, name="hidden")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    with pytest.raises(AssertionError, match="to equal the model itself"):
        check_rebuild(model, kp.Plan({"hidden": [0, 2, 5]}))


@pytest.fixture
def taught():
    """Teaches rules, and forgets them afterwards."""
    rules = table.load()
    before = dict(rules)
    yield lambda cls, function: kp.rule(cls)(function)
    rules.clear()
    rules.update(before)


def test_random_weights_are_those_of_a_copy_that_forgets_nothing_plain():
    class Scaled(layers.Layer):
        def __init__(self, factor=1.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def get_config(self):
            return {"name": self.name}

        def call(self, x):
            return x * self.factor

    inputs = keras.Input((4,))
    assert randomise(keras.Model(inputs, Scaled(0.3, name="scaled")(inputs))).get_layer("scaled").factor == 0.3


# ---- randomness ------------------------------------------------------------------------------------------------------


def test_randomise_is_a_function_of_the_seed_and_leaves_nothing_harmless():
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            layers.Conv2D(5, 3, padding="same"),
            layers.BatchNormalization(),
            layers.PReLU(shared_axes=(1, 2)),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    before = model.get_weights()
    one, same, other = (randomise(model, seed) for seed in (1, 1, 2))
    assert all(map(np.array_equal, before, model.get_weights()))
    assert all(map(np.array_equal, one.get_weights(), same.get_weights()))
    assert not any(map(np.array_equal, one.get_weights(), other.get_weights()))
    assert all(np.unique(weight).size == weight.size for weight in one.get_weights())


def test_random_plan_keeps_what_was_asked():
    graph = kp.trace(toy_model())
    plan = random_plan(graph, low=0.5, high=0.6)
    for name, group in graph.prunable.items():
        assert round(0.5 * group.size) <= len(plan.keep[name]) <= round(0.6 * group.size)
    assert plan == random_plan(graph, low=0.5, high=0.6) != random_plan(graph, 1, low=0.5, high=0.6)
    assert plan.fingerprint == graph.fingerprint


def test_random_inputs_follow_the_model():
    inputs = {
        "tokens": keras.Input((7,), dtype="int32", name="tokens"),
        "image": keras.Input((None, None, 3), name="image"),
    }
    x = layers.GlobalAveragePooling1D()(layers.Embedding(10, 4)(inputs["tokens"]))
    y = layers.GlobalAveragePooling2D()(inputs["image"])
    batch = random_inputs(keras.Model(inputs, layers.Concatenate()([x, y])), batch=3, side=5)
    assert batch["tokens"].shape == (3, 7) and batch["tokens"].dtype == np.int32
    assert batch["image"].shape == (3, 5, 5, 3) and batch["image"].dtype == np.float32


def test_differences_are_those_of_each_output():
    inputs = keras.Input((None, 3))
    outputs = [layers.Rescaling(2.0)(inputs), layers.Rescaling(-1.0)(inputs), inputs[:, 0]]
    others = [layers.Rescaling(2.0)(inputs), layers.Rescaling(-1.5)(inputs), inputs[:, 1:]]
    model, other = keras.Model(inputs, outputs), keras.Model(inputs, others)
    drawn = random_inputs(model, side=5)
    same, half, shape = map(difference, finite_outputs_of(model, drawn), outputs_of(other, drawn))
    assert same.error == 0 and half.error == pytest.approx(0.5) and shape.error == np.inf
    assert same.size == pytest.approx(2 * half.size) and 0 < same.spread < 1


def test_random_inputs_of_whole_numbers_and_truth_values():
    """Integers are no larger than the smallest table in which they are looked up, whatever lies between."""
    inputs = [keras.Input((50,), dtype=dtype) for dtype in ("int32", "int32", "bool")]
    tables = [layers.Embedding(2, 4)(inputs[0] * 1), layers.Embedding(20, 4)(inputs[1])]
    few, many, truths = random_inputs(keras.Model(inputs, [*tables, layers.Identity()(inputs[2])]))
    assert set(np.unique(few)) == {0, 1} and set(np.unique(many)) == set(range(10))
    assert set(np.unique(truths)) == {False, True}


def test_toy_data_fits_the_toy_model():
    images, labels = toy_data(8)
    assert toy_model()(images).shape == (8, 4) and set(labels) <= {0, 1, 2, 3}


def test_kept_numbers_of_the_toy_model_differ():
    """Widths without a common divisor: no two groups lose a channel at the same level, but near 0 and 1."""
    sizes = [group.size for group in kp.trace(toy_model()).prunable.values()]
    assert sorted(sizes) == [13, 17, 19, 23]
    levels = np.linspace(0.1, 0.9, 4001)
    steps = np.array([[kept_number(size, level) for level in levels] for size in sizes])
    assert (np.diff(steps, axis=1) > 0).sum(axis=0).max() <= 1
