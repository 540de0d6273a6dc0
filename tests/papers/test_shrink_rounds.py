"""Shrinking by values against rebuilt networks: at learning rate 0, on the same batches, they are the same."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.callbacks import ShrinkRounds
from kerasprune.testing import check_callback, randomise

SIDE, ROUNDS, EPOCHS, BATCH = 8, 2, 1, 512
BLOCKS = {"name": "discrimination", "classifier": "ridge", "samples": 300}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
MAKERS = {
    "deep": lambda: kp.models.resnet_cifar(depth=14, width=0.25, seed=0),  # two blocks of each stage, of which one goes
    "residual": lambda: kp.models.resnet_cifar(depth=8, width=0.25, seed=0),
    "dense": lambda: kp.models.densenet_cifar(depth=10, growth=6, seed=0),
    "inverted": lambda: kp.models.mobilenet_v2(classes=10, stem="cifar", width=0.25, dropout=0.0, seed=0),
}


def compiled(model: keras.Model, rate: float = 0.0) -> keras.Model:
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), LOSS, metrics=["accuracy"])
    return model


def digits(side: int, split: str, **arguments):
    return kp.data.load("digits", size=side, batch=BATCH, split=split, **arguments)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("family", "dimension"),
    [
        ("deep", "depth"),
        ("residual", "width"),
        ("residual", "resolution"),
        pytest.param("dense", "depth", marks=pytest.mark.slow),
        pytest.param("dense", "width", marks=pytest.mark.slow),
        pytest.param("inverted", "depth", marks=pytest.mark.slow),
        pytest.param("inverted", "width", marks=pytest.mark.slow),
    ],
)
def test_points_are_those_of_rebuilt_networks(family, dimension):
    model = randomise(MAKERS[family](), 0)
    arguments = {
        "rounds": ROUNDS,
        "keep": 0.6,
        "epochs_per_round": EPOCHS,
        "size": SIDE,
        "data": list(digits(SIDE, "validation")),
        "blocks": BLOCKS,
    }
    calls = []

    def fit(slim: keras.Model, *, resolution: int, epochs: int, seed: int) -> float:
        compiled(slim)
        slim.fit(digits(resolution, "train", first_epoch=len(calls) * epochs), epochs=epochs, shuffle=False, verbose=0)
        calls.append(resolution)
        return slim.evaluate(digits(resolution, "validation"), verbose=0, return_dict=True)["accuracy"]

    rebuilt = kp.papers.three_dimensional.rounds(model, fit, dimension, **arguments)
    callback = ShrinkRounds(dimension, **arguments)
    sized = {"sizes": callback.sizes, "epochs_per_round": EPOCHS, "batch": BATCH}
    before = [w.numpy() for w in model.trainable_weights]
    compiled(model).fit(
        kp.data.rounds("digits", **sized),
        validation_data=kp.data.rounds("digits", split="validation", **sized),
        epochs=ROUNDS * EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=[callback],
    )
    assert len(callback.points) == ROUNDS and callback.sizes == calls
    for ours, theirs in zip(callback.points, rebuilt, strict=True):
        assert ours.accuracy == pytest.approx(theirs.accuracy, abs=1e-6)
        assert (ours.d, ours.w, ours.r, ours.macs, ours.params, ours.side) == (
            theirs.d, theirs.w, theirs.r, theirs.macs, theirs.params, theirs.side,
        )  # fmt: skip
        assert ours.plan == theirs.plan
    assert min(ours.macs for ours in callback.points) < 0.9 * kp.cost(model, size=SIDE).macs
    images = next(iter(digits(callback.sizes[-1], "validation")))[0]
    expected = rebuilt[-1].model(images).numpy()
    alone = kp.rebuild(model, callback.plan, absorb=False)(images).numpy()
    scale = np.abs(expected).max()
    assert np.ptp(expected, axis=0).min() > 1e-3 * scale  # the outputs tell the images apart
    np.testing.assert_allclose(alone, expected, atol=1e-5 * scale)
    np.testing.assert_allclose(model(images).numpy(), expected, atol=1e-5 * scale)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.trainable_weights, strict=True)]
    assert any(changed) == (dimension != "resolution")


@pytest.mark.thorough
def test_what_is_silent_stays_silent_while_the_rest_learns():
    model = compiled(randomise(MAKERS["residual"](), 0), rate=0.05)
    train = digits(SIDE, "train")
    model.fit(train, epochs=1, verbose=0, shuffle=False)  # momentum that would bring weights back
    callback = ShrinkRounds("width", 1, keep=0.5, epochs_per_round=2, size=SIDE, monitor="accuracy")
    model.fit(train, epochs=2, verbose=0, shuffle=False, callbacks=[callback])
    images = next(iter(train))[0]
    slim = kp.rebuild(model, callback.plan, absorb=False)
    np.testing.assert_allclose(model(images), slim(images), rtol=1e-4, atol=1e-4)
    assert slim.count_params() < 0.4 * model.count_params()
    assert all(variable.constraint is None for variable in model.variables)


@pytest.mark.thorough
def test_it_leaves_nothing_behind():  # in depth; in width see test_registered.py
    images = np.random.default_rng(0).normal(size=(40, 8, 8, 3)).astype("float32")
    data = [(images, np.arange(40) % 4)]
    check_callback(
        lambda: ShrinkRounds(
            "depth", 2, keep=0.5, epochs_per_round=1, monitor="loss", data=data, blocks={**BLOCKS, "samples": 40}
        )
    )


@pytest.mark.thorough
def test_bad_use_is_an_error():
    model = compiled(kp.models.resnet_cifar(depth=8, width=0.25))
    train = digits(SIDE, "train")

    def fit(callback, epochs=2, used=model):
        used.fit(train, epochs=epochs, verbose=0, callbacks=[callback])

    with pytest.raises(kp.PruneError, match="= 8 epochs. Received: epochs=2"):
        fit(ShrinkRounds("width", 4, epochs_per_round=2, size=SIDE))
    with pytest.raises(kp.PruneError, match="leaves it free"):
        fit(ShrinkRounds("width", 2, epochs_per_round=1))
    with pytest.raises(kp.PruneError, match="'val_accuracy' among the logs.*validation_data"):
        fit(ShrinkRounds("width", 2, epochs_per_round=1, size=SIDE))
    with pytest.raises(kp.PruneError, match="data=None"):
        fit(ShrinkRounds("depth", 2, epochs_per_round=1, size=SIDE))
    with pytest.raises(kp.PruneError, match="size=None"):
        _ = ShrinkRounds("resolution", 2, epochs_per_round=1).sizes
    for wrong in ({"dimension": "hight"}, {"keep": 0}, {"rounds": 0}, {"epochs_per_round": 0}):
        with pytest.raises(kp.PruneError, match="Received"):
            ShrinkRounds(**{"dimension": "width", **wrong})
    assert all(variable.constraint is None for variable in model.variables)
    fixed = compiled(kp.models.resnet_cifar(depth=8, width=0.25, input_shape=(SIDE, SIDE, 3)))
    with pytest.raises(kp.PruneError, match="free input side"):
        fit(ShrinkRounds("resolution", 2, epochs_per_round=1, monitor="loss"), used=fixed)


@pytest.mark.thorough
def test_a_round_that_fails_leaves_no_masks():
    class Broken(kp.criteria.L1):
        def score(self, graph, data=None, loss=None, seed=0):
            seen.append(graph)
            if len(seen) > 1:
                raise RuntimeError("no scores")
            return super().score(graph, data, loss, seed)

    seen = []
    model = compiled(MAKERS["residual"]())
    callback = ShrinkRounds("width", 2, epochs_per_round=1, size=SIDE, channels=Broken(), monitor="loss")
    with pytest.raises(RuntimeError, match="no scores"):
        model.fit(digits(SIDE, "train"), epochs=2, verbose=0, callbacks=[callback])
    assert len(callback.points) == 1
    assert all(variable.constraint is None for variable in model.variables)


@pytest.mark.thorough
def test_networks_without_blocks_have_width():
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, use_bias=False)(inputs)))
    model = compiled(keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x))))
    callback = ShrinkRounds("width", 2, keep=0.5, epochs_per_round=1, monitor="loss")
    model.fit(digits(SIDE, "train"), epochs=2, verbose=0, callbacks=[callback])
    assert [(point.d, point.w) for point in callback.points] == [(1, 0.75), (1, 0.5)]
    callback = ShrinkRounds("depth", 2, epochs_per_round=1, monitor="loss")
    with pytest.raises(kp.PruneError, match="blocks that can be dropped"):
        model.fit(digits(SIDE, "train"), epochs=2, verbose=0, callbacks=[callback])


def test_what_values_cannot_do_is_said():
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="block")(x)
    x = layers.LayerNormalization()(layers.Conv2D(6, 3)(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = compiled(keras.Model(inputs, layers.Dense(10)(x)))
    for dimension, message in (("depth", "'block' .plain. does not end"), ("width", "statistics over channels")):
        callback = ShrinkRounds(dimension, 2, epochs_per_round=1, channels="l1", monitor="loss")
        with pytest.raises(kp.PruneError, match=message):
            model.fit(digits(SIDE, "train"), epochs=2, verbose=0, callbacks=[callback])


def test_a_fit_that_ends_before_the_last_round_is_said_and_a_criterion_has_the_loss():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(8, "relu"), layers.Dense(2)])
    model.compile("sgd", "mse")
    x, y = np.ones((8, 4), "float32"), np.ones((8, 2), "float32")
    how = {"epochs_per_round": 1, "monitor": "loss", "channels": "taylor_fo", "data": [(x, y)]}
    callback = ShrinkRounds("width", 3, keep=0.25, **how)
    with pytest.warns(UserWarning, match="was to take 3 rounds of 1 epochs; fit ended after 2"):
        model.fit(x, y, epochs=3, initial_epoch=1, verbose=0, callbacks=[callback])
    assert [point.w for point in callback.points] == [0.75, 0.5] and not callback.finished
