"""What growing regularisation rests on: how a minimum moves when the penalty grows, and that weights part."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from support.greg_reference import compiled, train

import kerasprune as kp
from kerasprune.callbacks import GReg1, GReg2, NormHistory
from kerasprune.training.constraints import Decay, attach, take_off
from kerasprune.training.regularizers import GrowingL1, GrowingL2

COUPLED = np.array([[2.0, 0.9], [0.9, 1.0]])


def _trained(hessian: np.ndarray, minimum: np.ndarray, penalty: float) -> np.ndarray:
    """Returns where SGD ends on `½ (w − w*)ᵀ H (w − w*) + ½ λ |w|²`, the penalty being `GrowingL2`.

    For inputs X with `XᵀX = H·n/2`, the mean squared error of n samples has the Hessian H.
    """
    size = len(minimum)
    inputs = np.linalg.cholesky(hessian).T * np.sqrt(size / 2)
    model = keras.Sequential(
        [keras.Input((size,)), keras.layers.Dense(1, use_bias=False, kernel_regularizer=GrowingL2(lambda: penalty))]
    )
    rate = 1 / (np.linalg.eigvalsh(hessian).max() + penalty)
    model.compile(keras.optimizers.SGD(rate), "mse", steps_per_execution=400)
    many = np.tile(inputs, (400, 1)).astype("float32")
    model.fit(many, (many @ minimum).astype("float32"), batch_size=size, epochs=2, shuffle=False, verbose=0)
    return model.get_weights()[0][:, 0]


@pytest.mark.parametrize("penalty", [0.0, 0.1, 1.0])
def test_the_minimum_moves_as_equation_5_says(penalty):
    generator = np.random.default_rng(0)
    root = generator.normal(size=(4, 4))
    hessian, minimum = root @ root.T + 0.3 * np.eye(4), generator.normal(size=4)
    expected = np.linalg.solve(hessian + penalty * np.eye(4), hessian @ minimum)
    np.testing.assert_allclose(_trained(hessian, minimum, penalty), expected, atol=1e-3)


def test_flat_directions_give_way_first():
    """Equation 6: for a diagonal Hessian `r_i = 1 / (δλ/h_ii + 1)`."""
    curvature, minimum = np.array([0.2, 1.0, 3.0]), np.array([1.0, -2.0, 0.5])
    ratios = _trained(np.diag(curvature), minimum, 0.5) / minimum
    np.testing.assert_allclose(ratios, 1 / (0.5 / curvature + 1), atol=1e-3)
    assert (np.diff(ratios) > 0).all()


def _left_side_of_equation_7(hessian: np.ndarray, w: np.ndarray, step: float) -> np.ndarray:
    (h11, h12), (_, h22) = hessian
    determinant = (h11 + step) * (h22 + step) - h12**2
    return (
        np.array(
            [
                (h11 * h22 + h11 * step - h12**2) * w[0] + step * h12 * w[1],
                (h11 * h22 + h22 * step - h12**2) * w[1] + step * h12 * w[0],
            ]
        )
        / determinant
    )


def test_two_coupled_weights_move_as_the_left_side_of_equation_7_says():
    w = np.array([0.2, 1.0])
    for step in (0.01, 0.3):
        np.testing.assert_allclose(_trained(COUPLED, w, step), _left_side_of_equation_7(COUPLED, w, step), atol=1e-3)


def test_equation_8_drops_a_term_of_the_same_order():
    """The slope of r_1 at δλ = 0 is +2.94, not −0.84: this weight *grows* with the penalty."""
    w, step = np.array([0.2, 1.0]), 1e-6
    exact = (_left_side_of_equation_7(COUPLED, w, step)[0] / w[0] - 1) / step
    (h11, h12), (_, h22) = COUPLED
    equation_8 = ((h11 * h22 + h11 * step - h12**2) / ((h11 + step) * (h22 + step) - h12**2) - 1) / step
    assert exact == pytest.approx(2.94, abs=0.005)
    assert equation_8 == pytest.approx(-0.84, abs=0.005)
    assert _trained(COUPLED, w, 0.05)[0] > 1.1 * w[0]


# ---- the regularizer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("norm", "value", "slope"),
    [(GrowingL2, lambda w: 0.5 * w**2, lambda w: w), (GrowingL1, np.abs, np.sign)],
    ids=["l2", "l1"],
)
def test_the_gradient_of_the_penalty_is_lambda_times_the_slope_of_the_norm(norm, value, slope):
    import tensorflow as tf

    weight = tf.Variable(np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype("float32"))
    strength = np.array([0.0, 1.0, 0.5, -0.1], "float32")
    with tf.GradientTape() as tape:
        penalty = norm(lambda: strength)(weight)
    assert float(penalty) == pytest.approx((strength * value(weight.numpy())).sum(), rel=1e-5)
    np.testing.assert_allclose(tape.gradient(penalty, weight), strength * slope(weight.numpy()), rtol=1e-6)


@pytest.mark.parametrize("penalty", [0.1, 1.0])
def test_apart_from_the_gradient_l1_ends_at_its_own_minimum(penalty):
    """Of `½ Σ h_i (w_i − w*_i)² + λ Σ |w_i|`: `sign(w*) max(|w*| − λ/h, 0)`, so that flat directions end at zero."""
    curvature, minimum = np.array([0.2, 1.0, 3.0]), np.array([1.0, -2.0, 0.5])
    weight = np.array([0.3, 0.3, 0.3], "float32")
    decay = Decay(GrowingL1.shrunk, lambda: penalty, lambda: 0.1, lambda: True)
    for _ in range(2000):
        weight = keras.ops.convert_to_numpy(decay((weight - 0.1 * curvature * (weight - minimum)).astype("float32")))
    expected = np.sign(minimum) * np.maximum(np.abs(minimum) - penalty / curvature, 0)
    np.testing.assert_allclose(weight, expected, atol=1e-5)
    assert (weight[expected == 0] == 0).all() and expected[-1] > 0


def test_one_part_of_what_is_attached_can_be_taken_out():
    """Of constraints, each of which adds 1 and multiplies."""
    own = keras.constraints.NonNeg()
    variable = keras.Variable([-1.0, 1.0])

    def both():
        variable.constraint = own
        return [attach(variable, "constraint", lambda w, by=by: (w + 1) * by) for by in (2, 3)]

    def seen():
        return np.asarray(variable.constraint(variable.value)).tolist()

    one, two = both()
    assert seen() == [9, 15]
    take_off(variable, "constraint", one)
    assert seen() == [3, 6]
    take_off(variable, "constraint", one)  # nothing of it is left
    take_off(variable, "constraint", two)
    assert variable.constraint is own
    one, two = both()
    take_off(variable, "constraint", two)
    assert seen() == [2, 4]
    take_off(variable, "constraint", one)
    assert variable.constraint is own


def test_the_value_of_an_attached_penalty_is_that_of_the_own_one():
    variable = keras.Variable(np.ones(2, "float32"))
    variable.regularizer = keras.regularizers.L2(0.1)
    part = attach(variable, "regularizer", GrowingL2(lambda: 1.0))
    assert float(variable.regularizer(np.ones(2, "float32"))) == pytest.approx(0.2) and part.reached


# ---- the mechanism -----------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_a_penalty_that_grows_alike_for_all_parts_the_norms():
    """Before the pick no channel is told from another; the normalised deviation of their norms grows all the same."""
    model = compiled(steps_per_execution=4)
    train(model, epochs=5, passes=10)
    callback = GReg2(keep=0.5, schedule={"pick_step": 0.005, "pick_at": 0.1, "every": 10, "settle": 0})
    history = NormHistory(every=10)
    with pytest.warns(UserWarning, match="fit ended after 200"):
        train(model, [callback, history], epochs=5, passes=10)
    assert history.steps[-1] == 200 < callback.pick_step_number
    for name, norms in history.norms.items():
        deviation = norms.std(axis=1) / norms.mean(axis=1)
        assert deviation[-1] > 1.4 * deviation[0], name


@pytest.fixture(scope="module")
def pushed():
    """A residual network that knows its few images by heart, and how it looks after a short GReg-1 and GReg-2."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 64)
    images = (generator.normal(size=(64, 8, 8, 3)) + generator.normal(size=(4, 8, 8, 3))[labels]).astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = kp.models.resnet_cifar(8, classes=4, input_shape=(8, 8, 3), seed=0)
    model.compile(keras.optimizers.SGD(0.05, 0.9), loss)
    model.fit(images, labels, 16, 10, verbose=0)
    found = {"before": (model.get_weights(), model, images)}
    short = {"ceiling": 5e4, "every": 1, "settle": 60}  # learning rate · λ is 0.5 at the ceiling
    for callback in (
        GReg1(keep=0.5, schedule={"step": 5e4 / 30, **short}),
        GReg2(keep=0.5, schedule={"pick_step": 200.0, "pick_at": 2000.0, "push_step": 5e4 / 30, **short}),
    ):
        model.set_weights(found["before"][0])
        model.compile(keras.optimizers.SGD(1e-5), loss)
        history = NormHistory(every=10)
        model.fit(images, labels, 16, 99, verbose=0, callbacks=[callback, history])
        found[type(callback)] = callback, history, model.get_weights()
    return found


@pytest.mark.experiments
@pytest.mark.thorough
@pytest.mark.parametrize("kind", [GReg1, GReg2])
def test_what_goes_ends_below_a_thousandth_of_what_stays(pushed, kind):
    callback, history, _ = pushed[kind]
    assert len(callback.plan.keep) == 3
    for name, kept in callback.plan.keep.items():
        first, last = history.norms[name][[0, -1]]
        goes = np.setdiff1d(np.arange(last.size), kept)
        assert len(goes) == len(kept)
        assert last[goes].mean() < last[list(kept)].mean() / 1000, name
        assert last.std() / last.mean() > 5 * first.std() / first.mean(), name


@pytest.mark.experiments
@pytest.mark.thorough
def test_removal_hurts_less_than_without_the_penalty(pushed):
    before, model, images = pushed["before"]

    def effect(weights, plan):
        model.set_weights(weights)
        dense, slim = (net.predict(images, verbose=0) for net in (model, kp.rebuild(model, plan)))
        return np.abs(dense - slim).max() / np.abs(dense).max()

    callback, _, after = pushed[GReg1]
    assert effect(after, callback.plan) < 0.3 * effect(before, callback.plan)
