"""Every registered callback keeps the contract: being in the registry is being tested."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any

import numpy as np
import pytest

import kerasprune as kp
from kerasprune.callbacks import (
    FreezeKept,
    GradualMagnitude,
    GReg1,
    GReg2,
    HoldMask,
    IncReg,
    IterativeMagnitude,
    LearningRateRewinding,
    NetworkSlimming,
    NormHistory,
    Polarization,
    Resume,
    SoftFilterPruning,
    Sparsity,
    TrainedQuantization,
)
from kerasprune.testing import callbacks as callback_checks
from kerasprune.testing import check_callback
from kerasprune.testing.toys import toy_model


def _some_mask() -> dict[str, np.ndarray]:
    kernel = next(variable for variable in toy_model(0).trainable_variables if variable.name == "kernel")
    return {kernel.path: np.random.default_rng(0).random(kernel.shape) < 0.3}


CUBIC = kp.schedules.cubic(keep=0.2, end="16it")

# At least one maker for every name, with a schedule that fits into 16 steps.
MAKERS = {
    "freeze_kept": [lambda: FreezeKept(0.3, criterion="l2")],
    "gradual_magnitude": [
        lambda: GradualMagnitude(CUBIC, every=3),
        lambda: GradualMagnitude(CUBIC, every=4, granularity="filter", scope="global"),
        lambda: GradualMagnitude(CUBIC, every=4, granularity="channel"),
        lambda: GradualMagnitude(CUBIC, every=4, scope={"name": "pattern"}),
        lambda: GradualMagnitude(CUBIC, every=4, scope="layer", granularity="block", criterion="l2"),
    ],
    "greg1": [
        lambda: GReg1(keep=0.5, schedule={"step": 0.1, "every": 2, "ceiling": 0.5, "settle": 8}),
        lambda: GReg1(keep=0.5, schedule={"step": 0.1, "every": 2, "ceiling": 0.5, "settle": 8}, granularity="block"),
        lambda: GReg1(keep=0.5).compressed(16),
    ],
    "greg2": [
        lambda: GReg2(keep=0.5, granularity="scale", schedule={"name": "geometric", "steps": 16}),
        lambda: GReg2(keep=0.5, granularity="weight").compressed(16),
    ],
    "hold_mask": [lambda: HoldMask(_some_mask())],
    "increg": [lambda: IncReg(keep=0.5, schedule={"step": 0.05, "every": 2, "ceiling": 0.3, "settle": 6})],
    "iterative_magnitude": [lambda: IterativeMagnitude(rounds=1, keep_per_round=0.4)],
    "learning_rate_rewinding": [lambda: LearningRateRewinding(keep_per_round=0.4)],
    "network_slimming": [lambda: NetworkSlimming(strength=0.05, macs=0.5)],
    "norm_history": [lambda: NormHistory(every=3)],
    "polarization": [
        lambda: Polarization(strength=0.05, coupling="padded"),
        lambda: Polarization(strength=0.1, threshold=0.1, until={"macs": 0.95}, coupling="free"),
    ],
    "resume": [lambda: Resume(tempfile.mkdtemp())],
    "shrink_rounds": [lambda: kp.callbacks.ShrinkRounds("width", rounds=2, epochs_per_round=1, monitor="loss")],
    "soft_filter_pruning": [lambda: SoftFilterPruning(keep=0.5)],
    "sparsity": [lambda: Sparsity()],
    "trained_quantization": [lambda: TrainedQuantization({"conv": 7, "dense": 5})],
}


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
    assert not missing, f"add makers to this file for {missing}"


FIRST = [pytest.param(makers[0], id=name) for name, makers in HERE.items()]


@pytest.mark.whole
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


@pytest.mark.parametrize("name", kp.callbacks.names())
def test_a_method_stands_on_the_base_and_at_most_one_helper_of_its_family(name):
    ours = [each for each in inspect.getmro(kp.callbacks.member(name))[1:] if each.__module__.startswith("kerasprune")]
    assert kp.callbacks.PruningCallback in ours and len(ours) <= 2
