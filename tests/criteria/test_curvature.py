"""Second derivatives and what they say of removing weights, against differences in NumPy and against removing them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from scipy.stats import spearmanr
from support.two_layer import KERNELS, cross_entropies, network, numbers, outputs, probabilities, slopes

import kerasprune as kp
from kerasprune import criteria
from kerasprune.criteria import OBD, OBS, EmpiricalFisher, ExactDiagonal, GaussNewton, WoodburyInverse, obs_update
from kerasprune.criteria.block_fisher import inverted_diagonal

# These run on JAX too, by the path of this file; continuous integration runs test_gradients.py there.
pytestmark = pytest.mark.torch
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
GENERATOR = np.random.default_rng(0)
X, Y = GENERATOR.normal(size=(12, 4)).astype("float32"), GENERATOR.integers(0, 3, 12)
NEWTON = {"name": "gauss_newton", "samples": None}
DATA = [(X[:7], Y[:7]), (X[7:], Y[7:])]


def close(found, expected, tolerance=1e-3):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


# ---- curvatures ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def net():
    model = network()
    return model, numbers(model), [model.get_layer(name).kernel for name in KERNELS]


def test_exact_diagonal(net):
    model, p, kernels = net
    found = ExactDiagonal().diagonal(model, kernels, DATA, LOSS, 0)

    def loss(p):
        return cross_entropies(p, X, Y).mean()

    for kernel in kernels:
        expected = np.zeros(kernel.shape)
        for place in np.ndindex(*kernel.shape):
            values = []
            for move in (1e-4, 0, -1e-4):
                moved = {**p, kernel.path: p[kernel.path].copy()}
                moved[kernel.path][place] += move
                values.append(loss(moved))
            expected[place] = (values[0] - 2 * values[1] + values[2]) / 1e-8
        close(found[id(kernel)], expected)
    with pytest.raises(kp.PruneError, match=r"at most 34 weights.*Received: 35 in 'two_layers'. Use curvature="):
        ExactDiagonal(most=34).diagonal(model, kernels, DATA, LOSS, 0)


@pytest.mark.thorough
def test_gauss_newton(net):
    model, p, kernels = net
    exact = GaussNewton(samples=None).diagonal(model, kernels, DATA, LOSS, 0)
    drawn = GaussNewton(samples=30).diagonal(model, kernels, DATA, LOSS, 0)
    one, again, other = (GaussNewton(examples=3).diagonal(model, kernels, DATA, LOSS, seed) for seed in (0, 0, 1))
    q = probabilities(outputs(p, X))
    curvature = np.einsum("ik,kl->ikl", q, np.eye(3)) - q[:, :, None] * q[:, None, :]
    for kernel in kernels:
        slope = slopes(lambda p: outputs(p, X), p, kernel.path)
        expected = np.einsum("abik,ikl,abil->ab", slope, curvature, slope) / len(X)
        close(exact[id(kernel)], expected)
        close(drawn[id(kernel)], expected, 0.25)
        np.testing.assert_array_equal(one[id(kernel)], again[id(kernel)])
        assert (one[id(kernel)] != other[id(kernel)]).any()
    with pytest.raises(kp.PruneError, match="at most 2 outputs of one example, for Gauss–Newton. Received: 3. Use"):
        GaussNewton(most=2).diagonal(model, kernels, DATA, LOSS, 0)


def test_empirical_fisher(net):
    model, p, kernels = net
    found = EmpiricalFisher().diagonal(model, kernels, DATA, LOSS, 0)
    first = EmpiricalFisher(examples=9).diagonal(model, kernels, DATA, LOSS, 0)
    for kernel in kernels:
        each = slopes(lambda p: cross_entropies(p, X, Y), p, kernel.path)
        close(found[id(kernel)], (each**2).mean(axis=-1))
        close(first[id(kernel)], (each[..., :9] ** 2).mean(axis=-1))


@pytest.mark.thorough
@pytest.mark.parametrize("curvature", ["exact", NEWTON, "empirical_fisher"])
def test_obd_weighs_squares_by_curvature(net, curvature):
    model, p, kernels = net
    diagonal = OBD(curvature).curvature.diagonal(model, kernels, DATA, LOSS, 0)
    expected = 0.5 * diagonal[id(kernels[0])] * p["hidden/kernel"] ** 2
    close(OBD(curvature).saliency_of(model, DATA, LOSS)["hidden/kernel"], expected, 1e-5)
    close(OBD(curvature).score(kp.trace(model), DATA, LOSS)["hidden"], expected.sum(axis=0), 1e-5)


# ---- a quadratic: brute force -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quadratic():
    """A linear model at the minimum of its squared error, and that error as a function of the weights."""
    x = GENERATOR.normal(size=(40, 6)) @ GENERATOR.normal(size=(6, 6))  # correlated, so that the others can make up
    y = x @ GENERATOR.normal(size=(6, 2)) + GENERATOR.normal(size=(40, 2))
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2, use_bias=False, name="linear")(inputs))
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    model.get_layer("linear").kernel.assign(best)

    def loss(w):
        return ((x @ w - y) ** 2).mean()

    return model, best, loss, x, y, [(x[:25].astype("float32"), y[:25]), (x[25:].astype("float32"), y[25:])]


def removals(best):
    for place in np.ndindex(best.shape):
        stay = np.ones(best.shape, bool)
        stay[place] = False
        yield stay


def resolved(stay, x, y):
    """The best weights where some are 0, one output after the other."""
    new = np.zeros(stay.shape)
    for output, those in enumerate(stay.T):
        new[those, output] = np.linalg.lstsq(x[:, those], y[:, output], rcond=None)[0]
    return new


def test_obd_is_the_rise_of_a_quadratic(quadratic):
    model, best, loss, _, _, data = quadratic
    rise = [loss(best * stay) - loss(best) for stay in removals(best)]
    found = OBD("exact").saliency_of(model, data, "mse")["linear/kernel"].ravel()
    close(found, rise)
    assert spearmanr(found, rise).statistic == pytest.approx(1)


@pytest.mark.thorough
def test_obs_is_the_rise_of_a_quadratic_that_is_solved_anew(quadratic):
    model, best, loss, x, y, data = quadratic
    exact = {"name": "exact", "damping": 1e-7}
    rise = [loss(resolved(stay, x, y)) - loss(best) for stay in removals(best)]
    found = OBS(exact).saliency_of(model, data, "mse")["linear/kernel"].ravel()
    close(found, rise)
    assert spearmanr(found, rise).statistic == pytest.approx(1)
    for stay in [*removals(best)][:3] + [GENERATOR.random(best.shape) < 0.5]:
        new = obs_update(model, {"linear/kernel": stay}, data, "mse", exact)["linear/kernel"]
        close(new, resolved(stay, x, y))
        assert not new[~stay].any()
        (surface,) = OBS(exact).inverse.surfaces(model, model.trainable_variables, data, "mse")
        assert surface.together(np.flatnonzero(~stay)) == pytest.approx(loss(new) - loss(best), rel=1e-3)
    np.testing.assert_array_equal(model.get_weights()[0], best.astype("float32"))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras computes in float32 elsewhere")
def test_in_double_precision_hardly_any_damping_is_needed(quadratic):
    model, best, _, x, y, _ = quadratic
    x, y, stay = x.astype("float32"), y.astype("float32"), GENERATOR.random(best.shape) < 0.5
    model.get_layer("linear").kernel.assign(np.linalg.lstsq(x.astype("float64"), y, rcond=None)[0])
    exact = {"name": "exact", "damping": 1e-12, "precision": "float64"}
    new = obs_update(model, {"linear/kernel": stay}, [(x, y)], "mse", exact)["linear/kernel"]
    close(new, resolved(stay, x.astype("float64"), y), 1e-6)
    model.get_layer("linear").kernel.assign(best)


def test_masks_that_fit_no_kernel_are_refused(quadratic):
    model, *_, data = quadratic
    with pytest.raises(kp.PruneError, match="'lineal/kernel'. Did you mean 'linear/kernel'"):
        obs_update(model, {"lineal/kernel": np.ones((6, 2))}, data, "mse")
    with pytest.raises(kp.PruneError, match=r"shape \(6, 2\) for 'linear/kernel'. Received: shape \(6,\)"):
        obs_update(model, {"linear/kernel": np.ones(6)}, data, "mse")
    with pytest.raises(kp.PruneError, match="Expected masks"):
        obs_update(model, {}, data, "mse")


# ---- the low-rank inverse -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fisher(net):
    """The damped empirical Fisher matrix of the first kernel in NumPy, the model and the weights."""
    model, p, _ = net
    rows = slopes(lambda p: cross_entropies(p, X, Y), p, "hidden/kernel").reshape(-1, len(X)).T
    matrix = rows.T @ rows / len(X)
    return model, p["hidden/kernel"], rows, matrix + 0.1 * np.diag(matrix).mean() * np.eye(len(matrix))


def test_woodbury_is_the_inverse(fisher):
    model, weights, _, matrix = fisher
    inverse, flat = np.linalg.inv(matrix), weights.ravel()
    assert WoodburyInverse(examples=128) == OBS().inverse
    close(OBS().saliency_of(model, DATA, LOSS)["hidden/kernel"].ravel(), flat**2 / np.diag(inverse) / 2)
    filters = np.arange(flat.size).reshape(weights.shape).T
    blocks = [inverse[np.ix_(one, one)] for one in filters]
    expected = [flat[one] @ np.linalg.inv(block) @ flat[one] / 2 for one, block in zip(filters, blocks, strict=True)]
    close(OBS().score(kp.trace(model), DATA, LOSS)["hidden"], np.array(expected))
    stay = GENERATOR.random(weights.shape) < 0.6
    gone = ~stay.ravel()
    moved = flat - inverse[:, gone] @ np.linalg.solve(inverse[np.ix_(gone, gone)], flat[gone])
    found = obs_update(model, {"hidden/kernel": stay}, DATA, LOSS)
    assert list(found) == ["hidden/kernel"]
    close(found["hidden/kernel"].ravel(), moved)
    assert (found["hidden/kernel"][~stay] == 0).all()


def test_block_fisher_is_the_recursion_of_the_paper(fisher):
    """WoodFisher, equation 9: rank-one updates of the inverse, one for each example, in each block."""
    model, weights, rows, matrix = fisher
    damp = matrix[0, 0] - (rows[:, 0] ** 2).mean()
    expected = np.empty(weights.shape)
    for one in range(weights.shape[1]):
        inverse = np.eye(len(weights)) / damp
        for row in rows.reshape(len(rows), *weights.shape)[:, :, one]:
            pushed = inverse @ row
            inverse -= np.outer(pushed, pushed) / (len(rows) + row @ pushed)
        expected[:, one] = weights[:, one] ** 2 / np.diag(inverse) / 2
    close(criteria.get("block_fisher").saliency_of(model, DATA, LOSS)["hidden/kernel"], expected)
    close(criteria.get("block_fisher").score(kp.trace(model), DATA, LOSS)["hidden"], expected.sum(axis=0))
    assert (inverted_diagonal(np.zeros((3, 6)), 2, 0.1) == 1).all()


@pytest.mark.parametrize("layer", [layers.Conv2D(4, 2), layers.Conv2DTranspose(4, 2), layers.DepthwiseConv2D(2)])
def test_block_fisher_has_a_block_for_each_filter_whichever_axis_it_is(layer):
    inputs = keras.Input((3, 3, 3))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Activation("tanh")(layer(inputs)))))
    x, y = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype("float32"), np.zeros((4, 2), "float32")
    kernel = next(each for each in kp.trace(model, unknown="freeze").kernels if each.owner is layer)
    (axis,) = kernel.makes
    assert axis == (3 if type(layer) is layers.Conv2D else 2)
    slopes = [
        criteria.gradients.mean_gradients(model, [kernel.variable], [(x[i : i + 1], y[:1])], "mse") for i in range(4)
    ]
    rows = np.stack([each[id(kernel.variable)] for each in slopes])
    damp, rows = 0.1 * (rows**2).mean(), np.moveaxis(rows, axis + 1, 0)
    blocks = [np.einsum("na,nb->ab", line, line) / 4 for line in rows.reshape(len(rows), 4, -1)]
    expected = [1 / np.diag(np.linalg.inv(block + damp * np.eye(len(block)))) for block in blocks]
    found = criteria.get("block_fisher").gradients(model, [kernel.variable], [(x, y)], "mse", 0)[id(kernel.variable)]
    close(np.moveaxis(found, axis, 0).reshape(len(blocks), -1), np.array(expected))


# ---- a trained network: brute force -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    """A network of two layers at a minimum of its error on noisy values, found by SciPy in float64."""
    from scipy.optimize import minimize

    model = network(norm=False, features=3, units=4, outputs=1)
    p = numbers(model)
    x = GENERATOR.normal(size=(60, 3))
    y = np.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:] + 0.3 * GENERATOR.normal(size=(60, 1))

    def unpacked(line):
        parts = np.split(line, np.cumsum([each.size for each in p.values()])[:-1])
        return {path: part.reshape(each.shape) for (path, each), part in zip(p.items(), parts, strict=True)}

    def loss(p):
        return ((outputs(p, x) - y) ** 2).mean()

    start = np.concatenate([each.ravel() for each in p.values()])
    best = unpacked(minimize(lambda line: loss(unpacked(line)), start, method="BFGS", options={"gtol": 1e-7}).x)
    for variable in model.variables:
        variable.assign(best[variable.path])
    rise = {}
    for path in ("hidden/kernel", "logits/kernel"):
        changed = [loss({**best, path: best[path] * stay}) - loss(best) for stay in removals(best[path])]
        rise[path] = np.reshape(changed, best[path].shape)
    return model, best, loss, rise, [(x.astype("float32"), y.astype("float32"))]


def ranks(found, rise):
    return spearmanr(*(np.concatenate([each[path].ravel() for path in rise]) for each in (found, rise))).statistic


def test_obd_ranks_the_weights_of_a_trained_network_by_the_rise_of_its_loss(trained):
    model, best, _, rise, data = trained
    squares = {path: best[path] ** 2 for path in rise}
    exact, newton = (OBD(each).saliency_of(model, data, "mse") for each in ("exact", NEWTON))
    assert ranks(exact, rise) > 0.9 and ranks(newton, rise) > 0.9 and ranks(squares, rise) < 0.7


def test_the_update_of_obs_lowers_the_loss_of_a_trained_network(trained):
    model, best, loss, rise, data = trained
    better = []
    for place in np.argsort(rise["hidden/kernel"], axis=None)[:4]:
        stay = np.ones(best["hidden/kernel"].size)
        stay[place] = 0
        stay = stay.reshape(best["hidden/kernel"].shape)
        new = obs_update(model, {"hidden/kernel": stay}, data, "mse", {"name": "exact", "damping": 1e-3})
        assert sorted(new) == sorted(rise)
        better.append((loss({**best, **new}), loss({**best, "hidden/kernel": best["hidden/kernel"] * stay})))
    assert all(after < before for after, before in better)


def test_a_saddle_is_refused_by_the_exact_inverse(net):
    model, *_ = net
    with pytest.raises(kp.PruneError, match="Expected a minimum of the loss.*least eigenvalue of -"):
        OBS("exact").score(kp.trace(model), DATA, LOSS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OBD("fisher"), "known curvature.*'fisher'. Did you mean 'empirical_fisher'"),
        (lambda: ExactDiagonal(precision="double"), "precision to be one of .*'float64'"),
        (lambda: OBS("exakt"), "known inverse.*Did you mean 'exact'"),
        (lambda: GaussNewton(samples=0), "samples to be an integer ≥ 1"),
        (lambda: EmpiricalFisher(examples=0), "examples to be an integer ≥ 1"),
        (lambda: WoodburyInverse(damping=0), "damping to be a number above 0. Received: damping=0"),
        (lambda: criteria.get({"name": "block_fisher", "examples": 2.5}), "examples to be an integer"),
    ],
)
def test_arguments_out_of_range(make, message):
    with pytest.raises(kp.PruneError, match=message):
        make()
