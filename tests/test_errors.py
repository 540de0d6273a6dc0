"""Warnings point to the line of the user's that called, however deep they are raised."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.errors import PruneError, short


def _model(optimizer="adam") -> keras.Model:
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(2)(keras.layers.Dense(6, name="hidden")(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(optimizer, "mse")
    return model


DATA = np.ones((8, 4), "float32"), np.zeros((8, 2), "float32")


@pytest.mark.parametrize("value", [np.str_("cat"), np.float32(0.5), np.int64(3), np.bool_(True)])
def test_numbers_and_texts_of_numpy_are_shown_as_those_of_python(value):
    assert short(value) == repr(value.item()) and short(np.arange(3)) == "array([0, 1, 2])"


def _fit(callback, optimizer="adam") -> int:
    """Trains, and returns the line that calls `fit`."""
    model = _model(optimizer)
    line = inspect.currentframe().f_lineno + 1
    model.fit(*DATA, verbose=0, callbacks=[callback])
    return line


@pytest.mark.matrix
@pytest.mark.parametrize(
    "callback, optimizer, said",
    [
        (lambda: kp.callbacks.GReg1(keep=0.5).compressed(20), "adam", "may not act"),  # by the base, before a step
        (lambda: kp.callbacks.GReg1(keep=0.5).compressed(20), "sgd", "fit ended after 1"),  # at the end of the fit
        (lambda: kp.callbacks.GReg1(keep=0.5), keras.optimizers.SGD(0.1, clipnorm=1.0), "clips gradients"),
        (lambda: kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end="9it")), "sgd", "schedule ends after 9"),
    ],
)
def test_a_warning_within_fit_points_to_the_line_that_calls_fit(callback, optimizer, said):
    with pytest.warns(UserWarning) as caught:
        line = _fit(callback(), optimizer)
    found = [each for each in caught if re.search(said, str(each.message))]
    assert [(each.filename, each.lineno) for each in found] == [(__file__, line)]


def test_a_shortfall_after_an_epoch_points_to_the_line_that_calls_fit():
    class Behind(kp.callbacks.PruningCallback):
        def shortfalls(self):
            return ["Nothing was done."]

    with pytest.warns(UserWarning, match="Nothing was done") as caught:
        line = _fit(Behind(strict=False))
    said = [each for each in caught if "Nothing was done" in str(each.message)]  # after the epoch, and at the end
    assert [(each.filename, each.lineno) for each in said] == [(__file__, line)] * 2


def test_a_warning_of_a_plan_points_to_the_line_that_asks_for_it():
    model = _model()
    line = inspect.currentframe().f_lineno + 2
    with pytest.warns(UserWarning, match="are kept instead of 1") as caught:
        kp.plan(model, keep=0.2, min_keep=4)
    assert [(each.filename, each.lineno) for each in caught] == [(__file__, line)]


def test_every_warning_of_the_package_is_raised_by_the_one_helper():
    files = Path(kp.__file__).parent.rglob("*.py")
    found = [path.name for path in files if re.search(r"stacklevel|warnings\.warn\(|import warn$", path.read_text())]
    assert found == ["errors.py"]


def test_a_member_says_which_arguments_it_needs():
    with pytest.raises(PruneError, match=r"'per_stage' needs keep\. .* in a recipe \{name: per_stage, keep: …\}"):
        kp.budgets.get("per_stage")
