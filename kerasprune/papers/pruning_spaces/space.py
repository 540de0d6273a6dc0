"""`Space`: allocations of one model under constraints, each a window of one measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasprune.checks import fraction_faults, given_values, interval_faults, is_number, non_negative_faults
from kerasprune.criteria.base import Criterion
from kerasprune.errors import raise_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.sizes import Size
from kerasprune.planning import targets
from kerasprune.planning.targets.base import CostMeter, Target
from kerasprune.recipes.search.allocations import Highest
from kerasprune.recipes.search.counting import Counting
from kerasprune.surgery.costs.cost import check_counted, cost
from kerasprune.surgery.graphs import prunable_graph

AROUND = 0.1  # around a mean computation budget that is given as one number, as in the paper
DELTA = 0.002  # half the width of a window, as in the paper
_ROUNDING = 1e-9


class Window(NamedTuple):
    """The range of a measure, both ends included."""

    least: float
    most: float

    def holds(self, values: Any) -> Any:
        """Returns for each value whether it lies inside."""
        return (values >= self.least - _ROUNDING) & (values <= self.most + _ROUNDING)

    def apart(self, other: Window) -> bool:
        """Returns whether the two have nothing in common."""
        return self.most < other.least or self.least > other.most

    def __str__(self) -> str:
        return f"{self.least:.4g} to {self.most:.4g}"


@dataclass(eq=False, repr=False)
class Space:
    """The set of a model's allocations that satisfy constraints.

    An allocation gives the fraction kept of every group. Four measures of it can be constrained: `macs` and `params`,
    the fractions of the dense model's multiply–adds and parameters that are kept; `std`, the standard deviation over
    the groups of the fractions that are built, in whole channels; and `mcb`, the mean computation budget:

        mCB = (MACs / params)_slim / (MACs / params)_dense

    A fifth takes the place of `macs`, `params` and `mcb`: the share of the dense model's time or bytes that a
    `target` sets.

    Args:
        model: The model, or its graph.
        macs: Fraction of the multiply–adds that is kept, `± delta`. Defaults to `None`: not constrained.
        params: Fraction of the parameters that is kept, `± delta`. Defaults to `None`: not constrained.
        delta: Half the width of the windows of `macs` and `params`. Defaults to 0.002, as in the paper.
        std: The largest standard deviation of an allocation. Defaults to `None`: not constrained.
        mcb: The window of the mean computation budget, `(least, most)`; a number c means c ± 0.1. Defaults to `None`:
            not constrained.
        target: Time on a device, or size of the exported file, from 2 · `delta` below it up to it, as for `kp.plan`.
            Defaults to `None`: not constrained.
        criterion: Scores the channels; it must not need data. Defaults to `"l2"`.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to the model's own.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none.

    Raises:
        PruneError: An argument is out of range, two of them contradict each other, or the multiply–adds of layers
            without a rule are unknown.

    Example:
        >>> import keras
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((4,)), dense(8), dense(8), dense(2)])
        >>> space = Space(model, params=0.4, delta=0.02, std=0.1)
        >>> space.contains([[0.5, 0.5], [0.25, 0.75], [0.75, 0.25]]).tolist()
        [True, False, False]

    Reference:
        He et al., Network Pruning Spaces, 2023, Section 3: the initial space and its constraint on FLOPs, Section 3.1:
        STD pruning spaces and those with a constraint on the parameter bucket, Eq. 2, and Section 4: `c_mCB`.
    """

    model: keras.Model | ChannelGraph
    _: KW_ONLY
    macs: float | None = None
    params: float | None = None
    delta: float = DELTA
    std: float | None = None
    mcb: float | tuple[float, float] | None = None
    target: str | dict | type | Target | None = None
    criterion: str | dict | Criterion = "l2"
    size: Size | None = None
    macs_of: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shares = given_values(macs=self.macs, params=self.params)
        faults = _faults(shares, self.delta, self.std, self.mcb)
        others = [*shares, *given_values(mcb=self.mcb)]
        if self.target is not None and others:
            faults.append(f"Expected a target, or macs, params and mcb. Received: target and {', '.join(others)}.")
        raise_faults("Invalid arguments for Space:", faults)
        self.windows = {name: Window(each - self.delta, min(each + self.delta, 1.0)) for name, each in shares.items()}
        if self.mcb is not None:
            around = (self.mcb - AROUND, self.mcb + AROUND) if is_number(self.mcb) else map(float, self.mcb)
            self.windows["mcb"] = Window(*around)
        if self.std is not None:
            self.windows["std"] = Window(0.0, float(self.std))
        raise_faults("Invalid arguments for Space:", _contradictions(self.windows))
        self.graph = prunable_graph(self.model, self.size)
        if {"macs", "mcb"} & self.windows.keys():
            check_counted(cost(self.graph, macs_of=self.macs_of), "macs= and mcb=")
        self.count = Counting(self.graph, Highest(self.graph, self.criterion), self.macs_of)
        self.meters: dict[str, CostMeter] = {}
        if self.target is not None:
            target = targets.get(self.target)
            self.meters[target.counted] = meter = target.counting_meter(self.graph)
            self.windows[target.counted] = Window(meter.target - 2 * self.delta, meter.target)

    @property
    def costs(self) -> list[str]:
        """The costs with a window: `macs`, `params`, or what the target counts."""
        return [name for name in self.windows if name in ("macs", "params", *self.meters)]

    def measures(self, keep: Any) -> dict[str, np.ndarray]:
        """Returns `macs`, `params`, `mcb`, `std` and what the target counts of many allocations, an array each.

        Args:
            keep: Fractions kept, shape `(allocations, prunable groups)`.
        """
        channels = self.count.channels_at(np.asarray(keep, float))
        macs, params = self.count.shares(channels).T
        measures = {"macs": macs, "params": params, "mcb": macs / params}
        measures |= {name: self.count.metered(meter, channels) for name, meter in self.meters.items()}
        return measures | {"std": (channels / self.count.sizes).std(axis=1)}

    def rows(self, keep: Any) -> list[dict[str, float]]:
        """Returns the same measures, a row for each allocation."""
        measures = self.measures(keep)
        return [dict(zip(measures, row, strict=True)) for row in np.transpose(list(measures.values())).tolist()]

    def contains(self, keep: Any) -> np.ndarray:
        """Returns for each allocation whether it meets all constraints."""
        measures = self.measures(keep)
        held = [window.holds(measures[name]) for name, window in self.windows.items()]
        return np.logical_and.reduce([np.ones(len(measures["std"]), bool), *held])

    def __repr__(self) -> str:
        windows = ", ".join(f"{name} {window}" for name, window in self.windows.items())
        return f"<Space of {self.graph.model.name!r}: {windows or 'all allocations'}>"


def _faults(targets: Mapping[str, float], delta: float, std: float | None, mcb: Any) -> list[str]:
    """Returns the faults of the arguments of a space, one by one."""
    faults = fraction_faults(**targets) + interval_faults("(0, 1)", "a number", delta=delta)
    faults += non_negative_faults(**given_values(std=std))
    if mcb is not None and not _is_window(mcb) and not (is_number(mcb) and mcb > 0):
        faults.append(
            f"Expected mcb to be a window (least, most) of positive numbers, or one number. Received: mcb={mcb!r}."
        )
    return faults


def _is_window(mcb: Any) -> bool:
    return isinstance(mcb, tuple | list) and len(mcb) == 2 and all(map(is_number, mcb)) and 0 <= mcb[0] <= mcb[1] > 0


def _contradictions(windows: Mapping[str, Window]) -> list[str]:
    """Returns a fault if the windows of three measures exclude each other: the ratio of two of them is the third."""
    if not {"macs", "params", "mcb"} <= windows.keys():
        return []
    macs, params, mcb = (windows[name] for name in ("macs", "params", "mcb"))
    ratio = Window(max(macs.least, 0) / params.most, macs.most / max(params.least, 1e-12))
    if not ratio.apart(mcb):
        return []
    return [
        f"Expected windows that can be met together: with macs {macs} and params {params}, mcb = macs / params is "
        f"{ratio}. Received: mcb {mcb}. Leave out one of the three."
    ]
