"""Greedy removal by least squares, against solving every candidate from scratch; rows against the layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune import criteria
from kerasprune.criteria.elimination import Problem, elimination_errors
from kerasprune.criteria.thinet import _linear, _problems
from kerasprune.testing.randomness import randomise
from kerasprune.testing.toys import toy_data, toy_model


def _least(x: np.ndarray, y: np.ndarray, ridge: float, start: np.ndarray) -> float:
    """The least of ‖XW − Y‖² + ρ‖W − start‖² over W."""
    solution = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y + ridge * start)
    return float(((x @ solution - y) ** 2).sum() + ridge * ((solution - start) ** 2).sum())


def _greedy(problems, size, ridge, steps) -> dict[int, float]:
    """Removes the cheapest channel again and again; every candidate is solved from scratch."""

    def error(gone):
        total = 0.0
        for x, weights, channel in problems:
            stay = ~np.isin(channel, gone)
            fixed = ridge * (weights[~stay] ** 2).sum()  # removed weights are zero
            energy = ((x @ weights) ** 2).sum() + ridge * (weights**2).sum()
            total += (_least(x[:, stay], x @ weights, ridge, weights[stay]) + fixed) / energy
        return total / len(problems)

    gone, found = [], {}
    while len(gone) < steps:
        tried = {c: error([*gone, c]) for c in range(size) if c not in gone}
        best = min(tried, key=tried.get)
        gone.append(best)
        found[best] = tried[best]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_elimination_is_that_of_solving_every_candidate(seed):
    generator = np.random.default_rng(seed)
    problems = []
    for size, outputs, channels, blocks in ((40, 3, 6, 2), (30, 5, 6, 1), (30, 2, 4, 2)):  # the last reads only some
        channel = np.r_[np.repeat(np.arange(channels), blocks), -1, -1]
        x = generator.normal(size=(size, channel.size)) @ generator.normal(size=(channel.size, channel.size))
        problems.append((x, generator.normal(size=(channel.size, outputs)), channel))
    made = [Problem(x.T @ x + 0.5 * np.eye(x.shape[1]), weights, channel) for x, weights, channel in problems]
    expected = _greedy(problems, 6, 0.5, steps=6)
    np.testing.assert_allclose(elimination_errors(made, 6), [expected[c] for c in range(6)], rtol=1e-7)


def test_scores_are_those_of_greedy_removal():
    model, (images, _) = toy_model(2), toy_data(24, 2)
    found = criteria.score(criteria.ThiNet(positions=16, ridge=1e-4), kp.trace(model), [images[:8], images[8:]])
    looks = keras.Model(model.inputs[0], [model.get_layer("last_conv").input, model.get_layer("pool").output])
    into, pooled = (np.asarray(x, "float64") for x in looks(images))
    # lanes_norm → last_conv, whose rows are windows of 3 × 3; the pool → logits
    padded = np.pad(into, [(0, 0), (1, 1), (1, 1), (0, 0)])
    windows = [padded[n, y : y + 3, x : x + 3].ravel() for n in range(24) for y in range(4) for x in range(4)]
    for group, x, kernel in (
        ("wide_conv", np.array(windows), model.get_layer("last_conv").kernel),
        ("last_conv", pooled, model.get_layer("logits").kernel),
    ):
        x, weights = x - x.mean(axis=0), kernel.numpy().astype("float64").reshape(-1, kernel.shape[-1])
        size = len(found[group])
        channel = np.tile(np.arange(size), len(weights) // size)
        expected = _greedy([(x, weights, channel)], size, 1e-4 * (x**2).sum(axis=0).mean(), steps=5)
        assert list(expected) == list(found[group].argsort()[:5])
        np.testing.assert_allclose(found[group][list(expected)], list(expected.values()), rtol=1e-3)


def test_channels_that_are_combinations_of_others_go_first_at_no_error():
    inputs = keras.Input((6,))
    x = layers.Dense(5, name="hidden")(inputs)
    model = randomise(keras.Model(inputs, layers.Dense(3)(x)), 0)
    kernel = model.get_layer("hidden").kernel
    value = kernel.numpy()
    value[:, 1] = 2 * value[:, 3] - value[:, 4]
    kernel.assign(value)
    data = [np.random.default_rng(0).normal(size=(50, 6)).astype("float32")]
    scores = np.sort(criteria.ThiNet(ridge=1e-9).score(kp.trace(model), data)["hidden"])
    assert scores[0] < 1e-6 < 1e-3 < scores[1]
    assert scores[-1] == pytest.approx(1, abs=1e-6)


def test_columns_of_flattened_maps_and_of_grouped_kernels_belong_to_channels():
    inputs = keras.Input((4, 4, 2))
    x = layers.Flatten()(layers.Conv2D(3, 3, name="conv")(inputs))
    graph = kp.trace(keras.Model(inputs, layers.Dense(2, name="logits")(x)))
    (member,) = graph.read_by("conv")
    (problem,) = _problems(_linear(member[0]), member, {id(member[0]): np.eye(12)[None]})
    assert problem.channel.tolist() == [0, 1, 2] * 4
    x = layers.Conv2D(8, 1, groups=2, name="grouped")(layers.Conv2D(6, 1, name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    images = np.random.default_rng(0).normal(size=(9, 4, 4, 2)).astype("float32")
    scores = criteria.score(criteria.ThiNet(positions=16), kp.trace(model), [images])
    assert len(scores["first"]) == kp.trace(model).groups["first"].size
    assert all(each.max() == pytest.approx(1, abs=1e-3) for each in scores.values())


def test_several_readers_are_seen_and_strange_ones_said():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    one = layers.TimeDistributed(layers.Conv1D(2, 3), name="up")(x)
    two = layers.Conv2D(2, 3, padding="same")(x)
    heads = [layers.GlobalAveragePooling2D()(each) for each in (one, two)]
    images, _ = toy_data(4)
    with pytest.warns(UserWarning, match="up read channels too"):
        kp.plan(kp.trace(keras.Model(inputs, heads)), "thinet", keep=0.5, data=[images])
    with pytest.raises(kp.PruneError, match="none after conv"):
        kp.plan(kp.trace(keras.Model(inputs, heads[0])), "thinet", keep=0.5, data=[images])


@pytest.mark.parametrize("bad", [{"positions": 0}, {"samples": None}, {"ridge": 0.0}, {"ridge": "small"}])
def test_arguments_are_checked(bad):
    with pytest.raises(kp.PruneError, match="Received: "):
        criteria.ThiNet(**bad)


def test_dead_groups_and_weights_that_are_not_finite():
    model, (images, labels) = toy_model(), toy_data(8)
    for layer in ("inner_conv", "inner_norm"):
        model.get_layer(layer).set_weights([np.zeros(w.shape) for w in model.get_layer(layer).weights])
    scores = criteria.score(criteria.get("thinet"), kp.trace(model), [(images, labels)])["inner_conv"]
    assert np.isfinite(scores).all()
    kernel = model.get_layer("inner_conv").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(kp.PruneError, match="NaN or infinity into 'outer_conv'"):
        kp.plan(model, "thinet", keep=0.5, data=[images])


@pytest.mark.parametrize("held", [1, 3, 7])
def test_elimination_does_not_depend_on_how_many_removals_are_held_back(held, monkeypatch):
    generator = np.random.default_rng(0)
    channel = np.r_[generator.integers(0, 12, size=30), -1, -1]
    x = generator.normal(size=(60, channel.size)) @ generator.normal(size=(channel.size, channel.size))
    problem = Problem(x.T @ x + 0.5 * np.eye(channel.size), generator.normal(size=(channel.size, 4)), channel)
    expected = elimination_errors([problem], 12)
    monkeypatch.setattr("kerasprune.criteria.elimination._HELD", held)
    np.testing.assert_allclose(elimination_errors([problem], 12), expected, rtol=1e-9)
