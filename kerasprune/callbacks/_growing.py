"""The base of methods with a penalty that grows inside the compiled step."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np

from kerasprune.checks import choice_faults, fraction_faults, whole_number_faults
from kerasprune.errors import PruneError, make_or_note, raise_faults, warn
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import as_patterns, trace, warn_of_unknown
from kerasprune.training.bn_scales import are_normalised
from kerasprune.training.callback import PruningCallback
from kerasprune.training.candidates import Part, Unit
from kerasprune.training.constraints import Decay
from kerasprune.training.damping import Damping
from kerasprune.training.granularity import Channel, Filter, Scale
from kerasprune.training.masks import Masks
from kerasprune.training.registry import granularities
from kerasprune.training.regularizers.growing_norm import NORMS
from kerasprune.training.regularizers.growth import GeometricGrowth, Growth, growths
from kerasprune.training.shrinkage import (
    Shrinkage,
    frozen_doubts,
    optimizer_doubts,
    reach_doubts,
    schedule_doubts,
    swing_doubts,
)


class GrowingPenalty(PruningCallback):
    """Base of GReg-1, GReg-2 and IncReg: `L(w) + ½ Σ_j λ_j w_j²` with a λ that changes inside the compiled step.

    With `decoupled=True` the loss is unchanged, and `w_j ← (1 − η·λ_j) w_j` follows the update of the weights. With
    `norm="l1"` the penalty is `Σ_j λ_j |w_j|`, decoupled `w_j ← sign(w_j) max(|w_j| − η·λ_j, 0)`.

    A method computes λ (`strength`) and the entries to remove (`Unit.pruned`).

    Args:
        schedule: The law by which the penalty grows, as given by the caller.
        papers: That of the paper.
        keep: Fraction kept, or fractions by name; `None` if a plan is given.
        granularity: The entries that are removed as one: a name, a dict, a class or an instance.
        freeze: Names of layers, or wildcards, that are kept whole.
        faults: The faults of the arguments of the method.
        decoupled: Whether the penalty bypasses the optimizer's moments.
        strict: As for `PruningCallback`.
        norm: The penalty: `"l1"` or `"l2"`. Defaults to `"l2"`.
    """

    takes = frozenset({"keep"})
    label: ClassVar[str] = "greg"
    """The prefix of the log of the penalty: `greg_penalty`."""

    def __init__(
        self,
        schedule: Any,
        papers: Growth,
        keep: float | Mapping[str, float] | None,
        granularity: Any,
        freeze: Sequence[str],
        faults: list[str],
        decoupled: bool,
        strict: bool,
        norm: str = "l2",
    ) -> None:
        super().__init__(strict=strict)
        faults += choice_faults(tuple(NORMS), norm=norm)
        self._granularity = make_or_note(faults, granularities.get, granularity)
        if keep is None and self._granularity is not None and not self._granularity.whole_channels:
            faults.append(f"Expected keep= with granularity={granularity!r}. Received: plan=, which is about channels.")
        self.growth = _law(schedule, papers, faults)
        self.freeze = make_or_note(faults, as_patterns, freeze)
        raise_faults(f"Invalid arguments for {type(self).__name__}:", faults)
        self.keep = keep
        self.granularity = granularity
        self.decoupled = decoupled
        self.norm = norm
        self._squeezed: int | None = None
        self._acting = self._granularity
        self._units: list[Unit] = []
        self._kept: dict[str, np.ndarray] = {}

    # ---- overridden by a method -------------------------------------------------------------------------------

    @property
    def length(self) -> int:
        """Steps of the whole schedule."""
        return self.growth.length

    @abstractmethod
    def strength(self, unit: Unit, step: Any) -> Any:
        """Returns λ of every entry of a unit at a step, as a tensor; called inside the compiled step."""

    def units(self) -> tuple[Plan, list[Unit]]:
        """Returns a plan without removals, to be completed when channels are picked, and the penalised units."""
        channels = self._granularity.whole_channels
        graph = trace(self.model, coupling="free" if channels else "tied", unknown="freeze", freeze=self.freeze)
        if channels:
            warn_of_unknown(graph, type(self).__name__)
        else:
            graph.check_merged()
        return Plan.of(graph, {}), self.pushed(graph, self._granularity.numbers(graph, self.keep))

    def pushed(self, graph: ChannelGraph, kept: Mapping[str, int]) -> list[Unit]:
        """Returns the units that lose entries; for a compressed schedule, in kernels that no BatchNorm undoes.

        Args:
            graph: The model's graph.
            kept: `{unit name: number of entries kept}`.
        """
        losers = [name for name, number in kept.items() if name in graph.groups and number < graph.groups[name].size]
        self._acting = self._granularity
        self._undone = type(self._granularity) is Filter and are_normalised(graph, losers)
        if self._undone and self._compresses_filters:
            self._acting, self._undone = Channel(self._granularity.coupling), False
        units = [unit for unit in self._acting.candidates(graph, kept) if unit.kept < unit.size]
        unreached = set(losers) - {unit.name for unit in units}
        self._doubt(reach_doubts(unreached, type(self._acting).__name__.lower()))
        return units

    @property
    def _compresses_filters(self) -> bool:
        """Whether it was squeezed into few steps, and would push the kernels that make channels."""
        short = self._squeezed is not None and isinstance(self.growth, GeometricGrowth)
        return short and type(self._granularity) is Filter

    @property
    def undecided(self) -> bool:
        """Whether nothing is picked yet, so that the weakest entries at this moment would be removed."""
        return False

    def picked(self, unit: Unit) -> np.ndarray:
        """Returns the sorted indices of the entries of a unit that are kept, called at the end."""
        if self.undecided:
            unit.pruned.assign(unit.lowest())
        return unit.kept_indices()

    # ---- training ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Attaches the penalty; an instance can be used for several fits."""
        self._kept = {}
        self._given, self._units = self.units()
        if not self._units:
            raise PruneError(
                "Expected something to remove. Received: a plan that keeps everything. Keep less; if only channels "
                "along residual connections can be removed, give a plan of coupling='tied'."
            )
        damping, norm = Damping.of(self.session, self.decoupled, self.length), NORMS[self.norm]
        if norm.fades or self.decoupled:
            self._law = self.growth.within(damping)
            found = schedule_doubts(self._law, damping, self._undone and norm.fades)
        else:
            self._law = self.growth.within(None)
            found = swing_doubts(self._law, damping, self._units)
        doubts = [f"{type(self).__name__} {each}" for each in found]
        self._doubt([*frozen_doubts(self._units), *doubts])
        for unit in self._units:
            self.session.track(unit.state, unit.pruned, self.read_by)
        self._decay() if self.decoupled else self._regularize()
        parts = self.session, self._units, lambda: self.undecided, self._strengths, norm, self.decoupled
        self._shrinkage = Shrinkage(*parts)
        self._stops = self.growth.stop and not (self.goes_on and self.session.now() >= self.length)

    def _regularize(self) -> None:
        """Adds the penalty to the loss."""
        self._doubt(optimizer_doubts(self.model.optimizer))
        for unit in self._units:
            for part in unit.parts:
                self.session.regularize(part.variable, NORMS[self.norm](partial(self._in_loss, unit, part)))

    def _in_loss(self, unit: Unit, part: Part) -> Any:
        """Returns λ in the shape of a kernel, while the loss is computed."""
        return part.spread(self.strength(unit, self.session.step()))

    def _decay(self) -> None:
        """Applies λ as decoupled decay, after the update of the weights."""
        shrunk = NORMS[self.norm].shrunk
        for unit in self._units:
            strengths = self.session.variable(f"strength/{unit.name}", np.zeros(unit.size, "float32"))
            self.session.before([part.variable for part in unit.parts], partial(self._write, unit, strengths))
            for part in unit.parts:
                decay = Decay(shrunk, partial(part.spread, strengths), self.session.rate, self.session.due)
                self.session.constrain(part.variable, decay)

    def _write(self, unit: Unit, strengths: Any) -> None:
        """Stores λ, once a step, before any kernel of the unit has decayed."""
        strengths.assign(self.strength(unit, self.session.step_after_update() - 1))

    @staticmethod
    def _doubt(doubts: Sequence[str]) -> None:
        for doubt in doubts:
            warn(doubt)

    @property
    def read_by(self) -> str:
        """The part of the step that reads the variables of the method."""
        return "constraint" if self.decoupled else "regularizer"

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Computes the number of steps left, so that the batch hook is one comparison."""
        super().on_epoch_begin(epoch, logs)
        self._left = self.length - self.session.now()
        self._shrinkage.begin_epoch()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Stops at the end of the schedule."""
        # A batch is at most one step; reading the exact number waits for the device.
        if self._stops and batch + 1 >= self._left and self.session.now() >= self.length:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Measures the norms, then logs."""
        self._shrinkage.look()
        super().on_epoch_end(epoch, logs)

    def end(self) -> None:
        """Picks the entries kept."""
        done = self.session.now()
        if done < self.length:
            remedy = ", but the channels it removes may still matter. Train longer, or shorten with .compressed(steps)."
            self._diagnosis.cut_short(f"take {self.length} steps", f"after {done}", remedy)
        self._kept = {unit.name: self.picked(unit) for unit in self._units}

    def gauges(self) -> dict[str, float]:
        """Returns the largest λ, the penalty, and the relative norm of the entries to be removed."""
        return self._shrinkage.gauges(self.label)

    def shortfalls(self) -> list[str]:
        """Returns a fault if the pushed norms have not fallen, though the penalty would have shrunk them."""
        return [*super().shortfalls(), *self._shrinkage.shortfalls()]

    @property
    def removed_to_kept(self) -> float:
        """Mean |w| of the entries to be removed ÷ mean |w| of those kept, of the penalised kernels, at this moment."""
        self.used()
        return self._shrinkage.relative

    def status(self) -> str:
        """Returns the length of the schedule, and the relative norm of the entries to be removed."""
        steps = f"{self.length} steps"
        return f"{steps}, removed ÷ kept {self.removed_to_kept:.2g}" if self._done else steps

    def _strengths(self, step: Any) -> list[Any]:
        """Returns λ of every entry of every unit before a step, as tensors, while a program is traced."""
        return [self.strength(unit, step) for unit in self._units]

    # ---- afterwards -------------------------------------------------------------------------------------------

    @property
    def leaves_masks(self) -> bool:
        """Whether weights are removed, rather than channels."""
        return not self._granularity.whole_channels

    @property
    def plan(self) -> Plan:
        """The plan for `kp.rebuild`, after `fit` (whole channels)."""
        self._check_done()
        if self.leaves_masks:
            raise PruneError(f"Expected channels. Received: granularity={self.granularity!r}. Use callback.masks.")
        kept = {name: indices.tolist() for name, indices in self._kept.items()}
        pushed = self.pushes if self._acting.whole_channels else ""
        return replace(self._given, keep={**self._given.keep, **kept}, pushed=pushed)

    @property
    def pushes(self) -> str:
        """The penalised weights of a channel, once `fit` has begun: `"filter"`, `"channel"` or `"scale"`."""
        return {Channel: "channel", Scale: "scale"}.get(type(self._acting), "filter")

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """`{variable path: boolean mask, true for kept weights}`, after `fit` (weights, or blocks of them)."""
        self._check_done()
        if not self.leaves_masks:
            raise PruneError(f"Expected weights. Received: granularity={self.granularity!r}. Use callback.plan.")
        return Masks(self._units).arrays()

    def compressed(self, steps: int) -> Self:
        """Returns the same callback with a short schedule, which is not the papers'.

        λ grows geometrically until `η·λ = 0.25`, and is constant for the last three tenths
        (`kp.schedules.GeometricGrowth`). With granularity `"filter"` and a BatchNorm after the filters, the kernels
        that *read* the channels are pushed instead (granularity `"channel"`), since a BatchNorm scales small outputs up
        again. Other granularities are unchanged. The `repr` names the weights that are pushed.

        Args:
            steps: Number of steps of the whole schedule, at least 3. With momentum 0.9 the penalty alone leaves
                less than a thousandth of a weight after 200, whatever the learning rate is, and a fortieth after 100.
        """
        raise_faults("Invalid arguments for compressed:", whole_number_faults(3, steps=steps))
        other = copy.copy(self)
        other.growth = self._shortened(steps)
        other._acting, other._squeezed, other._units = self._granularity, steps, []
        return other

    def _shortened(self, steps: int) -> Growth:
        if isinstance(self.growth, GeometricGrowth):
            return replace(self.growth, steps=steps, settle=None)
        return GeometricGrowth(steps, stop=self.growth.stop)

    def __repr__(self) -> str:
        text = super().__repr__()
        if self._squeezed is None:
            return text
        head, _, status = text.partition("): ")
        where = "'channel' where a BatchNorm follows" if not self._units else f"{type(self._acting).__name__.lower()!r}"
        pushed = f", granularity {where}" if self._compresses_filters else ""
        law = ", λ grows geometrically" if isinstance(self.growth, GeometricGrowth) else ""
        return f"{head}).compressed({self._squeezed}): {status}{law}{pushed}"

    @property
    def _done(self) -> bool:
        """Whether a fit has ended since the last `reset`."""
        return self.session is not None and bool(self._kept)

    def _check_done(self) -> None:
        if not self._done:
            raise PruneError("Expected a finished fit. Received: a callback that has not been used yet.")


def _law(spelt: Any, papers: Growth, faults: list[str]) -> Growth:
    """Returns the law by which a penalty grows; adds its faults to `faults`.

    Args:
        spelt: An instance, a name, a dict of a name and arguments, of arguments alone for the paper's law, or `None`.
        papers: The paper's law.
        faults: The list of faults.
    """
    asked = {"name": spelt} if isinstance(spelt, str) else {} if spelt is None else spelt
    try:
        if not isinstance(asked, Mapping) or asked.get("name", papers.name) != papers.name:
            return growths.get(spelt)
        return _changed(papers, {key: value for key, value in asked.items() if key != "name"})
    except PruneError as error:
        faults += error.faults or [str(error)]
        return papers


def _changed(papers: Growth, arguments: Mapping[str, Any]) -> Growth:
    try:
        return replace(papers, **arguments)
    except TypeError as error:
        raise PruneError(
            f"The growth {papers.name!r} could not be made: {error}. Received: {dict(arguments)!r}."
        ) from error


def keep_faults(keep: Any) -> list[str]:
    """Returns the faults of a fraction kept, or of a dict of fractions."""
    named = {f"keep[{name!r}]": value for name, value in keep.items()} if isinstance(keep, Mapping) else {"keep": keep}
    return fraction_faults(**named)
