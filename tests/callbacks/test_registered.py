"""Every registered callback keeps the contract: being in the registry is being tested."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from support.callback_makers import MAKERS

import kerasprune as kp
from kerasprune.testing import callbacks as callback_checks
from kerasprune.testing import check_callback

# Further arguments of a method that is tried with others every time; what they do is held against NumPy elsewhere.
SLOW = {*(f"gradual_magnitude-{n}" for n in (1, 2, 3, 4)), "greg1-1", "greg2-1", "polarization-1"}


HERE = {name: makers for name, makers in MAKERS.items() if name in kp.callbacks.names()}  # papers may be absent


def cases() -> Iterator[Any]:
    """Every maker, named."""
    for name, makers in HERE.items():
        for n, make in enumerate(makers):
            yield pytest.param(make, id=f"{name}-{n}", marks=[pytest.mark.slow] if f"{name}-{n}" in SLOW else [])


def test_every_callback_has_a_maker():
    missing = sorted(set(kp.callbacks.names()) - set(MAKERS))
    assert not missing, f"add makers to tests/support/callback_makers.py for {missing}"


FIRST = [pytest.param(makers[0], id=name) for name, makers in HERE.items()]


@pytest.mark.whole
@pytest.mark.matrix("greg1", "gradual_magnitude", "trained_quantization")
@pytest.mark.parametrize("make", FIRST)
@pytest.mark.filterwarnings("ignore:The schedule ends", "ignore:Frozen kernels", "ignore:.*until=")
def test_fits_leave_what_they_should(make, tmp_path):
    callback_checks.check_fits(make, tmp_path)


@pytest.mark.whole
@pytest.mark.matrix("greg1")
@pytest.mark.parametrize("make", FIRST)
@pytest.mark.filterwarnings("ignore:The schedule ends", "ignore:Frozen kernels", "ignore:.*until=")
def test_eager_and_compiled_steps_end_equal(make):
    """With one of two seeds: a sum that is rounded in another order may turn a rectifier, which a fit magnifies."""
    for seed in (0, 1):
        single = callback_checks.fitted(make, seed, run_eagerly=True).get_weights()
        with suppress(AssertionError) if seed == 0 else nullcontext():
            callback_checks.check_same(single, callback_checks.fitted(make, seed), 1e-6, "eager and compiled steps")
            return


@pytest.mark.thorough
@pytest.mark.parametrize("make", cases())
@pytest.mark.filterwarnings("ignore:The schedule ends", "ignore:Frozen kernels", "ignore:.*until=")
def test_callback_contract(make):
    check_callback(make)


@pytest.mark.whole
@pytest.mark.matrix("greg1", "gradual_magnitude")
@pytest.mark.parametrize("make", FIRST)
@pytest.mark.filterwarnings("ignore:The schedule ends", "ignore:Frozen kernels", "ignore:.*until=")
def test_names_in_logs_are_ascii(make):
    """`CSVLogger` opens its file in the code page of the system."""
    logs = callback_checks.fitted(make).history.history
    assert "loss" in logs and all(map(str.isascii, logs))


@pytest.mark.parametrize("name", kp.callbacks.names())
def test_a_method_stands_on_the_base_and_at_most_one_helper_of_its_family(name):
    ours = [each for each in inspect.getmro(kp.callbacks.member(name))[1:] if each.__module__.startswith("kerasprune")]
    assert kp.callbacks.PruningCallback in ours and len(ours) <= 2
