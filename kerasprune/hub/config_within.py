"""The largest config whose model costs at most a share of the dense one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import log
from typing import Any

from kerasprune.errors import PruneError
from kerasprune.hub.class_plans import ClassPlans
from kerasprune.hub.configs import numbers_of, smaller_config
from kerasprune.hub.same_class import with_config

_TRIALS = 12
_LEAST = 1e-3


def config_within(plans: ClassPlans, config: Mapping[str, Any], **shares: float) -> dict[str, Any]:
    """Returns a config whose widths are in proportion to the dense one, as large as a share of a cost allows.

    Heads are few: units make up for them, more or fewer than in proportion, whichever is nearer to it.

    Args:
        plans: What models of the class cost.
        config: The dense config.
        **shares: One share, of `params` or `macs`.

    Raises:
        PruneError: No config costs so little.
    """
    ((cost, share),) = shares.items()
    known: dict[str, float] = {}

    def costs(smaller: dict[str, Any]) -> float:
        if str(smaller) not in known:
            known[str(smaller)] = getattr(plans, cost)(with_config(plans.model, smaller))
        return known[str(smaller)]

    def alike(share: float) -> dict[str, Any]:
        return smaller_config(config, share, share)

    def bisected(at: Callable[[float], dict[str, Any]]) -> tuple[float, float]:
        low, high = 0.0, 1.0
        for _ in range(_TRIALS):
            middle = (low + high) / 2
            low, high = (middle, high) if costs(at(middle)) <= share else (low, middle)
        return low, high

    least = costs(alike(0.0))
    if least > share:
        raise PruneError(
            f"Expected a share that some config meets: at least {least:.3f}. Received: {cost}={share}. Give a larger "
            "one, or the numbers."
        )
    below, above = bisected(alike)
    if "intermediate" not in numbers_of(config):
        return alike(below)
    found = [(scale, bisected(partial(smaller_config, config, scale))[0]) for scale in (below, above)]
    fitting = [each for each in found if each[1] and costs(smaller_config(config, *each)) <= share]
    near = min(fitting, key=lambda each: abs(log(max(each[0], _LEAST) / each[1])), default=(below, below))
    return smaller_config(config, *near)
