"""Warnings point to the line of the user's that called, however deep they are raised; old spellings are accepted."""

from __future__ import annotations

import inspect
import re
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.errors import PruneError, formerly, short, warn, whole_number_faults


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


def test_the_category_is_the_one_given():
    with pytest.warns(FutureWarning, match="old") as caught:
        warn("old", FutureWarning)
    assert caught[0].filename == __file__


def test_every_warning_of_the_package_is_raised_by_the_one_helper():
    files = Path(kp.__file__).parent.rglob("*.py")
    found = [path.name for path in files if re.search(r"stacklevel|warnings\.warn\(|import warn$", path.read_text())]
    assert found == ["errors.py"]


@formerly("scale", "seed", directory="folder", lost=("keep", lambda share: 1 - share))
def write(text, plan=None, *, scale=1, seed=0, folder="here", keep=1.0):
    return text, plan, scale, seed, folder, keep


class Kept:
    @formerly(store="path")
    def __init__(self, path):
        self.path = path


def test_new_spellings_say_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert write("a", "p", seed=2, folder="f", keep=0.3) == ("a", "p", 1, 2, "f", 0.3)
        assert Kept("x").path == Kept(path="x").path == "x"


@pytest.mark.parametrize(
    ("call", "returned", "said"),
    [
        (lambda: write("a", "p", 3, 2), ("a", "p", 3, 2, "here", 1.0), [r"scale\) is now write\(…, scale=", "seed=…"]),
        (lambda: write("a", directory="f"), ("a", None, 1, 0, "f", 1.0), [r"directory=…\) is now write\(folder=…\)"]),
        (lambda: write("a", lost=0.75), ("a", None, 1, 0, "here", 0.25), [r"lost=…\) is now write\(keep=…\)"]),
        (lambda: Kept(store="x").path, "x", [r"Kept\(store=…\) is now Kept\(path=…\)"]),
    ],
)
def test_old_spellings_are_accepted_with_a_warning_at_the_caller(call, returned, said):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert call() == returned
    assert len(found) == len(said)
    for one, pattern in zip(found, said, strict=True):
        assert one.category is FutureWarning and one.filename == __file__
        assert re.search(pattern, str(one.message))


def test_both_spellings_at_once_are_an_error():
    with pytest.raises(PruneError, match="Expected folder once"):
        write("a", directory="f", folder="g")
    with pytest.raises(PruneError, match="Expected seed once"), pytest.warns(FutureWarning, match="scale"):
        write("a", "p", 1, 2, seed=3)
    with pytest.raises(TypeError):
        write("a", "p", 1, 2, 3)


def test_a_number_of_numpy_that_is_refused_is_called_one():
    (fault,) = whole_number_faults(0, seed=np.int64(1))
    assert "Received: seed=1 as int64 of NumPy" in fault and ".item()" in fault
    assert not whole_number_faults(0, seed=1)


def test_a_member_says_which_arguments_it_needs():
    with pytest.raises(PruneError, match=r"'per_stage' needs keep\. .* in a recipe \{name: per_stage, keep: …\}"):
        kp.budgets.get("per_stage")
