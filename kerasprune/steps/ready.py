"""Slim models made ready to be judged, or trained: as removal leaves them, recalibrated, or reconstructed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras

from kerasprune.plans import Plan
from kerasprune.reconstruction.recalibrate import recalibrate
from kerasprune.reconstruction.reconstruct import reconstruct
from kerasprune.steps.choices import READY
from kerasprune.steps.judge import Judge
from kerasprune.steps.reconstruct import nearer

Preparation = Callable[[Judge, keras.Model, Plan, Any, int, int, float], keras.Model]
"""From a judge of the dense model, a slim model, its plan, examples, their number, a seed and the slack."""


def _removed(
    judge: Judge, slim: keras.Model, plan: Plan, data: Any, samples: int, seed: int, slack: float
) -> keras.Model:
    del judge, plan, data, samples, seed, slack
    return slim


def _recalibrated(
    judge: Judge, slim: keras.Model, plan: Plan, data: Any, samples: int, seed: int, slack: float
) -> keras.Model:
    del judge, plan, seed, slack
    return recalibrate(slim, data, samples=samples)


def _reconstructed(
    judge: Judge, slim: keras.Model, plan: Plan, data: Any, samples: int, seed: int, slack: float
) -> keras.Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that stay as they were: the score says it
        solved = reconstruct(slim, judge.dense, plan, data, samples=samples, slack=slack, seed=seed)
        return nearer(judge, slim, solved)[0]


PREPARATIONS: Mapping[str, Preparation] = dict(zip(READY, (_removed, _recalibrated, _reconstructed), strict=True))
"""Ways to make a slim model ready."""
