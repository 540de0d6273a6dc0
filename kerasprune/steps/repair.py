"""The second step: a slim model prepared for judging or training, by statistics or by least squares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import keras

from kerasprune.defaults import SAMPLES
from kerasprune.repair.reconstruction.recalibrate import recalibrate
from kerasprune.repair.reconstruction.reconstruct import reconstruct_cut
from kerasprune.steps.judge import Judge
from kerasprune.steps.report import StepReport
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.rebuild import rebuild_cut

EXACT = 1e-6
"""Error of the outputs, relative to their spread, up to which nothing was lost."""

NO_GAIN = (
    "Reconstruction would move the outputs away from those of the dense model: the kernels are not changed. "
    "Give more examples."
)


class Repaired(NamedTuple):
    """A repaired model; the model before if that is nearer to the dense one.

    Args:
        model: The model.
        step: Its report; `None` if solving was tried, and it is the model before.
        remarks: On layers that could not be solved.
    """

    model: keras.Model
    step: StepReport | None
    remarks: list[str]


def reconstruct_if_nearer(
    slim: keras.Model, cut: Cut, judge: Judge, data: Any, before: StepReport | None = None, **options: Any
) -> Repaired:
    """Solves the kernels of a slim model; keeps the result if its outputs are nearer to the dense model's.

    Args:
        slim: The slim model, which is not changed.
        cut: Its cut.
        judge: Measures both.
        data: Inputs of examples.
        before: The report of `slim`. Defaults to `None`: it is measured here.
        options: Further arguments of `kp.reconstruct`, and `remedy`, see `reconstruct_cut`.

    Raises:
        PruneError: See `kp.reconstruct`.
    """
    before = before or judge.step("removed", slim)
    if before.error is not None and not before.unjudged and before.error <= EXACT:
        return Repaired(slim, replace(before, name="reconstructed"), [])  # what went was zero: nothing to solve for
    solved, remarks = reconstruct_cut(slim, cut, data, **options)
    found = judge.step("reconstructed", solved)
    if found.is_further_than(before):
        return Repaired(slim, None, remarks)
    return Repaired(solved, found, remarks)


def make_candidate(
    way: str, cut: Cut, judge: Judge, data: Any, *, samples: int = SAMPLES, seed: int = 0, slack: float = 0.0
) -> keras.Model:
    """Returns the slim model of a cut, prepared in one of the ways of `kp.papers.spaces.rank`.

    Args:
        way: `"removed"`, unchanged; `"recalibrated"`; or `"reconstructed"`, if this brings outputs nearer to the dense.
        cut: The cut.
        judge: A judge with the dense model.
        data: Inputs of examples.
        samples: Number of examples. Defaults to 1000.
        seed: Seed of a reconstruction. Defaults to 0.
        slack: See `kp.reconstruct`. Defaults to 0.
    """
    options = {"samples": samples, "seed": seed, "slack": slack}
    return _WAYS[way](rebuild_cut(cut), cut, judge, data, options)


_WAYS: Mapping[str, Any] = {
    "removed": lambda slim, *_: slim,
    "recalibrated": lambda slim, cut, judge, data, options: recalibrate(slim, data, samples=options["samples"]),
    "reconstructed": lambda slim, cut, judge, data, options: (
        reconstruct_if_nearer(slim, cut, judge, data, **options).model
    ),
}
