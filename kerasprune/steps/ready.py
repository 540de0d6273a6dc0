"""Slim models made ready to be judged, or trained: as removal leaves them, recalibrated, or reconstructed."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from kerasprune.graph.graph import ChannelGraph
from kerasprune.plans import Plan
from kerasprune.steps.judge import Judge, nearer
from kerasprune.surgery.rebuild import rebuild
from kerasprune.verification import Verdict, verify


def made_ready(
    way: str, judge: Judge, slim: keras.Model, plan: Plan, data: Any, *, samples: int, seed: int, slack: float
) -> keras.Model:
    """Returns a slim model made ready to be judged or trained; the model itself is left untouched.

    Args:
        way: `"removed"`, as it is; `"recalibrated"`; or `"reconstructed"`, if that comes nearer to the dense outputs.
        judge: A judge of the dense model.
        slim: The slim model.
        plan: Its plan.
        data: Inputs of examples.
        samples: How many examples are looked at.
        seed: Of the positions of a reconstruction.
        slack: Of a reconstruction, see `kp.reconstruct`.
    """
    if way == "removed":
        return slim
    from kerasprune.reconstruction.recalibrate import recalibrate
    from kerasprune.reconstruction.reconstruct import reconstruct

    if way == "recalibrated":
        return recalibrate(slim, data, samples=samples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that stay as they were: the score says it
        solved = reconstruct(slim, judge.dense, plan, data, samples=samples, slack=slack, seed=seed)
        return nearer(judge, slim, solved)[0]


def remove(graph: ChannelGraph, plan: Plan, *, verified: bool = True) -> tuple[keras.Model, Verdict | None]:
    """Rebuilds a model without the channels that a plan removes; returns what was found of it, too.

    Args:
        graph: The graph of the model.
        plan: The plan.
        verified: Whether the slim model is compared with the masked dense model. Defaults to `True`.

    Raises:
        PruneError: The slim model is not what its plan says.
    """
    slim = rebuild(graph, plan)
    return slim, verify(graph, slim, plan, strict=True, reload=False) if verified else None
