"""A fit that goes on is not one that begins: every masking callback, continued in three ways, keeps its zeros."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.callbacks import GradualMagnitude, HoldMask, IterativeMagnitude, LearningRateRewinding, Resume

X = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
STEPS = 8  # an epoch


def network(optimizer: str = "adam") -> keras.Model:
    keras.utils.set_random_seed(0)
    stack = [layers.Dense(12, activation="relu", name="a"), layers.Dense(12, activation="relu", name="b")]
    model = keras.Sequential([keras.Input((6,)), *stack, layers.Dense(1, name="c")], name="net")
    model.compile(optimizer, "mse")
    return model


def fitted(model: keras.Model, *callbacks, **given) -> list[str]:
    """Trains, and returns what was warned of."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        given = {"epochs": 4, "batch_size": STEPS, "shuffle": False, "verbose": 0, **given}
        model.fit(X, X[:, :1], callbacks=list(callbacks), **given)
    return [str(each.message) for each in heard if issubclass(each.category, UserWarning)]


def zeros(model: keras.Model) -> dict[str, np.ndarray]:
    return {layer.name: ops.convert_to_numpy(layer.kernel) == 0 for layer in model.layers}


def share(model: keras.Model) -> float:
    return float(np.mean(np.concatenate([each.ravel() for each in zeros(model).values()])))


def given_masks(model: keras.Model):
    rng, kernels = np.random.default_rng(1), [model.get_layer(name).kernel for name in "ab"]
    return HoldMask({kernel.path: rng.random(kernel.shape) < 0.4 for kernel in kernels})


CALLBACKS = {
    "cubic": lambda model: GradualMagnitude(kp.schedules.cubic(keep=0.1, end=48), every=3),
    "epochs": lambda model: GradualMagnitude(kp.schedules.cubic(keep=0.2, end="6ep"), every=4, scope="global"),
    "over": lambda model: GradualMagnitude(kp.schedules.cubic(keep=0.3, end=16), every=4),
    "function": lambda model: GradualMagnitude(lambda step: max(0.2, 1 - step / 40), every=4),
    "filters": lambda model: GradualMagnitude(kp.schedules.linear(keep=0.3, end=48), every=4, granularity="filter"),
    "pattern": lambda model: GradualMagnitude(every=1, scope={"name": "pattern", "keep": 2, "of": 4}),
    "rounds": lambda model: IterativeMagnitude(rounds=3, keep_per_round=0.6),
    "rates": lambda model: LearningRateRewinding(rounds=3, keep_per_round=0.6),
    "held": given_masks,
}


def same_callback(model, make, path):
    callback = make(model)
    fitted(model, callback)
    yield model
    fitted(model, callback, epochs=5 if "Grad" in repr(callback) else 4)
    yield model


def loaded(model, make, path):
    fitted(model, make(model))
    yield model
    model.save(path / "last.keras")
    model = keras.models.load_model(path / "last.keras")
    fitted(model, make(model), initial_epoch=4, epochs=5)
    yield model


def compiled_again(model, make, path):
    fitted(model, make(model))
    yield model
    model.compile("adam", "mse")
    fitted(model, make(model), epochs=1)
    yield model


def resumed(model, make, path):
    fitted(model, make(model), Resume(path), epochs=8 if isinstance(make(model), IterativeMagnitude) else 4)
    yield model
    model = network()
    fitted(model, make(model), Resume(path), epochs=8)
    yield model


WAYS = [same_callback, loaded, compiled_again, resumed]
DEFAULT = [("cubic", loaded)]


@pytest.mark.parametrize(
    ("name", "way"),
    [
        (name, way) if (name, way) in DEFAULT else pytest.param(name, way, marks=pytest.mark.thorough)
        for name in CALLBACKS
        for way in WAYS
    ],
)
def test_pruned_weights_do_not_come_back(name, way, tmp_path):
    going = way(network(), CALLBACKS[name], tmp_path)
    before = zeros(next(going))
    assert np.mean(np.concatenate([each.ravel() for each in before.values()])) > 0.2
    after = zeros(next(going))
    for name, removed in before.items():
        assert not (removed & ~after[name]).any(), name


def test_the_schedule_goes_on_from_the_step_of_the_optimizer(tmp_path):
    whole, make = network(), CALLBACKS["cubic"]
    fitted(whole, make(whole), epochs=6)
    part = network()
    fitted(part, make(part))
    part.save(tmp_path / "last.keras")
    part = keras.models.load_model(tmp_path / "last.keras")
    fitted(part, make(part), initial_epoch=4, epochs=6)
    assert share(part) == pytest.approx(share(whole)) and share(part) > 0.8


@pytest.mark.parametrize("name", ["penalty", "rounds"])
def test_a_schedule_that_begins_in_a_later_epoch_says_so(name, tmp_path):
    make = CALLBACKS.get(name, lambda _: kp.callbacks.GReg1(keep=0.5, strict=False).compressed(40))

    def late(model: keras.Model, *callbacks, first: int = 4) -> int:
        found = fitted(model, *callbacks, initial_epoch=first, epochs=first + 4)
        return sum("The fit begins with epoch 4" in each for each in found)

    model = network("sgd")
    callback = make(model)
    assert late(model, callback, first=0) == late(model, callback) == 0  # it goes on
    assert late(network("sgd"), make(model)) == 1
    assert late(network("sgd"), make(model), Resume(tmp_path)) == 0
    assert late(network("sgd"), CALLBACKS["cubic"](model)) == 0  # it follows the step of the optimizer


def test_zeros_of_an_initializer_are_trained():
    model = network()
    kernel = model.get_layer("b").kernel
    kernel.assign(np.eye(12))
    callback = GradualMagnitude(kp.schedules.cubic(keep=0.9, begin=100, end=200), every=50)
    fitted(model, callback, epochs=1)
    assert np.mean(ops.convert_to_numpy(kernel) == 0) < 0.5


def test_many_short_fits_are_one_training_and_say_each_thing_once():
    model, callback = network(), GradualMagnitude(kp.schedules.cubic(keep=0.2, end=3), every=1)
    said = [fitted(model, callback, epochs=1, batch_size=64) for _ in range(5)]
    assert share(model) > 0.7
    assert ["ends after 3" in word for words in said for word in words] == [True, False]
    assert "in an earlier fit" in said[3][0]
    assert fitted(model, callback.reset(), epochs=1, batch_size=64)


@pytest.mark.parametrize("make", [CALLBACKS["rounds"], pytest.param(CALLBACKS["rates"], marks=pytest.mark.thorough)])
def test_rounds_that_begin_on_pruned_weights_say_so(make, tmp_path):
    model = network()
    assert not any("begins its 3 rounds" in each for each in fitted(model, make(model)))
    model.save(tmp_path / "last.keras")
    model = keras.models.load_model(tmp_path / "last.keras")
    assert any("0.215 of the weights: " in each and "Resume" in each for each in fitted(model, make(model)))
    assert not any("begins its 3 rounds" in each for each in fitted(network(), make(model), Resume(tmp_path / "kept")))


@pytest.mark.parametrize("name", CALLBACKS)
def test_weights_that_are_not_finite_are_refused(name):
    model = network()
    model.layers[0].kernel.assign(np.full((6, 12), np.nan))
    with pytest.raises(kp.PruneError, match="finite weights"):
        fitted(model, CALLBACKS[name](model), epochs=1)
