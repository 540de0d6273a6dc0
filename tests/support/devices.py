"""Devices that exist on paper: the time of an operator is a formula, so that nothing is measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kerasprune as kp
from kerasprune.export.latency import profiling


def stairs(widths: tuple[int, int], block: int = 16, overhead: float = 0.002) -> float:
    """Returns the milliseconds of a kernel that works in blocks of the channels it makes."""
    reads, makes = widths
    return overhead + 1e-4 * math.ceil(makes / block) * block * (1 + reads)


def on_paper(monkeypatch: pytest.MonkeyPatch, time=stairs) -> None:
    """Makes this machine one whose operators take `time(widths)`, networks twice their sum + 0.5."""

    def timed(self, part):
        return {(key, widths): time(widths) for key, widths in part}

    def times_of(graph, plans, precision, threads):
        found = []
        for plan in plans:
            kept = graph.alive(plan.keep)
            each = [one.widths(lambda ids, kept=kept: int(kept[ids].sum())) for one in profiling.operators(graph)]
            found.append(2 * sum(map(time, each)) + 0.5)
        return found

    monkeypatch.setattr(profiling.OperatorMeasurements, "_timed", timed)
    monkeypatch.setattr(profiling, "times_of", times_of)


def profiled(monkeypatch: pytest.MonkeyPatch, model, time=stairs, **arguments) -> kp.latency.LatencyTable:
    """Returns the table of a model on a device on paper."""
    on_paper(monkeypatch, time)
    return kp.latency.profile(model, verbose=0, **arguments)


def random_plan(model, seed: int) -> kp.Plan:
    """Returns a plan with any number of channels of every group."""
    graph, generator = kp.trace(model), np.random.default_rng(seed)
    return kp.Plan.of(
        graph, {name: range(generator.integers(1, group.size + 1)) for name, group in graph.prunable.items()}
    )
