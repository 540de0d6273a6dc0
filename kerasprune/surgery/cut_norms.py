"""How much of the kernels a plan cuts away that a penalty was to make small."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import ops

from kerasprune.errors import warn
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.plans import Plan
from kerasprune.surgery.applied_plan import AppliedPlan

SMALL = 0.2
"""The relative norm up to which what is cut counts as small."""


def relative_norm_cut(applied: AppliedPlan, pushed: str) -> float:
    """Returns the mean |w| of what is cut ÷ the mean |w| of what stays: the mean over kernels, by how much is cut.

    Args:
        applied: The graph with the plan applied.
        pushed: `"filter"`: along the axes where channels are made; `"channel"`: along those where they are read;
            `"scale"`: of the scales γ in place of kernels.

    Returns:
        A number of 0 or more; `nan` where nothing is cut.
    """
    ratios, numbers = [], []
    for entry, axes in along(applied.graph, pushed):
        for axis in axes:
            stays = None if entry.ids[axis] is None else applied.alive[entry.ids[axis]]
            if stays is None or stays.all() or not stays.any():
                continue
            values = np.abs(ops.convert_to_numpy(entry.variable).astype("float64"))
            norms = np.moveaxis(values, axis, 0).reshape(stays.size, -1).mean(axis=1)
            kept = norms[stays].mean()
            ratios.append(norms[~stays].mean() / kept if kept else 1.0)
            numbers.append(np.count_nonzero(~stays))
    return float(np.average(ratios, weights=numbers)) if ratios else float("nan")


def along(graph: ChannelGraph, pushed: str) -> list[tuple[Slice, Sequence[int]]]:
    """Returns the variables that a penalty pushes, each with the axes along which channels lie.

    Args:
        graph: The graph.
        pushed: As for `relative_norm_cut`.
    """
    if pushed == "scale":
        return [(entry, (0,)) for entry in graph.slices if entry.role == "scale"]
    return [(kernel, kernel.makes if pushed == "filter" else kernel.reads) for kernel in graph.kernels]


def warn_of_norms(applied: AppliedPlan, plan: Plan) -> None:
    """Warns where a plan that a growing penalty has made cuts away what is not small."""
    if not plan.pushed:
        return
    norm = relative_norm_cut(applied, plan.pushed)
    if norm > SMALL:
        warn(
            f"What this plan cuts away was to be pushed to zero, and is not small: its norm is {norm:.2g} of what "
            f"stays (small: up to {SMALL}). The model will lose what it has learnt there. Train longer, with a larger "
            "ceiling or learning rate, with decoupled=True under Adam, AdamW or Lion, or "
            'granularity="channel" or "scale" where a BatchNorm follows; and do not let EarlyStopping restore earlier '
            "weights."
        )
