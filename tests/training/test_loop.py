"""A loop of one's own does what `fit` does."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from support.convnet import BATCH, DATA, STEPS, compiled, small, train
from support.interruption import Break

import kerasprune as kp
from kerasprune.callbacks import GradualMagnitude, GReg1, IterativeMagnitude, Polarization, Resume, custom_loop
from kerasprune.training.schedules import cubic


def loop_over(model, callbacks, epochs=3):
    """Trains by hand with the loss that the model is compiled with; returns the epochs trained."""
    seen = []

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs)) + sum(model.losses)
        variables = model.trainable_variables
        model.optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    with custom_loop(model, callbacks, epochs=epochs, steps=STEPS) as loop:
        for epoch in loop.epochs():
            seen.append(epoch)
            for begin in range(0, BATCH * STEPS, BATCH):
                step(tf.constant(DATA[0][begin : begin + BATCH]), tf.constant(DATA[1][begin : begin + BATCH]))
                loop.step()
                if loop.stopped:
                    break
    return seen


@pytest.mark.thorough
@pytest.mark.parametrize(
    "make",
    [
        lambda: GradualMagnitude(cubic(0.2, end="2ep"), every=3),
        lambda: IterativeMagnitude(rounds=2, keep_per_round=0.5),
        lambda: Polarization(strength=0.01),
        lambda: GReg1(keep=0.5).compressed(20),
    ],
)
def test_same_as_fit(make):
    one, other = compiled(small(), jit_compile=False), compiled(small())
    fitted, looped = make(), make()
    train(one, [fitted], epochs=3)
    loop_over(other, [looped])
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5, err_msg=a.path)
    assert all(v.regularizer is None and v.constraint is None for v in other.weights)


def test_resumes_and_detaches_when_broken_off(tmp_path):
    model = compiled(small())
    with (
        pytest.raises(KeyboardInterrupt),
        custom_loop(model, [GradualMagnitude(cubic(0.2, end="2ep")), Resume(tmp_path)], epochs=3, steps=8) as loop,
    ):
        for epoch in loop.epochs():
            if epoch == 2:
                raise KeyboardInterrupt
    assert all(v.constraint is None for v in model.weights)
    assert loop_over(compiled(small(1)), [Resume(tmp_path), GradualMagnitude(cubic(0.2, end="2ep"))]) == [2]


def test_a_state_from_within_an_epoch_of_fit_is_refused(tmp_path):
    """A loop of one's own cannot be told to pass over batches."""
    with pytest.raises(KeyboardInterrupt):
        train(compiled(small()), [Resume(tmp_path, every=3), Break(5)])
    model = compiled(small(1))
    weights = model.get_weights()
    with pytest.raises(kp.PruneError, match="within an epoch"):
        loop_over(model, [Resume(tmp_path)])
    for before, now in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, now)


def test_bad_loops():
    with pytest.raises(kp.PruneError, match="compiled model"), custom_loop(small(), [], epochs=1, steps=1):
        pass
    with pytest.raises(kp.PruneError, match="epochs=0"), custom_loop(compiled(small()), [], epochs=0, steps=1):
        pass


def test_saves_within_an_epoch_are_refused(tmp_path):
    with pytest.raises(kp.PruneError, match="every=None in a loop"):
        loop_over(compiled(small()), [GradualMagnitude(cubic(0.2, end="2ep")), Resume(tmp_path, every=1)])
