"""The optimizer of a fine-tuning: like the one that the model is compiled with, without its memory."""

from __future__ import annotations

import logging

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.data.examples import Examples
from kerasprune.steps.finetune import fit, like
from kerasprune.steps.judge import Judge
from kerasprune.steps.objective import Objective, by_name

EPOCHS, STEPS = 2, 5


def model() -> keras.Model:
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(hidden))


def rates(optimizer: keras.Optimizer) -> list[float]:
    """Returns the first rate, the one in the middle and the last."""
    return [float(optimizer._learning_rate(step)) for step in (0, EPOCHS * STEPS // 2, EPOCHS * STEPS)]


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "RMSprop", "Lion", "Nadam", "Adafactor"])
def test_class_and_settings_are_those_of_the_compiled_one_and_nothing_is_remembered(kind):
    old = getattr(keras.optimizers, kind)(
        2e-3, clipnorm=0.7, use_ema=True, ema_momentum=0.9, gradient_accumulation_steps=2, weight_decay=0.03
    )
    network = model()
    old.build(network.trainable_variables)
    old._iterations.assign(400)
    new = like(old, EPOCHS, STEPS)
    before, after = (each.get_config() | {"learning_rate": None} for each in (old, new))
    assert type(new) is type(old) and before == after and not new.built and int(new.iterations) == 0
    np.testing.assert_allclose(rates(new), [2e-4, 1e-4, 0], atol=1e-10)
    assert float(old.learning_rate) == pytest.approx(2e-3) and int(old.iterations) == 200  # of two batches each


@pytest.mark.parametrize(
    ("rate", "first"),
    [
        (keras.optimizers.schedules.ExponentialDecay(0.02, 10, 0.5), 0.002),
        (keras.optimizers.schedules.CosineDecay(0.0, 1000, warmup_target=0.05, warmup_steps=100), 0.005),
    ],
)
def test_of_a_schedule_the_first_rate_counts_of_a_warm_up_the_highest(rate, first):
    assert rates(like(keras.optimizers.Adam(rate), EPOCHS, STEPS))[0] == pytest.approx(first, rel=1e-3)


def test_sgd_begins_as_ever_with_the_settings_of_the_compiled_one():
    for old, momentum in ((None, 0.9), (keras.optimizers.SGD(0.3), 0.9), (keras.optimizers.SGD(0.3, 0.5), 0.5)):
        new = like(old, EPOCHS, STEPS)
        assert rates(new)[0] == pytest.approx(0.01) and new.momentum == momentum
    clipped = like(keras.optimizers.SGD(0.3, 0.5, nesterov=True, clipvalue=0.1), EPOCHS, STEPS)
    assert clipped.nesterov and clipped.clipvalue == 0.1


def test_loss_scaling_is_left_to_the_policy_and_names_stay_excluded_from_decay():
    inner = keras.optimizers.AdamW(1e-3, weight_decay=0.1)
    inner.exclude_from_weight_decay(var_names=["bias"])
    new = like(keras.optimizers.LossScaleOptimizer(inner), EPOCHS, STEPS)
    assert type(new) is keras.optimizers.AdamW
    excluded = {each.name: new._use_weight_decay(each) for each in model().trainable_variables}
    assert excluded == {"kernel": True, "bias": False}


def test_variables_that_are_excluded_from_decay_are_warned_of():
    network = model()
    old = keras.optimizers.AdamW(1e-3)
    old.exclude_from_weight_decay(var_list=[network.layers[1].bias])
    with pytest.warns(UserWarning, match="excludes 1 variables from weight decay"):
        like(old, EPOCHS, STEPS)
    network.compile(old, "mse")
    with pytest.warns(UserWarning, match="excludes 1 variables from weight decay"):
        kp.rebuild(network, kp.plan(network, keep=0.5), compile="same")


class Rateless(keras.optimizers.Adam):
    """An optimizer that does not say its learning rate, as one that holds several."""

    @property
    def learning_rate(self) -> float:
        raise AttributeError("several rates")


def test_one_that_cannot_be_made_anew_gives_way_to_adam():
    with pytest.warns(UserWarning, match="Rateless cannot be made anew"):
        new = like(Rateless(0.3), EPOCHS, STEPS)
    assert type(new) is keras.optimizers.Adam and rates(new)[0] == pytest.approx(1e-4)


@pytest.mark.experiments
def test_recipes_say_compiled():
    from kerasprune.recipes import learning, optimizers

    old = keras.optimizers.RMSprop(0.01, rho=0.7)
    new = optimizers.optimizer(learning.Compiled(name="compiled"), EPOCHS, STEPS, old)
    assert type(new) is keras.optimizers.RMSprop and new.rho == 0.7 and rates(new)[0] == pytest.approx(1e-3)
    said = learning.Compiled(name="compiled", learning_rate={"name": "cosine", "start": 0.5})
    assert rates(optimizers.optimizer(said, EPOCHS, STEPS, old))[0] == pytest.approx(0.5)


@pytest.mark.thorough
def test_prune_fine_tunes_with_the_optimizer_of_the_model(monkeypatch):
    used = []
    whole = keras.Model.fit

    def fit(self, *args, **kwargs):
        used.append(self.optimizer)
        return whole(self, *args, **kwargs)

    network = model()
    network.compile(keras.optimizers.Adam(3e-3, beta_1=0.8), keras.losses.SparseCategoricalCrossentropy(True))
    generator = np.random.default_rng(0)
    data = generator.normal(size=(40, 6)).astype("float32"), generator.integers(0, 3, 40)
    monkeypatch.setattr(keras.Model, "fit", fit)
    kp.prune(network, keep=0.5, data=data, epochs=1, batch=20)
    kp.prune(network, keep=0.5, data=data, epochs=1, batch=20, optimizer="sgd")
    assert [type(each) for each in used] == [keras.optimizers.Adam, keras.optimizers.SGD]
    assert used[0].beta_1 == 0.8 and float(used[0]._learning_rate(0)) == pytest.approx(3e-4)


@pytest.mark.thorough
@pytest.mark.parametrize("optimizer", [None, "sgd"])
def test_callbacks_may_set_the_rate_and_see_the_examples_held_out(optimizer):
    rates, seen = [], []
    network = model()
    network.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(True))
    generator = np.random.default_rng(0)
    data = generator.normal(size=(40, 6)).astype("float32"), generator.integers(0, 3, 40)
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rates.append(rate) or rate / 2),
        keras.callbacks.ReduceLROnPlateau(factor=0.1, patience=1, min_delta=9.0),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append("val_loss" in logs)),
    ]
    kp.prune(network, 0.5, data, 3, batch=20, optimizer=optimizer, callbacks=callbacks, verbose=0)
    first = 0.01 if optimizer else 3e-4
    assert rates == pytest.approx([first, first / 2, first / 40], rel=1e-3) and seen == [True] * 3


@pytest.mark.thorough
def test_models_that_are_traced_once_each_are_not_said_to_be_traced_too_often(monkeypatch):
    """Keras alone brings TensorFlow to its advice with as many models; judging and fine-tuning them does not."""
    from tensorflow.python.eager.polymorphic_function import polymorphic_function

    said = []

    class Listener(logging.Handler):
        def emit(self, record):
            said.append(record.getMessage())

    listener, logger = Listener(), logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.WARNING)
    logger.addHandler(listener)
    x, y = np.ones((4, 2)), np.zeros((4, 1))
    try:
        for kept in (True, False):
            monkeypatch.setattr(polymorphic_function._frequent_tracing_detector_manager, "_detectors", {})
            for _ in range(6):
                model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
                objective = Objective("mse")
                if kept:
                    Judge(None, objective, Examples((x, y), 4)).metrics(model)
                    fit(model, Examples((x, y), 4), objective, keras.optimizers.SGD(), 1)
                else:
                    objective.compile(model).evaluate(x, y, verbose=0)
            assert any("retracing" in each for each in said) == (not kept), said
        logger.warning("something else")
        assert said[-1] == "something else"
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)


@pytest.mark.parametrize("last", ["a model inside", "an operation", "a cast", "logits"])
def test_a_loss_by_name_takes_what_the_model_ends_in(last):
    inputs = keras.Input((6,))
    dense, layers = keras.layers.Dense, keras.layers
    outputs = {
        "a model inside": lambda: keras.Sequential([keras.Input((6,)), dense(3, "softmax")])(inputs),
        "an operation": lambda: keras.ops.softmax(dense(3)(inputs)),
        "a cast": lambda: layers.Activation("linear", dtype="float32")(dense(3, "softmax")(inputs)),
        "logits": lambda: keras.Sequential([keras.Input((6,)), dense(3)])(inputs),
    }[last]()
    made = by_name("sparse_categorical_crossentropy", keras.Model(inputs, outputs)).loss
    assert made.from_logits == (last == "logits")


def _on_a_base(frozen):
    """A head on a base, which may be frozen."""
    inner = keras.Input((6,))
    base = keras.Model(inner, keras.layers.Dense(8, name="inside", activation="relu")(inner), name="base")
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="head")(base(inputs)))
    for name in frozen:
        model.get_layer(name).trainable = False
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize("frozen", [["base"], ["head"]])
def test_frozen_layers_are_named_before_anything(frozen):
    """Only the others make up for what is removed; the frozen values are those of the cut."""
    data = np.random.default_rng(0).normal(size=(32, 6)), np.arange(32) % 3
    inside = "inside" if frozen == ["base"] else "head"
    with pytest.warns(UserWarning, match=f"frozen, those of {inside}"):
        kp.prune(_on_a_base(frozen), keep=0.5, data=data, epochs=1, reconstruct=False, verbose=0)


def test_nothing_to_train_is_refused_first():
    data = np.random.default_rng(0).normal(size=(32, 6)), np.arange(32) % 3
    model = _on_a_base(["base", "head"])
    with pytest.raises(kp.PruneError, match="all of whose layers are frozen"):
        kp.prune(model, keep=0.5, data=data, epochs=1, verbose=0)
    assert kp.prune(model, keep=0.5, data=data, verbose=0).slim.count_params() < model.count_params()
    for layer in model.layers:
        layer.trainable = True
    kp.prune(model, keep=0.5, data=data, epochs=1, verbose=0)
