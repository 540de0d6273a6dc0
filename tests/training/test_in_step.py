"""The lowest scores, without sorting: the same as ranks, whatever the scores."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerasprune.backend.derivatives import measurement
from kerasprune.training.in_step import lowest

RANDOM = np.random.default_rng(0)
SCORES = {
    "ties": RANDOM.integers(0, 20, 200),
    "all equal": np.ones(50),
    "one": np.array([0.5]),
    "of both signs": RANDOM.normal(size=300),
    "small": RANDOM.normal(size=300) * 1e-38,
    "zeros of both signs": np.array([0.0, -0.0, 1.0, -0.0, 0.0, -1.0]),
    "infinite": np.array([np.inf, 1.0, -np.inf, np.inf, 2.0]),
    "removed before": np.where(RANDOM.random(300) < 0.5, -1, RANDOM.random(300)),
    "no numbers": np.array([np.nan, 1.0, -np.inf, np.nan, 0.0]),
}


@pytest.mark.parametrize("name", SCORES)
def test_as_ranks(name):
    scores = SCORES[name].astype("float32")
    variable = keras.Variable(scores, dtype="float32")
    program = measurement(lambda number: lowest(keras.ops.convert_to_tensor(variable), number), [variable])
    ranks = np.argsort(np.argsort(-scores, kind="stable"), kind="stable")
    for number in {0, 1, scores.size // 3, scores.size - 1, scores.size, scores.size + 1}:
        at_hand = lowest(keras.ops.convert_to_tensor(scores), np.int32(number))
        within = program(np.int32(number))
        for got in (at_hand, within):
            np.testing.assert_array_equal(got, ranks >= number, err_msg=f"{number} of {scores.size} stay")
