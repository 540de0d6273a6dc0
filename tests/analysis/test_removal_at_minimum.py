"""Loss over the weights removed: of a linear model, against least squares over the columns that stay."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(80, 6)) @ RANDOM.normal(size=(6, 6)) * (0.1, 0.2, 0.5, 1, 2, 3)
Y = X @ RANDOM.normal(size=(6, 1)) + 0.5 * RANDOM.normal(size=(80, 1))
DATA = [(X[:50].astype("float32"), Y[:50].astype("float32")), (X[50:].astype("float32"), Y[50:].astype("float32"))]
EXACT = {"name": "obs", "inverse": {"name": "exact", "damping": 1e-9}}
KEEP = (5 / 6, 0.5, 1 / 6)
BEST = np.linalg.lstsq(X, Y, rcond=None)[0]
HESSIAN = 2 * X.T @ X / len(X)


def linear_model() -> keras.Model:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([BEST])
    model.compile(loss="mse")
    return model


def mse(w: np.ndarray) -> float:
    return float(((X @ w - Y) ** 2).mean())


def kept(scores: np.ndarray, keep: float) -> np.ndarray:
    return np.sort(np.argsort(scores.ravel())[::-1][: round(6 * keep)])


@pytest.mark.jax
def test_a_linear_model_against_removing_its_weights_by_hand():
    found = kp.analysis.removal_curve(linear_model(), ["l1", {"name": "obd", "curvature": "exact"}], DATA, keep=KEEP)
    of_weights = np.abs(BEST), np.diag(HESSIAN)[:, None] * BEST**2
    assert kept(of_weights[0], 0.5).tolist() != kept(of_weights[1], 0.5).tolist()
    for (name, losses), scores in zip(found.losses.items(), of_weights, strict=True):
        expected = [mse(np.where(np.isin(np.arange(6), kept(scores, keep))[:, None], BEST, 0)) for keep in KEEP]
        np.testing.assert_allclose(losses, expected, rtol=1e-4, err_msg=name)
    assert found.loss == pytest.approx(mse(BEST), rel=1e-5)
    assert found.gradient_norm < 1e-3


@pytest.mark.jax
def test_the_update_of_obs_is_least_squares_over_what_stays():
    found = kp.analysis.removal_curve(linear_model(), [EXACT], DATA, keep=KEEP)
    scores = BEST.ravel() ** 2 / np.diag(np.linalg.inv(HESSIAN))
    expected = []
    for keep in KEEP:
        stay = kept(scores, keep)
        w = np.zeros((6, 1))
        w[stay] = np.linalg.lstsq(X[:, stay], Y, rcond=None)[0]
        expected.append(mse(w))
    np.testing.assert_allclose(next(iter(found.losses.values())), expected, rtol=1e-4)


def test_the_table_and_the_figure(tmp_path):
    model = linear_model()
    twice = kp.analysis.removal_curve(model, ["l1", "obd", {"name": "obd", "curvature": "exact"}], DATA, keep=(0.5,))
    assert [name[:14] for name in twice.losses] == ["L1", "OBD(curvature=", "OBD(curvature="] and len(twice.losses) == 3
    found = kp.analysis.removal_curve(model, ["l1", "random"], iter(DATA), keep=(0.5,), seed=1)
    assert str(found).splitlines()[0].split() == ["keep", "L1", "Random"]
    assert found.plot(tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert len(found.save(tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()) == 3
    np.testing.assert_array_equal(model.get_weights()[0], BEST.astype("float32"))


def test_bad_arguments():
    with pytest.raises(kp.PruneError, match="keep=0"):
        kp.analysis.removal_curve(linear_model(), ["l1"], DATA, keep=[0])
    with pytest.raises(kp.PruneError, match="scores single weights"):
        kp.analysis.removal_curve(linear_model(), ["fpgm"], DATA)
