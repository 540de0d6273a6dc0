"""Arrays whose loss depends on the order of rows are trained in whole batches, of which no row is moved."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.criteria.batch_loss import batch_loss, batches_for_loss
from kerasprune.criteria.row_order import order_matters
from kerasprune.data.batches import Batch
from kerasprune.data.examples import Examples
from kerasprune.steps.rows_of_loss import in_order_of_loss

ROWS = np.random.default_rng(0).normal(size=(304, 6)).astype("float32")
NUMBERS = np.arange(304)
STEPS = np.where(np.random.default_rng(1).random((30, 5, 1)) < 0.4, 0.0, ROWS[:150].reshape(30, 5, 6))


def _gap(near: Any, far: Any) -> Any:
    return ops.relu(ops.sum(near**2 - far**2, axis=-1) + 1.0)


def triplets(_labels: Any, y: Any) -> Any:
    three = ops.reshape(y, (-1, 3, y.shape[-1]))
    return ops.mean(_gap(three[:, 0] - three[:, 1], three[:, 0] - three[:, 2]))


def neighbours(_labels: Any, y: Any) -> Any:
    return ops.mean((y[0::2] - y[1::2]) ** 2, axis=-1)


def halves(_labels: Any, y: Any) -> Any:
    return ops.mean((y[: y.shape[0] // 2] - y[y.shape[0] // 2 :]) ** 2)


def in_batch(_labels: Any, y: Any) -> Any:
    return -ops.diag(ops.log_softmax(ops.matmul(y, ops.transpose(y)), axis=-1))


def _model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6,)), layers.Dense(16, "relu"), layers.BatchNormalization(), layers.Dense(4)])


def _of_steps() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((5, 6)), layers.Masking(), layers.LSTM(4, return_sequences=True)])


KINDS = NUMBERS % 4
FAMILY = {  # model, loss, data, whether the order matters
    "triplets": (_model, triplets, (ROWS[:30], NUMBERS[:30]), True),
    "neighbours": (_model, neighbours, (ROWS[:30], NUMBERS[:30]), True),
    "halves": (_model, halves, (ROWS[:30], NUMBERS[:30]), True),
    "weighted triplets": (_model, triplets, (ROWS[:30], NUMBERS[:30], np.linspace(0, 1, 30)), True),
    "in batch": (_model, in_batch, (ROWS[:30], NUMBERS[:30]), False),
    "circle": (_model, keras.losses.Circle(), (ROWS[:32], KINDS[:32]), False),
    "mean": (_model, "mse", (ROWS[:30], ROWS[:30, :4]), False),
    "sum": (_model, keras.losses.MeanSquaredError(reduction="sum"), (ROWS[:30], ROWS[:30, :4]), False),
    "weighted": (_model, "mse", (ROWS[:30], ROWS[:30, :4], np.linspace(0, 1, 30)), False),
    "masked": (_of_steps, "mse", (STEPS, STEPS[..., :4]), False),
}


@pytest.mark.parametrize("name", FAMILY)
def test_the_order_matters_to_losses_of_ordered_rows_alone(name):
    make, loss, data, ordered = FAMILY[name]
    model = make()
    (batch,) = batches_for_loss([data], model, loss)
    assert order_matters(batch_loss(model, loss), batch) == ordered


def test_what_is_random_or_not_finite_has_no_order():
    drawn = np.random.default_rng(0)
    batch = Batch(ROWS, NUMBERS)
    assert not order_matters(lambda x, y, w: drawn.random(), batch)
    assert not order_matters(lambda x, y, w: np.nan, batch)


class Seen:
    """A loss of triplets that notes the numbers of the rows of every batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, labels: Any, y: Any) -> Any:
        self.batches.append(ops.convert_to_numpy(labels).ravel().astype(int).tolist())
        return triplets(labels, y)


@pytest.mark.thorough
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no eager training that could be watched")
@pytest.mark.parametrize("stored", [False, True], ids=["arrays", "files"])
def test_triplets_stay_whole_in_training_and_in_judging(stored, tmp_path):
    x = ROWS
    if stored:
        x = np.memmap(tmp_path / "rows", "float32", "w+", shape=ROWS.shape)
        x[:] = ROWS
    seen, model = Seen(), _model()
    model.compile("sgd", seen, run_eagerly=True)
    given = {"data": (x, NUMBERS), "epochs": 3, "batch": 30, "distil": False}
    report = kp.prune(model, keep=0.5, **given, verbose=0).report
    assert any("stay in order, in batches of 30" in each for each in report.remarks)
    whole = [[*range(begin, begin + 30)] for begin in range(0, 300, 30)]  # without the rest of 4
    assert all(each in whole for each in seen.batches if each == sorted(each))  # one was permuted, to tell
    training = [each for each in seen.batches if each in whole[:9]]
    assert len(training) >= 27 and whole[9] in seen.batches
    assert training != sorted(training)  # batches change places, rows do not


def test_batches_are_not_cut_where_the_loss_depends_on_the_order():
    data = [(ROWS[:30], ROWS[:30, :4])] * 3
    for loss, sizes in ((triplets, [30]), ("mse", [30, 20])):
        assert [batch.size for batch in batches_for_loss(data, _model(), loss, most=50)] == sizes


@pytest.mark.thorough
def test_a_batch_that_the_loss_does_not_take_is_named_with_one_that_it_takes():
    with pytest.raises(kp.PruneError, match=r"batch=128; .* 126 rows"):
        kp.prune(_model(), keep=0.5, data=(ROWS, NUMBERS), loss=triplets, verbose=0)
    report = kp.prune(_model(), keep=0.5, data=(ROWS, NUMBERS), loss=triplets, batch=126, verbose=0).report
    assert any("in batches of 126" in each for each in report.remarks)


def test_rows_without_an_order_stay_as_they_are():
    for loss in (in_batch, "mse", None):
        examples = Examples((ROWS, ROWS[:, :4]), batch=32)
        assert in_order_of_loss(examples, _model(), loss) is examples


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow holds texts")
def test_texts_beside_numbers_are_looked_at():
    word, number = keras.Input((1,), dtype="string", name="word"), keras.Input((2,), name="number")
    known = layers.StringLookup(vocabulary=["good", "bad"], output_mode="one_hot")(word)
    model = keras.Model([word, number], layers.Dense(1)(layers.Concatenate()([known, number])))
    given = Examples(([np.array([["good"], ["bad"]] * 6), ROWS[:12, :2]], ROWS[:12, :1]), inputs=2)
    assert in_order_of_loss(given, model, "mse") is given
