"""Slim models before training or evaluation: merely cut, recalibrated, or reconstructed."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from kerasprune.data.examples import Examples
from kerasprune.errors import warn
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.graph.walk import has_free_axes
from kerasprune.steps.judge import Judge, nearer
from kerasprune.surgery.costs.cost import UNCOUNTED, cost, not_counted
from kerasprune.surgery.random_inputs import structure_inputs
from kerasprune.surgery.rebuild import rebuild
from kerasprune.surgery.verification import RandomInputsRefused, Verdict, verify

_COMPARED = 4


def made_ready(
    way: str, judge: Judge, slim: keras.Model, plan: Plan, data: Any, *, samples: int, seed: int, slack: float
) -> keras.Model:
    """Returns a slim model, recalibrated or reconstructed if asked; the given model is not changed.

    Args:
        way: `"removed"`, unchanged; `"recalibrated"`; or `"reconstructed"`, if this brings outputs nearer to the dense.
        judge: A judge with the dense model.
        slim: The slim model.
        plan: Its plan.
        data: Inputs of examples.
        samples: Number of examples.
        seed: Seed of a reconstruction.
        slack: See `kp.reconstruct`.
    """
    if way == "removed":
        return slim
    from kerasprune.repair.reconstruction.recalibrate import recalibrate
    from kerasprune.repair.reconstruction.reconstruct import reconstruct

    if way == "recalibrated":
        return recalibrate(slim, data, samples=samples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about layers that are not changed: the score shows it
        solved = reconstruct(slim, judge.dense, plan, data, samples=samples, slack=slack, seed=seed)
        return nearer(judge, slim, solved)[0]


def remove(
    graph: ChannelGraph, plan: Plan, *, verified: bool = True, examples: Examples | None = None
) -> tuple[keras.Model, Verdict | None]:
    """Rebuilds a model without the channels that a plan removes; returns it with its verdict.

    Args:
        graph: The graph of the model.
        plan: The plan.
        verified: Whether the slim model is compared with the masked dense model. Defaults to `True`.
        examples: What they are compared on if the model does not take random inputs. Defaults to `None`.

    Raises:
        PruneError: The slim model does not match its plan.
    """
    _warn_of_uncounted(graph)
    slim = rebuild(graph, plan)
    if not verified:
        return slim, None
    try:
        return slim, verify(graph, slim, plan, strict=True, reload=False)
    except RandomInputsRefused:
        if examples is None:
            raise
    inputs = structure_inputs(graph.model, examples.first(graph.model, _COMPARED)[0])
    return slim, verify(graph, slim, plan, data=inputs, strict=True, reload=False)


def _warn_of_uncounted(graph: ChannelGraph) -> None:
    """Warns if more than a twentieth of the multiply–adds is estimated, or most of them are products of tensors."""
    if graph.size is None and has_free_axes(graph.model):
        return
    found, told = cost(graph), "The multiply–adds of this model and of the slim one do not include"
    if found.uncounted > UNCOUNTED:
        warn(f"{told} everything: {not_counted(found)}.")
    if found.products > found.macs:
        warn(
            f"{told} products of tensors: {found.products:,}, where {found.macs:,} are counted; e.g. those with "
            "weights that a layer multiplies itself. Use keras.layers.Dense in the layer: it can be pruned, too."
        )
