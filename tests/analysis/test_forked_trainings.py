"""Two trainings that fork: against loops of gradient descent by hand, and against what must be 0."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from support.interruption import Killed

import kerasprune as kp

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(48, 3)).astype("float32"), RANDOM.normal(size=(48, 1)).astype("float32")
EPOCHS, BATCH, RATE = 2, 8, 0.05  # 6 steps an epoch
STEPS = len(X) // BATCH


def linear_net() -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False, name="only")])


def relu_net() -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(8, "relu", name="first"), keras.layers.Dropout(0.2), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input((3,)), *layers])


class Fit:
    """Trains by plain gradient descent, in an order that depends on the seed and the epoch; notes the calls."""

    def __init__(self, *, seeded: bool = True) -> None:
        self.calls: list[tuple[int, int, int]] = []
        self._seeded = seeded

    def __call__(self, model, *, resolution, epochs, seed, initial_epoch):
        self.calls.append((initial_epoch, epochs, seed))
        model.compile(keras.optimizers.SGD(RATE, momentum=0.9), "mse")
        for epoch in range(initial_epoch, epochs):
            order = order_of(seed if self._seeded else 7, epoch)
            model.fit(X[order], Y[order], BATCH, epoch + 1, 0, [], shuffle=False, initial_epoch=epoch)
            if model.stop_training:
                break


def order_of(seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(len(X))


def by_hand(w: np.ndarray, seed: int, first: int, last: int) -> np.ndarray:
    """Returns the weights of the linear net after the steps from one to another, by momentum from 0."""
    w, velocity = w.astype("float64"), 0.0
    for step in range(first, last):
        epoch, place = divmod(step, STEPS)
        batch = order_of(seed, epoch)[place * BATCH : (place + 1) * BATCH]
        slope = 2 * X[batch].T @ (X[batch] @ w - Y[batch]) / BATCH
        velocity = 0.9 * velocity - RATE * slope
        w = w + velocity
    return w


def mse(w: np.ndarray) -> float:
    return float(((X @ w - Y) ** 2).mean())


@pytest.mark.jax
@pytest.mark.parametrize(("k", "step"), [("4it", 4), ("8it", 8), ("1ep", 6), ("1ep5it", 11)])
def test_a_convex_loss_against_gradient_descent_by_hand(k, step):
    model, fit = linear_net(), Fit()
    before = model.get_weights()[0].copy()
    (row,) = kp.analysis.instability_from(model, fit, [k], EPOCHS, (X, Y), seeds=[3], points=5).rows
    (_, _, first), (_, _, second), (_, _, third) = fit.calls
    assert len({first, second, third}) == 3
    early = by_hand(before, first, 0, step)
    ends = [by_hand(early, seed, step, EPOCHS * STEPS) for seed in (second, third)]
    expected = [mse(each) for each in ends]
    np.testing.assert_allclose([row["loss_a"], row["loss_b"]], expected, rtol=1e-5)
    assert row["barrier"] == pytest.approx(0, abs=1e-6)
    # The error of a regression is its loss: on a convex line the largest is that of an end.
    assert row["instability"] == pytest.approx(abs(expected[0] - expected[1]) / 2, abs=1e-6)
    assert row["k"] == k and row["seed"] == 3
    np.testing.assert_array_equal(model.get_weights()[0], before)


@pytest.mark.thorough
@pytest.mark.jax
def test_equal_orders_and_the_end_are_stable():
    """Dropout is drawn by the seeds, so equal orders are tried without it."""
    same = kp.analysis.instability_from(linear_net(), Fit(seeded=False), ["2it"], EPOCHS, (X, Y), seeds=[0], points=3)
    assert same.rows[0]["instability"] == same.rows[0]["barrier"] == 0
    fit = Fit()
    found = kp.analysis.instability_from(relu_net(), fit, ["0it", "2ep"], EPOCHS, (X, Y), seeds=[0, 1], points=3)
    assert found.ks == ("0it", "2ep")
    assert all(row["loss_a"] != row["loss_b"] for row in found.rows[:2])
    assert all(row["instability"] == row["barrier"] == 0 for row in found.rows[2:])
    assert [call[:2] for call in fit.calls] == [(0, 2)] * 6  # two seeds fork; then both go to the end only


def test_the_last_step_is_the_end():
    fit = Fit()
    (row,) = kp.analysis.instability_from(linear_net(), fit, [12], EPOCHS, (X, Y), seeds=[0], points=3).rows
    assert row["k"] == "12it" and row["instability"] == 0 and len(fit.calls) == 1


def test_masks_are_applied_where_trainings_fork_and_held():
    model, fit = linear_net(), Fit()
    before, kept = model.get_weights()[0].copy(), np.array([[True], [False], [True]])
    path = model.weights[0].path
    (row,) = kp.analysis.instability_from(
        model, fit, ["3it"], EPOCHS, (X, Y), mask={path: kept}, seeds=[0], points=3
    ).rows
    (_, _, first), *after = fit.calls
    early = by_hand(before, first, 0, 3)
    expected = []
    for _, _, seed in after:
        w, velocity = early * kept, 0.0
        for step in range(3, EPOCHS * STEPS):
            epoch, place = divmod(step, STEPS)
            batch = order_of(seed, epoch)[place * BATCH : (place + 1) * BATCH]
            velocity = 0.9 * velocity - RATE * 2 * X[batch].T @ (X[batch] @ w - Y[batch]) / BATCH
            w = (w + velocity) * kept
        expected.append(mse(w))
    np.testing.assert_allclose([row["loss_a"], row["loss_b"]], expected, rtol=1e-5)
    with pytest.raises(kp.PruneError, match="no variable is called 'other'"):
        kp.analysis.instability_from(model, fit, ["3it"], EPOCHS, (X, Y), mask={"other": kept})


class ByNumPy:
    """Trains the linear net without Keras, in an order from NumPy's own seed; may end like a killed process."""

    def __init__(self, killed_at: int = -1) -> None:
        self.calls, self._killed_at = 0, killed_at

    def __call__(self, model, *, resolution, epochs, seed, initial_epoch):
        if self.calls == self._killed_at:
            raise Killed
        self.calls += 1
        (w,) = model.get_weights()
        for place in (each for _ in range(initial_epoch, epochs) for each in np.random.permutation(len(X))):
            w = w - RATE * X[place, :, None] * (X[place] @ w - Y[place])
        model.set_weights([w])


@pytest.mark.jax
def test_a_resumed_run_gives_the_rows_of_an_uninterrupted_one(tmp_path):
    arguments = {"ks": ["0it", "1ep"], "epochs": EPOCHS, "data": (X, Y), "seeds": [0, 1], "points": 3, "loss": "mse"}

    def found(fit, **changes):
        return kp.analysis.instability_from(linear_net(), fit, **{**arguments, **changes})

    whole = found(ByNumPy())
    with pytest.raises(Killed):
        found(ByNumPy(5), folder=tmp_path)
    resumed = ByNumPy()
    assert found(resumed, folder=tmp_path) == whole
    assert resumed.calls == 6  # of 2 + 2 + 3 + 3; two rows were finished
    assert len({row["loss_a"] for row in whole.rows} | {row["loss_b"] for row in whole.rows}) == 8
    assert found(ByNumPy(0), folder=tmp_path, ks=["1ep"], seeds=[1]).rows == whole.rows[3:]
    with pytest.raises(kp.PruneError, match="epochs=3"):
        found(ByNumPy(), folder=tmp_path, epochs=3)


def test_the_table_and_the_figure(tmp_path):
    rows = [
        {"k": k, "seed": seed, "instability": value, "barrier": 0.0, "error_a": 0.1, "error_b": 0.1}
        for k, values in {"0it": (0.2, 0.4), "1ep": (0.0, 0.0)}.items()
        for seed, value in enumerate(values)
    ]
    found = kp.analysis.Instability(tuple(rows))
    first = found.table()[0]
    assert (first["instability"], first["instability_deviation"]) == pytest.approx((0.3, 0.02**0.5))
    assert "0.3000 ± 0.1414" in str(found).splitlines()[1]
    assert found.plot(tmp_path / "k.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert len(found.save(tmp_path / "rows.csv").read_text(encoding="utf-8").splitlines()) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ks": ["2epochs"]}, "'2epochs'"),
        ({"ks": ["3ep"]}, "k='3ep'"),
        ({"ks": []}, "at least one of ks"),
        ({"epochs": 0}, "epochs=0"),
        ({"fit": None}, "fit=None"),
        ({"ks": ["13it"]}, "13it"),
    ],
)
def test_bad_arguments(arguments, message):
    given = {"fit": Fit(), "ks": ["0it"], "epochs": EPOCHS, **arguments}
    with pytest.raises(kp.PruneError, match=message):
        kp.analysis.instability_from(linear_net(), **given, data=(X, Y))


def test_batchnorm_needs_examples():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    with pytest.raises(kp.PruneError, match="recalibrate=None"):
        kp.analysis.instability_from(model, Fit(), ["0it"], 1, (X, Y))
