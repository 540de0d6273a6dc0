"""Makers of every registered callback, with a schedule that fits into 16 steps."""

from __future__ import annotations

import tempfile

import numpy as np

import kerasprune as kp
from kerasprune.callbacks import (
    FreezeKept,
    GradualMagnitude,
    GReg1,
    GReg2,
    GroupLasso,
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
from kerasprune.testing.toys import toy_model


def _some_mask() -> dict[str, np.ndarray]:
    kernel = next(variable for variable in toy_model(0).trainable_variables if variable.name == "kernel")
    return {kernel.path: np.random.default_rng(0).random(kernel.shape) < 0.3}


CUBIC = kp.schedules.cubic(keep=0.2, end="16it")

# At least one for every name.
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
        lambda: GReg1(keep=0.5, norm="l1", decoupled=True).compressed(16),
    ],
    "greg2": [
        lambda: GReg2(keep=0.5, granularity="scale", schedule={"name": "geometric", "steps": 16}),
        lambda: GReg2(keep=0.5, granularity="weight").compressed(16),
    ],
    "group_lasso": [lambda: GroupLasso(macs=0.5, strength=0.2), lambda: GroupLasso(keep=0.6, coupling="free")],
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
