"""What GReg-1 and GReg-2 share: a penalty that grows inside the compiled step, its end, and what to use after it."""

from __future__ import annotations

import copy
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any

import keras
import numpy as np

from kerasprune.budgets.base import kept_number, top
from kerasprune.callbacks.attachment import Attachment
from kerasprune.callbacks.clock import Clock
from kerasprune.callbacks.units import Part, Unit, channel_units, check_granularity, weight_units
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph import ChannelGraph
from kerasprune.plans import Plan
from kerasprune.regularizers import GrowingL2
from kerasprune.tracing import trace

_EXACT = 1e-9  # so that 0.01 / 1e-5 counts as the 1000 updates that it is


@dataclass(frozen=True)
class Growth:
    """When and how far a penalty grows.

    Args:
        step: δλ, added at every update.
        every: K_u, steps between two updates; the first is at step 0.
        ceiling: τ, where it stops growing.
        settle: K_s, steps with λ at the ceiling.
    """

    step: float
    every: int
    ceiling: float
    settle: int

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.step <= self.ceiling:
            faults.append(f"Expected 0 < penalty step ≤ ceiling. Received: {self.step}, ceiling={self.ceiling}.")
        for name in ("every", "settle"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < (name == "every"):
                faults.append(f"Expected {name} to be a whole number of steps. Received: {name}={value!r}.")
        raise_faults("The schedule of the penalty is not legal:", faults)

    def updates_to(self, height: float) -> int:
        """Returns the number of updates until λ is at least `height`."""
        return ceil(height / self.step - _EXACT)

    def updates_beyond(self, height: float) -> int:
        """Returns the number of updates until λ is greater than `height`."""
        return floor(height / self.step + _EXACT) + 1


class GrowingRegularization(keras.callbacks.Callback):
    """Base of GReg-1 and GReg-2.

    A subclass says how long it takes (`length`), what λ is at a step (`strength`) and what is picked (`picked`).

    Args:
        growth: The schedule of the penalty.
        granularity: `"filter"`, `"channel"` (input channels of the consumers) or `"weight"`.
        weight_decay: γ, the L2 coefficient that the loss already holds.
        stop: Whether to stop `fit` at the end of the schedule.
    """

    def __init__(self, growth: Growth, granularity: str, weight_decay: float, stop: bool) -> None:
        super().__init__()
        if not weight_decay >= 0:
            raise PruneError(f"Expected weight_decay ≥ 0. Received: weight_decay={weight_decay!r}.")
        self.growth = growth
        self.granularity = check_granularity(granularity)
        self.weight_decay = weight_decay
        self.stop = stop
        self._clock: Clock | None = None
        self._attachment: Attachment | None = None
        self._graph: ChannelGraph | None = None
        self._units: list[Unit] = []
        self._kept: dict[str, np.ndarray] = {}

    # ---- what a subclass says -------------------------------------------------------------------------------

    @property
    @abstractmethod
    def length(self) -> int:
        """Steps that the whole schedule takes."""

    @abstractmethod
    def units(self, model: keras.Model) -> tuple[ChannelGraph, list[Unit]]:
        """Returns the model's graph and what the penalty acts on."""

    @abstractmethod
    def strength(self, unit: Unit, step: Any) -> Any:
        """Returns λ of every entry of a unit at a step, as a tensor; called inside the compiled step."""

    @abstractmethod
    def picked(self, unit: Unit) -> np.ndarray:
        """Returns the sorted indices of the entries of a unit that stay."""

    # ---- training -------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Attaches the penalty; an instance can be used for several fits."""
        model = self.model
        self.detach()
        self._kept = {}
        self._warn(model)
        self._clock = Clock(model.optimizer)
        self._graph, self._units = self.units(model)
        if not self._units:
            raise PruneError("Expected something to remove. Received: a plan that keeps everything. Keep less.")
        self._attachment = Attachment(model)
        for unit in self._units:
            for part in unit.parts:
                self._attachment.regularize(part.variable, GrowingL2(self._read(unit, part)))
        self._attachment.trace()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Notes how many steps are left, so that the batch hook is one comparison."""
        self._left = self.length - self._clock.now()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Stops at the end of the schedule."""
        if self.stop and batch + 1 >= self._left:
            self.model.stop_training = True

    def on_train_end(self, logs: dict | None = None) -> None:
        """Takes the penalty off and notes what stays."""
        done = self._clock.now()
        if done < self.length:
            warnings.warn(
                f"{type(self).__name__} was to take {self.length} steps; fit ended after {done}. The plan stands, but "
                "what it removes may still matter. Train longer, or shorten with .compressed(steps).",
                stacklevel=2,
            )
        self._kept = {unit.name: self.picked(unit) for unit in self._units}
        self.detach()

    def detach(self) -> None:
        """Takes the penalty off; does nothing where none is attached."""
        if self._attachment is not None:
            self._attachment.detach()
            self._attachment = None

    # ---- afterwards -----------------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """What to hand to `kp.rebuild` after `fit` (granularity `"filter"` and `"channel"`)."""
        self._check_done("weight", "callback.masks")
        return Plan(
            {name: kept.tolist() for name, kept in self._kept.items()},
            coupling=self._graph.coupling,
            fingerprint=self._graph.fingerprint,
        )

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """`{variable path: boolean mask of the weights that stay}` after `fit` (granularity `"weight"`)."""
        self._check_done(("filter", "channel"), "callback.plan")
        masks = {}
        for unit in self._units:
            mask = np.zeros(unit.size, bool)
            mask[self._kept[unit.name]] = True
            masks[unit.name] = mask.reshape(unit.parts[0].variable.shape)
        return masks

    def compressed(self, steps: int) -> Any:
        """Returns the same callback with its schedule squeezed into fewer steps.

        Growth and settling keep their shares of the time; λ is updated at every step, by larger amounts. This is not
        the paper's schedule: for short runs only.

        Args:
            steps: Number of steps for the whole schedule.
        """
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
            raise PruneError(f"Expected at least 2 steps. Received: steps={steps!r}.")
        other = copy.copy(self)
        settle = min(max(1, round(steps * self.growth.settle / self.length)), steps - 1)
        other._squeeze(steps - settle, settle)
        return other

    def _squeeze(self, growing: int, settle: int) -> None:
        self.growth = replace(self.growth, step=self.growth.ceiling / (growing + 1), every=1, settle=settle)

    def _read(self, unit: Unit, part: Part) -> Any:
        return lambda: part.spread(self.strength(unit, self._clock.step()))

    def _check_done(self, excluded: str | tuple[str, ...], instead: str) -> None:
        if self.granularity in excluded:
            raise PruneError(
                f"Expected another granularity. Received: granularity={self.granularity!r}. Use {instead}."
            )
        if not self._kept:
            raise PruneError("Expected a finished fit. Received: a callback that has not been used yet.")

    def _warn(self, model: keras.Model) -> None:
        if getattr(model.optimizer, "weight_decay", None):
            warnings.warn(
                f"The optimizer decays weights by itself (weight_decay={model.optimizer.weight_decay}), past the "
                "momentum; the method wants weight decay as an L2 term in the loss. Use kernel_regularizer instead.",
                stacklevel=3,
            )


def fraction_fault(keep: Any) -> list[str]:
    """Returns what is wrong with a fraction, or with a dict of fractions."""
    values = keep.values() if isinstance(keep, Mapping) else [keep]
    return [
        f"Expected fractions kept in (0, 1]. Received: keep={value!r}."
        for value in values
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1
    ]


def group_numbers(graph: ChannelGraph, keep: float | Mapping[str, float]) -> dict[str, int]:
    """Returns how many channels of each prunable group stay."""
    if isinstance(keep, Mapping):
        return {name: kept_number(graph.group(name).size, fraction) for name, fraction in keep.items()}
    return {name: kept_number(group.size, keep) for name, group in graph.prunable.items()}


def lowest_norms_go(unit: Unit) -> np.ndarray:
    """Returns the sorted indices of the entries with the largest L1 norm at this moment."""
    return top(keras.ops.convert_to_numpy(unit.norms()), unit.kept)


def inner_graph(model: keras.Model) -> ChannelGraph:
    """Returns the graph in which residual trunks keep their width, as in the paper."""
    return trace(model, coupling="free")


__all__ = [
    "Growth",
    "GrowingRegularization",
    "channel_units",
    "fraction_fault",
    "group_numbers",
    "inner_graph",
    "lowest_norms_go",
    "weight_units",
]
