"""Penalties apart from the moments, against a loop in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from support.greg_reference import DECAY, RATE, AdamReference, Reference, compiled, greg1, greg2, network, train

from kerasprune.callbacks import GReg1, GReg2, IncReg, NetworkSlimming
from kerasprune.testing.toys import toy_data, toy_model
from kerasprune.training.regularizers import NetworkSlimming as Slimming
from kerasprune.training.regularizers import Polarization

FIRST = {"step": 1.0, "every": 4, "ceiling": 6.0}
SECOND = {"pick_step": 0.1, "push_step": 1.0, "pick_at": 0.3, "every": 4, "ceiling": 6.0}  # picks at step 16


def _same(model: keras.Model, reference: Reference, tolerance: float = 1e-4) -> None:
    for variable, expected in zip(model.weights, reference.weights(), strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(variable), expected, atol=tolerance, err_msg=variable.path
        )


@pytest.mark.thorough
def test_sgd_with_momentum_and_accumulated_gradients():
    """The penalty acts once an update, past the momentum."""
    model = compiled(gradient_accumulation_steps=2)
    reference = Reference(model, accumulate=2, decoupled=True)
    train(model, [callback := GReg1(keep=0.5, schedule={"settle": 20, **FIRST}, decoupled=True)])
    penalties = greg1(reference, "filter", 0.5, **FIRST)
    for step in range(callback.length):
        reference.run(2, lambda batch, step=step: penalties(step))
    assert int(model.optimizer.iterations) == callback.length == 40
    _same(model, reference)
    assert callback.removed_to_kept < 0.06


@pytest.mark.matrix
@pytest.mark.parametrize("granularity", ["filter", "weight"])
def test_adam_and_a_pick_in_the_middle(granularity):
    """λ = −γ for what stays grows the weights apart from the moments too."""
    model = compiled(optimizer=keras.optimizers.Adam(RATE))
    reference = AdamReference(model)
    own = {"granularity": granularity, "keep": 0.5}
    callback = GReg2(schedule={"settle": 14, **SECOND}, weight_decay=DECAY, decoupled=True, **own)
    train(model, [callback])
    penalties = greg2(reference, **own, **SECOND)
    reference.run(callback.length, penalties)
    _same(model, reference, 1e-3)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "make, optimizer", [(GReg1, "Adam"), (GReg1, "AdamW"), (GReg1, "Lion"), (GReg2, "Lion"), (IncReg, "Adam")]
)
def test_what_is_removed_is_small_under_adaptive_optimizers(make, optimizer):
    steps = {"pick_step": 0.5, "pick_at": 0.6, "push_step": 4.0} if make is GReg2 else {"step": 4.0}
    callback = make(keep=0.5, schedule={"every": 4, "ceiling": 20.0, "settle": 60, **steps}, decoupled=True)
    model = compiled(optimizer=getattr(keras.optimizers, optimizer)(0.01))
    train(model, [callback])
    assert callback.removed_to_kept <= 0.2


@pytest.mark.thorough
def test_lambda_of_increg_is_the_coupled_one_with_a_rate_of_zero():
    """Where weights do not move the ranks do not, and the penalty of both ways is the same."""
    penalties = []
    for decoupled in (False, True):
        model = compiled(optimizer=keras.optimizers.SGD(0.0))
        callback = IncReg(
            keep=0.5, schedule={"step": 0.1, "every": 2, "ceiling": 0.5, "settle": 4}, decoupled=decoupled
        )
        history = train(model, [callback], epochs=2)
        penalties.append(history.history["increg_penalty"])
    np.testing.assert_allclose(*penalties, rtol=1e-6)
    assert penalties[0][0] > 0


# ---- scales ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [Slimming(0.3), Polarization(0.3, 1.2)], ids=["slimming", "polarization"])
def test_gradients_of_penalties_are_their_slopes(penalty):
    gammas = np.random.default_rng(0).normal(size=12)
    for index in range(12):
        shifts = [gammas + sign * 1e-3 * np.eye(12)[index] for sign in (1, -1)]
        up, down = (float(penalty.penalty(keras.ops.convert_to_tensor(each))) for each in shifts)
        found = np.asarray(penalty.gradient(keras.ops.convert_to_tensor(gammas)))[index]
        assert found == pytest.approx((up - down) / 2e-3, abs=1e-3)


@pytest.mark.thorough
def test_scales_move_by_rate_times_strength_a_step():
    """With a loss that does not depend on the weights, γ falls by η·λ a step, and stops at zero."""
    model = toy_model()
    images, labels = toy_data(32)
    model.compile(keras.optimizers.Adam(0.1), lambda y, out: 0.0 * keras.ops.sum(out, axis=-1))
    callback = NetworkSlimming(strength=0.5, decoupled=True, strict=False)
    model.fit(images, labels, 8, 1, shuffle=False, verbose=0, callbacks=[callback])
    for name, looks in callback.scales.items():
        np.testing.assert_allclose(looks[-1], 0.5 - 4 * 0.1 * 0.5, atol=1e-6, err_msg=name)
    model.fit(images, labels, 8, 3, shuffle=False, verbose=0, callbacks=[callback])
    assert all((looks[-1] == 0).all() for looks in callback.scales.values())


# ---- the value of the loss ---------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_the_loss_is_logged_without_the_penalty_and_the_weights_are_those_with_it():
    """Against a fit with the same penalty as a plain Keras regularizer."""
    logs, weights = [], []
    for plain in (False, True):
        model = network()
        kernel = model.get_layer("one").kernel
        before = kernel.regularizer
        if plain:
            kernel.regularizer = lambda w, own=before: own(w) + keras.regularizers.L2(0.25)(w)
        compiled(model)
        callback = GReg1(keep={"one": 0.5}, schedule={"step": 0.5, "every": 4, "ceiling": 0.5, "settle": 8})
        callback.strength = lambda unit, step: 0.5 * keras.ops.ones((unit.size,))
        history = train(model, [] if plain else [callback], epochs=2)
        logs.append(history.history)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert logs[0]["loss"][0] < logs[1]["loss"][0]
    norm = float((weights[0][0] ** 2).sum())
    assert logs[0]["greg_penalty"][-1] == pytest.approx(0.25 * norm, rel=1e-4)
