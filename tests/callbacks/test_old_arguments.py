"""Arguments of version 0.2: the same callbacks as before, with a warning that says how they are spelt now."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
from support.greg_reference import compiled, train

import kerasprune as kp
from kerasprune.callbacks import GReg1, GReg2, IncReg
from kerasprune.recipes import lookup
from kerasprune.training.schedules import GeometricGrowth, LinearGrowth, TwoSlopeGrowth

FIRST = {"penalty_step": 0.1, "every": 4, "ceiling": 0.5, "settle": 4}
SECOND = {"pick_step": 0.01, "push_step": 0.1, "pick_at": 0.03, "every": 4, "ceiling": 1.0, "settle": 8}
GEOMETRIC = {"name": "geometric", "steps": 12}

# (the callback, its arguments in 0.2, the law that they are)
SPELT = [
    (GReg1, FIRST, LinearGrowth(0.1, 4, 0.5, 4)),
    (GReg1, {"every": 5, "stop": False}, LinearGrowth(every=5, stop=False)),
    (GReg1, {"growth": "linear", "settle": 7}, LinearGrowth(settle=7)),
    (GReg1, {"growth": GEOMETRIC, "stop": False}, GeometricGrowth(12, stop=False)),
    (GReg1, {"growth": GeometricGrowth(12), "stop": False}, GeometricGrowth(12, stop=False)),
    (GReg1, {"weight_decay": 5e-4}, LinearGrowth()),
    (GReg2, SECOND, TwoSlopeGrowth(0.01, 0.1, 4, 0.03, 1.0, 8)),
    (GReg2, {"growth": "linear"}, TwoSlopeGrowth()),
    (GReg2, {"growth": GEOMETRIC}, GeometricGrowth(12)),
    (IncReg, {"penalty_step": 0.05, "every": 2, "weight_decay": 1e-4}, LinearGrowth(0.05, 2, 2.5)),
]


@pytest.mark.parametrize(("make", "old", "law"), SPELT)
def test_old_arguments_make_the_same_law_and_say_the_new_spelling(make, old, law):
    with pytest.warns(FutureWarning, match=rf"{make.__name__}\(.*=…\) is now {make.__name__}\(") as caught:
        callback = make(keep=0.5, **old)
    assert callback.growth == law and callback.growth.stop == law.stop and len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.warns(FutureWarning):
        named = kp.callbacks.get({"name": make.__name__.lower(), "keep": 0.5, **old})
    assert named.growth == law
    assert not lookup.faults("callback", make.__name__.lower(), {"keep": 0.5, **old}, trust=False)


@pytest.mark.thorough
def test_a_fit_of_the_old_spelling_ends_bit_equal():
    weights = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        old = GReg1(keep=0.5, **FIRST)
    for callback in (old, GReg1(keep=0.5, schedule={"name": "linear", "step": 0.1, **_without(FIRST)})):
        model = compiled()
        train(model, [callback], epochs=3)
        weights.append(model.get_weights())
    assert all((one == other).all() for one, other in zip(*weights, strict=True))


def _without(fields):
    return {name: value for name, value in fields.items() if name != "penalty_step"}


@pytest.mark.parametrize(
    ("schedule", "law"),
    [
        (None, LinearGrowth()),
        ("linear", LinearGrowth()),
        ({"every": 3}, LinearGrowth(every=3)),
        (GEOMETRIC, GeometricGrowth(12)),
        ({"name": "two_slopes", "settle": 1}, TwoSlopeGrowth(settle=1)),
        (LinearGrowth(step=0.2), LinearGrowth(step=0.2)),
    ],
)
def test_schedules_are_spelt_as_criteria_are_and_nothing_is_said(schedule, law):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert GReg1(keep=0.5, schedule=schedule).growth == law


def test_a_dict_without_a_name_builds_on_the_papers_law():
    assert IncReg(keep=0.5, schedule={"every": 3}).growth == replace(IncReg(keep=0.5).growth, every=3)
    assert GReg2(keep=0.5, schedule={"every": 3}).growth == TwoSlopeGrowth(every=3)


def test_what_does_not_fit_is_refused():
    with pytest.raises(TypeError, match="penalty_stepp"):
        GReg1(keep=0.5, penalty_stepp=0.1)
    with pytest.raises(kp.PruneError, match=r"Expected schedule once\. Received: GReg1\(every=…\), its old form"):
        GReg1(keep=0.5, schedule="linear", every=3)
    with pytest.raises(kp.PruneError, match="stop=3"):
        GReg1(keep=0.5, schedule={"stop": 3})
    with pytest.raises(kp.PruneError, match="Expected schedule to be a LinearGrowth"):
        IncReg(keep=0.5, schedule=GEOMETRIC)
    with pytest.raises(kp.PruneError, match="no step at which to pick"):
        GReg2(keep=0.5, schedule=LinearGrowth())
    assert "has no argument 'penalty_stepp'" in str(
        lookup.faults("callback", "greg1", {"penalty_stepp": 1}, trust=False)
    )
