"""Slim models made ready to be judged, or trained: as removal leaves them, recalibrated, or reconstructed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras

from kerasprune.defaults import READY
from kerasprune.graph.graph import ChannelGraph
from kerasprune.plans import Plan
from kerasprune.reconstruction.recalibrate import recalibrate
from kerasprune.reconstruction.reconstruct import reconstruct
from kerasprune.steps.judge import Judge, nearer
from kerasprune.surgery.rebuild import rebuild
from kerasprune.verification import Verdict, verify

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


class Removal(NamedTuple):
    """A slim model, and what was found of it; `None` if it was not verified."""

    slim: keras.Model
    verdict: Verdict | None


def remove(graph: ChannelGraph, plan: Plan, *, verified: bool = True) -> Removal:
    """Rebuilds a model without the channels that a plan removes.

    Args:
        graph: The graph of the model.
        plan: The plan.
        verified: Whether the slim model is compared with the masked dense model. Defaults to `True`.

    Raises:
        PruneError: The slim model is not what its plan says.
    """
    slim = rebuild(graph, plan)
    return Removal(slim, verify(graph, slim, plan, strict=True, reload=False) if verified else None)
