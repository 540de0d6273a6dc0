"""Removing: the slim model of a plan, and the proof that it is what the plan says."""

from __future__ import annotations

from typing import NamedTuple

import keras

from kerasprune.graph.graph import ChannelGraph
from kerasprune.plans import Plan
from kerasprune.surgery.rebuild import rebuild
from kerasprune.verification import Verdict, verify


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
