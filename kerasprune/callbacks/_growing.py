"""A penalty that grows inside the compiled step, its end, and the plan or masks that it leaves."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from keras import ops

from kerasprune.errors import PruneError, first_of, fraction_faults, is_number, made, raise_faults, warn
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import as_patterns, trace
from kerasprune.plans import Plan
from kerasprune.registry import growths
from kerasprune.regularizers import GrowingL2
from kerasprune.training import granularity as granularities
from kerasprune.training.acting import gentlest_rate
from kerasprune.training.bn_scales import normalised
from kerasprune.training.callback import PruningCallback
from kerasprune.training.candidates import Part, Unit, losing
from kerasprune.training.damping import Damping, optimizer_doubts, schedule_doubts
from kerasprune.training.decoupled import attach_decay
from kerasprune.training.growth import Geometric, Growth
from kerasprune.training.norms import relative_norm, squares

_ENOUGH = 2.0  # a penalty that alone would have shrunk weights by e⁻² has had its chance
_FALLS = 0.9  # and has not acted where they are above this part of what they were


class GrowingPenalty(PruningCallback):
    """Base of GReg-1, GReg-2 and IncReg: `L(w) + ½ Σ_j λ_j w_j²` with a λ that changes inside the compiled step.

    With `decoupled=True` the loss stays alone, and `w_j ← (1 − η·λ_j) w_j` follows the update of the weights.

    A method says what λ is (`strength`) and which entries are removed (`Unit.pruned`).

    Args:
        growth: The law by which the penalty grows.
        keep: Fraction kept, or fractions by name; `None` where a plan says what is kept.
        granularity: What is removed as one: a name of `kp.training.granularity`, a dict, a class or an instance.
        weight_decay: γ, the L2 coefficient that the loss already holds.
        stop: Whether to stop `fit` at the end of the schedule.
        freeze: Names of layers, or wildcards, that stay whole.
        faults: What is wrong with the arguments of the method.
        decoupled: Whether the penalty acts apart from the optimizer's moments.
        strict: As for `PruningCallback`.
    """

    takes = frozenset({"keep"})
    label: ClassVar[str] = "greg"
    """What the log of the penalty is called by: `greg_penalty`."""

    def __init__(
        self,
        growth: Growth,
        keep: float | Mapping[str, float] | None,
        granularity: Any,
        weight_decay: float,
        stop: bool,
        freeze: Sequence[str],
        faults: list[str],
        decoupled: bool = False,
        strict: bool = True,
    ) -> None:
        super().__init__(strict=strict)
        self._granularity = made(faults, granularities.get, granularity)
        if keep is None and self._granularity is not None and not self._granularity.whole_channels:
            faults.append(f"Expected keep= with granularity={granularity!r}. Received: plan=, which is about channels.")
        faults = [*faults, *growth.faults()]
        if not is_number(weight_decay) or not weight_decay >= 0:
            faults.append(f"Expected weight_decay ≥ 0. Received: weight_decay={weight_decay!r}.")
        self.freeze = made(faults, as_patterns, freeze)
        raise_faults(f"{type(self).__name__} cannot be made:", faults)
        self.growth = growth
        self.keep = keep
        self.granularity = granularity
        self.weight_decay = weight_decay
        self.stop = stop
        self.decoupled = decoupled
        self._squeezed: int | None = None
        self._law = growth
        self._acting = self._granularity
        self._undone = False
        self._given = Plan({})
        self._units: list[Unit] = []
        self._kept: dict[str, np.ndarray] = {}

    # ---- what a method says -----------------------------------------------------------------------------------

    @property
    def length(self) -> int:
        """Steps of the whole schedule."""
        return self.growth.length

    @abstractmethod
    def strength(self, unit: Unit, step: Any) -> Any:
        """Returns λ of every entry of a unit at a step, as a tensor; called inside the compiled step."""

    def units(self) -> tuple[Plan, list[Unit]]:
        """Returns what the penalty acts on, and the plan so far, which what is picked completes."""
        channels = self._granularity.whole_channels
        coupling, unknown = ("free", "raise") if channels else ("tied", "freeze")
        graph = trace(self.model, coupling=coupling, unknown=unknown, freeze=self.freeze)
        return Plan.of(graph, {}), self.pushed(graph, self._granularity.numbers(graph, self.keep))

    def pushed(self, graph: ChannelGraph, kept: Mapping[str, int]) -> list[Unit]:
        """Returns the units that lose entries; where the schedule is compressed, in kernels that no BatchNorm undoes.

        Args:
            graph: The model's graph.
            kept: `{unit name: number of entries kept}`.
        """
        losers = [name for name, number in kept.items() if name in graph.groups and number < graph.groups[name].size]
        self._acting, filters = self._granularity, type(self._granularity) is granularities.Filter
        self._undone = filters and normalised(graph, losers)
        if self._undone and self._compresses_filters:
            self._acting, self._undone = granularities.Channel(self._granularity.coupling), False
        units = losing(self._acting.candidates(graph, kept))
        if self._acting.whole_channels:
            _warn_of_unreached(set(losers) - {unit.name for unit in units}, self._acting)
        return units

    @property
    def _compresses_filters(self) -> bool:
        """Whether it was squeezed into few steps, and would push the kernels that make channels."""
        filters = type(self._granularity) is granularities.Filter
        return self._squeezed is not None and isinstance(self.growth, Geometric) and filters

    def picked(self, unit: Unit) -> np.ndarray:
        """Returns the sorted indices of the entries of a unit that are kept."""
        return unit.kept_indices()

    # ---- training ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Attaches the penalty; an instance can be used for several fits."""
        self._kept = {}
        self._given, self._units = self.units()
        if not self._units:
            raise PruneError("Expected something to remove. Received: a plan that keeps everything. Keep less.")
        _warn_of_frozen(self._units)
        damping = Damping.of(self.session, self.decoupled, self.length)
        self._law = self.growth.within(damping)
        for doubt in schedule_doubts(self._law, damping, self._undone):
            warn(f"{type(self).__name__} {doubt}")
        for unit in self._units:
            self.session.track(unit.state, unit.pruned, self.read_by)
        if self.decoupled:
            zeros = [np.zeros(unit.size, "float32") for unit in self._units]
            names = [f"strength/{unit.name}" for unit in self._units]
            attach_decay(self.session, self._units, list(map(self.session.variable, names, zeros)), self.strength)
        else:
            for doubt in optimizer_doubts(self.model.optimizer):
                warn(doubt)
            for unit in self._units:
                for part in unit.parts:
                    self.session.regularize(part.variable, GrowingL2(self._reader(unit, part)))
        # Steps at the last look, λ then, how far the penalty alone would have shrunk what goes, and the norms before.
        self.session.notes["looks"] = np.array([self.session.now(), 0.0, 0.0, np.nan])
        self._stops = self.stop and not (self.goes_on and self.session.now() >= self.length)

    @property
    def read_by(self) -> str:
        """What reads the variables of the method inside the step."""
        return "constraint" if self.decoupled else "regularizer"

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Notes how many steps are left, so that the batch hook is one comparison."""
        super().on_epoch_begin(epoch, logs)
        self._left = self.length - self.session.now()
        if np.isnan(self.session.notes["looks"][3]):
            self._look()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Stops at the end of the schedule."""
        # A batch is at most one step; the exact number is read last, because that waits for the device.
        if self._stops and batch + 1 >= self._left and self.session.now() >= self.length:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Looks at the norms, then logs."""
        self._look()
        super().on_epoch_end(epoch, logs)

    def end(self) -> None:
        """Notes what is kept."""
        done = self.session.now()
        if done < self.length:
            warn(
                f"{type(self).__name__} was to take {self.length} steps; fit ended after {done}. The plan stands, but "
                "what it removes may still matter. Train longer, or shorten with .compressed(steps)."
            )
        self._kept = {unit.name: self.picked(unit) for unit in self._units}

    def gauges(self) -> dict[str, float]:
        """Returns the largest λ, the penalty `½ Σ_j λ_j w_j²`, and the relative norm of what goes, at this moment."""
        strengths = self._strengths()
        penalty = sum(0.5 * float(strengths[unit.name] @ squares(unit)) for unit in self._units)
        largest = max(float(values.max()) for values in strengths.values())
        return {"λ": largest, f"{self.label}_penalty": penalty, "removed_to_kept": self.removed_to_kept}

    # ---- whether it acts --------------------------------------------------------------------------------------

    @property
    def removed_to_kept(self) -> float:
        """The mean |w| of what goes ÷ the mean |w| of what stays, of the kernels that are penalised, at this moment."""
        self.used()
        return relative_norm(self._units, {unit.name: self.going(unit) for unit in self._units})

    def going(self, unit: Unit) -> np.ndarray:
        """Returns which entries of a unit go, or would go if it were decided now; boolean, shape `(entries,)`."""
        return ops.convert_to_numpy(unit.pruned)

    def shortfalls(self) -> list[str]:
        """Returns that the norms of what is pushed have not fallen, though the penalty would have shrunk them."""
        _, _, chance, before = self.session.notes["looks"]
        now = self.removed_to_kept
        if chance < _ENOUGH or not now > _FALLS * before:
            return super().shortfalls()
        remedy = "Take a larger learning rate or ceiling." if self.decoupled else "Use decoupled=True, or SGD."
        return [
            *super().shortfalls(),
            f"What it pushes has not shrunk: its norm is {now:.2g} of what stays, {before:.2g} before. The gradient of "
            f"the penalty does not reach the weights as λ·w. {remedy}",
        ]

    def status(self) -> str:
        """Returns how long the schedule is, and how small what goes has become."""
        steps = f"{self.length} steps"
        return steps if not self._kept else f"{steps}, removed ÷ kept {self.removed_to_kept:.2g}"

    def _strengths(self) -> dict[str, np.ndarray]:
        """Returns λ of every entry of every unit, at this moment."""
        now = ops.convert_to_tensor(np.int32(self.session.now()))
        return {unit.name: ops.convert_to_numpy(self.strength(unit, now)) for unit in self._units}

    def _look(self) -> None:
        """Notes how far the penalty alone would have shrunk what goes since the last look."""
        last, before, chance, norm = self.session.notes["looks"]
        now, strengths = self.session.now(), self._strengths()
        pushed = np.mean([self._push(unit, strengths[unit.name]) for unit in self._units])
        rate = gentlest_rate(self.model.optimizer, float(before + pushed) / 2, self.decoupled)
        chance += (now - last) * rate
        if chance == 0.0:  # nothing is pushed yet: what will be is what goes now
            norm = self.removed_to_kept
        self.session.notes["looks"] = np.array([now, pushed, chance, norm])

    def _push(self, unit: Unit, strengths: np.ndarray) -> float:
        """Returns by how much λ of what goes is above that of what stays."""
        goes = self.going(unit)
        return float(strengths[goes].mean() - strengths[~goes].mean()) if goes.any() and not goes.all() else 0.0

    # ---- afterwards -------------------------------------------------------------------------------------------

    @property
    def leaves_masks(self) -> bool:
        """Whether weights are removed, rather than channels."""
        return not self._granularity.whole_channels

    @property
    def plan(self) -> Plan:
        """What to hand to `kp.rebuild` after `fit` (whole channels)."""
        self._check_done()
        if self.leaves_masks:
            raise PruneError(f"Expected channels. Received: granularity={self.granularity!r}. Use callback.masks.")
        kept = {name: indices.tolist() for name, indices in self._kept.items()}
        pushed = self.pushes if self._acting.whole_channels else ""
        return replace(self._given, keep={**self._given.keep, **kept}, pushed=pushed)

    @property
    def pushes(self) -> str:
        """Which weights of a channel the penalty is on, once `fit` has begun: `"filter"`, `"channel"` or `"scale"`."""
        kinds = {granularities.Channel: "channel", granularities.Scale: "scale"}
        return kinds.get(type(self._acting), "filter")

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """`{variable path: boolean mask of the weights that stay}` after `fit` (weights, or blocks of them)."""
        self._check_done()
        if not self.leaves_masks:
            raise PruneError(f"Expected weights. Received: granularity={self.granularity!r}. Use callback.plan.")
        return {
            part.variable.path: ops.convert_to_numpy(part.spread(np.isin(np.arange(unit.size), self._kept[unit.name])))
            for unit in self._units
            for part in unit.parts
        }

    def compressed(self, steps: int) -> Self:
        """Returns the same callback with its schedule squeezed into fewer steps: not the papers' schedule.

        λ grows geometrically until `η·λ = 0.25`, and stays there for the last three tenths
        (`kerasprune.training.growth.Geometric`). With granularity `"filter"`, where a BatchNorm stands behind the
        filters, the kernels that *read* the channels are pushed in their place, granularity `"channel"`: a
        BatchNorm scales up again what is made before it, whatever its norm is. Other granularities stay. `repr` says
        what is pushed.

        Args:
            steps: Number of steps for the whole schedule, at least 3. With momentum 0.9 the penalty alone leaves
                less than a thousandth of a weight after 200, whatever the learning rate is, and a fortieth after 100.
        """
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 3:
            raise PruneError(f"Expected at least 3 steps. Received: steps={steps!r}.")
        other = copy.copy(self)
        other.growth = other._law = self._shortened(steps)
        other._acting, other._squeezed, other._kept, other._units = self._granularity, steps, {}, []
        return other

    def _shortened(self, steps: int) -> Growth:
        if isinstance(self.growth, Geometric):
            return replace(self.growth, steps=steps, settle=None)
        return Geometric(steps)

    def __repr__(self) -> str:
        text = super().__repr__()
        if self._squeezed is None:
            return text
        head, _, status = text.partition("): ")
        where = "'channel' where a BatchNorm follows" if not self._units else f"{type(self._acting).__name__.lower()!r}"
        pushed = f", granularity {where}" if self._compresses_filters else ""
        law = ", λ grows geometrically" if isinstance(self.growth, Geometric) else ""
        return f"{head}).compressed({self._squeezed}): {status}{law}{pushed}"

    def _reader(self, unit: Unit, part: Part) -> Callable[[], Any]:
        session = self.session
        return lambda: part.spread(self.strength(unit, session.step()))

    def _check_done(self) -> None:
        if not self._kept:
            raise PruneError("Expected a finished fit. Received: a callback that has not been used yet.")


def law(identifier: Any, papers: Growth, arguments: Mapping[str, Any], faults: list[str]) -> Growth:
    """Returns the law by which a penalty grows: the papers' for `"linear"`, or the one that is spelt.

    Args:
        identifier: A name, a dict, a class or an instance.
        papers: The papers' law, made of arguments of the callback.
        arguments: Those of them that were given.
        faults: What is wrong is added here.
    """
    if identifier == "linear":
        return papers
    if arguments:
        faults.append(f"Expected {', '.join(arguments)} beside growth='linear' only. Received: growth={identifier!r}.")
    return made(faults, growths.get, identifier) or papers


def keep_faults(keep: Any) -> list[str]:
    """Returns what is wrong with a fraction kept, or with a dict of fractions."""
    values = keep.values() if isinstance(keep, Mapping) else [keep]
    return [fault for value in values for fault in fraction_faults(keep=value)]


def _warn_of_unreached(names: set[str], granularity: granularities.Granularity) -> None:
    if names:
        warn(
            f"No weights of granularity {type(granularity).__name__.lower()!r} hold the channels of "
            f"{first_of(sorted(names))}, so nothing pushes them. Take another "
            "granularity, or leave them out of the plan."
        )


def _warn_of_frozen(units: list[Unit]) -> None:
    frozen = [part.variable.path for unit in units for part in unit.parts if not part.variable.trainable]
    if frozen:
        warn(
            f"Keras leaves frozen variables out of the loss, so the penalty does not push {first_of(frozen)}. "
            "Set layer.trainable = True, or leave them out of the plan."
        )
