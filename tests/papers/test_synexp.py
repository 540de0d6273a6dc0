"""Densities of SynExp against a general convex solver and against the conditions of Karush, Kuhn and Tucker."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.optimize import minimize, nnls

import kerasprune as kp
from kerasprune.papers.synexp.coupled_layers import kernel_costs
from kerasprune.papers.synexp.synexp import densities, expectation


def _solver(alpha, beta, params, macs, cap):
    """Returns the largest Σ log p that sequential quadratic programming finds, in u = log p."""
    limits = [(costs, bound) for costs, bound in ((alpha, params), (beta, macs)) if bound is not None]
    constraints = [
        {
            "type": "ineq",
            "fun": lambda u, c=c, b=b: 1 - c @ np.exp(u) / b,
            "jac": lambda u, c=c, b=b: -c * np.exp(u) / b,
        }
        for c, b in limits
    ]
    start = np.full(len(alpha), np.log(0.5 * min(b / c.sum() for c, b in limits)))
    found = minimize(
        lambda u: -u.sum(),
        np.minimum(start, 0),
        jac=lambda u: -np.ones(len(u)),
        bounds=[(None, 0)] * len(alpha) if cap else None,
        constraints=constraints,
        method="SLSQP",
        options={"maxiter": 2000, "ftol": 1e-14},
    )
    return -found.fun


def _check_conditions(p, alpha, beta, params, macs, cap):
    """Primal and dual feasibility, stationarity, complementary slackness, with multipliers found by least squares."""
    given = [(c / b, b) for c, b in ((alpha, params), (beta, macs)) if b is not None]
    used = np.array([costs @ p for costs, _ in given])
    assert (used <= 1 + 1e-9).all() and (p > 0).all() and (not cap or (p <= 1).all())
    prices = np.stack([costs for costs, _ in given], 1)
    inner = p < 1 - 1e-9 if cap else np.ones(len(p), bool)
    multipliers = nnls(prices[inner] * p[inner, None], np.ones(inner.sum()))[0] if inner.any() else np.zeros(len(given))
    np.testing.assert_allclose((prices @ multipliers * p)[inner], 1, rtol=1e-7)
    assert (prices @ multipliers <= 1 + 1e-7)[~inner].all()
    assert np.abs(multipliers * (1 - used)).max() < 1e-6 * max(multipliers.max(), 1)


def _instances():
    """50 problems: one budget, two of which one may be slack, two that are tight, with a cap and without."""
    generator = np.random.default_rng(0)
    for number in range(50):
        layers = generator.integers(3, 25)
        alpha, beta = 10 ** generator.uniform(1, 6, layers), 10 ** generator.uniform(3, 8, layers)
        cap, kind = number % 2 == 0, number % 3
        shares = generator.uniform([0.02, 0.6], [0.1, 0.95])[:: generator.choice([1, -1])]
        if kind == 1:  # of a point between the two
            price = shares[0] * alpha / alpha.sum() + (1 - shares[0]) * beta / beta.sum()
            p = np.minimum(shares[1] / price / layers, 1)
            shares = np.array([alpha @ p / alpha.sum(), beta @ p / beta.sum()])
        yield alpha, beta, shares[0] * alpha.sum(), None if kind == 2 else shares[1] * beta.sum(), cap


def test_densities_are_those_of_a_general_solver():
    slack = 0
    for alpha, beta, params, macs, cap in _instances():
        p = densities(alpha, beta, params=params, macs=macs, cap=cap)
        assert abs(np.log(p).sum() - _solver(alpha, beta, params, macs, cap)) < 1e-6
        _check_conditions(p, alpha, beta, params, macs, cap)
        slack += macs is not None and min(alpha @ p / params, beta @ p / macs) < 1 - 1e-6
    assert slack >= 5  # problems with a multiplier of zero are among them


@pytest.mark.parametrize(
    "name",
    [
        {"name": "resnet_cifar", "depth": 20, "input_shape": (32, 32, 3)},
        pytest.param({"name": "resnet_imagenet", "depth": 34, "input_shape": (224, 224, 3)}, marks=pytest.mark.slow),
        pytest.param({"name": "mobilenet_v2", "input_shape": (224, 224, 3)}, marks=pytest.mark.slow),
        pytest.param({"name": "efficientnet_b0", "input_shape": (224, 224, 3)}, marks=pytest.mark.slow),
    ],
)
def test_densities_of_real_networks(name):
    graph = kp.trace(kp.models.get(name))
    costs = kernel_costs(graph, graph.kernels, macs=True)
    alpha, beta = costs["params"], costs["macs"]
    for params, macs, cap in ((0.3, None, True), (None, 0.3, True), (0.5, 0.6, True), (0.8, 1.0, False)):
        given = [None if f is None else f * c.sum() for f, c in ((params, alpha), (macs, beta))]
        p = densities(alpha, beta, params=given[0], macs=given[1], cap=cap)
        assert abs(np.log(p).sum() - _solver(alpha, beta, *given, cap)) < 1e-6
        _check_conditions(p, alpha, beta, *given, cap)


def test_one_budget_is_the_papers_closed_form():
    alpha = np.array([5.0, 100.0, 1.0, 40.0])
    p = densities(alpha, params=60)
    level = 27.0  # 5 + 1 + 2·27
    np.testing.assert_allclose(p, np.minimum(level / alpha, 1))
    np.testing.assert_allclose(densities(alpha, params=60, cap=False), 60 / 4 / alpha)
    np.testing.assert_allclose(densities([1, 1], alpha[1:3], macs=50.0), [0.49, 1.0])


def test_everything_stays_where_the_budgets_allow_it():
    assert densities([3, 0, 5], [1, 2, 0], params=8, macs=30).tolist() == [1, 1, 1]
    assert densities([3, 0, 5], params=4)[1] == 1  # what costs nothing stays


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": [1, 2]}, "params, macs or both"),
        ({"alpha": [1, 2], "params": 0}, "params=0"),
        ({"alpha": [1, 2], "params": float("nan")}, "params=nan"),
        ({"alpha": [1, 2], "macs": 3}, "Expected beta"),
        ({"alpha": [1, 2], "beta": [1], "macs": 3}, "'beta': 1"),
        ({"alpha": [1, -2], "params": 1}, "alpha="),
        ({"alpha": "ab", "params": 1}, "alpha='ab'"),
        ({"alpha": [1, 0], "params": 1, "cap": False}, r"\[1\]"),
    ],
)
def test_illegal_problems(arguments, message):
    with pytest.raises(kp.PruneError, match=message):
        densities(**arguments)


def test_expectation_needs_fitting_numbers():
    assert expectation([3, 5, 2], [0.5, 0.2], [2, 3]) == pytest.approx(2 * 2 * (0.5 * 3 * 2) * (0.2 * 5 * 3))
    with pytest.raises(kp.PruneError, match="'widths': 3"):
        expectation([3, 5, 2, 1], [0.5, 0.2], [2, 3])


@pytest.mark.filterwarnings("error")
def test_a_layer_is_free_only_if_no_budget_counts_it():
    both = densities([1, 0], [1, 1], params=1, macs=1.5, cap=False)
    assert both == pytest.approx([0.75, 0.75])
    with pytest.raises(kp.PruneError, match=r"Received: 0 for \[1\]"):
        densities([1, 1], [1, 0], macs=1, cap=False)


def test_frozen_layers_have_no_density_and_are_not_counted():
    units = {"a": 2, "b": 8, "logits": 8}
    layers = [keras.layers.Dense(number, use_bias=False, name=name) for name, number in units.items()]
    model = keras.Sequential([keras.Input((2,)), *layers])
    found = kp.papers.synexp.layer_densities(model, params=0.5, freeze=["logi*"])
    assert {path.split("/")[-2]: density for path, density in found.items()} == {"a": 1.0, "b": 0.375}
    graph = kp.trace(model, freeze=["logits"])
    assert kp.papers.synexp.layer_densities(graph, params=0.5) == found
    with pytest.raises(kp.PruneError, match=r"trace\(model, freeze=…\)"):
        kp.papers.synexp.layer_densities(graph, params=0.5, freeze=["b"])
