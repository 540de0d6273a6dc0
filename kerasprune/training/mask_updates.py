"""The table of a schedule in one fit: the steps at which masks are renewed, and the fraction kept from each on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kerasprune.errors import PruneError, short
from kerasprune.training.schedules import Ramp, Schedule, Steps


@dataclass(frozen=True)
class Updates:
    """The steps at which masks are renewed, ascending, and the fraction kept from each on."""

    steps: tuple[int, ...]
    keep: tuple[float, ...]

    def at(self, step: int) -> float:
        """Returns the fraction kept after a number of steps."""
        return ([1.0] + [keep for due, keep in zip(self.steps, self.keep, strict=True) if due <= step])[-1]


def updates(schedule: Schedule, every: int, steps_per_epoch: float | None, total: int | None) -> Updates:
    """Returns the table of a schedule.

    Args:
        schedule: From a step to the fraction kept.
        every: Steps between two renewals.
        steps_per_epoch: Updates of the weights in an epoch, with gradient accumulation perhaps a fraction; `None`
            if unknown.
        total: Updates of the weights in the whole fit, or `None` if unknown; needed for plain functions.

    Raises:
        PruneError: The length of the fit is needed and not known, or the fraction kept grows or leaves (0, 1].
    """
    if isinstance(schedule, Ramp | Steps):
        bound = schedule if steps_per_epoch is None else schedule.at(steps_per_epoch)
        moments = bound.moments(every)
    elif total is None:
        raise PruneError(
            "Expected data of known length for a schedule that is a plain function. Received: no number of steps. "
            "Give fit steps_per_epoch=, or use a schedule of kp.schedules."
        )
    else:
        bound, moments = schedule, list(range(0, total + 1, every))
    found = [np.asarray(bound(step)) for step in moments]
    if any(each.dtype.kind not in "iuf" or each.size != 1 for each in found):
        raise PruneError(f"Expected a schedule that returns a fraction kept. Received: {short(found[0])} at step 0.")
    # float32 has 7 digits; 0.7 must not become 0.69999999, which rounds to one weight less.
    keep = [round(float(each.item()), 7) for each in found]
    bad = [k for k in keep if not 0 < k <= 1]
    if bad or any(after > before for before, after in pairwise([1.0, *keep])):
        raise PruneError(f"Expected fractions kept in (0, 1] that do not grow. Received: {(bad or keep)[:5]}.")
    return Updates(tuple(moments), tuple(keep))
