"""The base of methods with a penalty on the BatchNorm scales of the whole network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from kerasprune.checks import choice_faults, is_number
from kerasprune.defaults import COUPLINGS
from kerasprune.errors import PruneError, raise_faults
from kerasprune.files import replace_when_done
from kerasprune.graph.kept_channels import legal
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size
from kerasprune.planning.budgets.base import Floor, top
from kerasprune.planning.budgets.global_threshold import ThresholdBudget
from kerasprune.planning.make_plan import plan as make_plan
from kerasprune.surgery.costs.cost import cost
from kerasprune.training.bn_scales import NetworkScales, find_scales
from kerasprune.training.callback import PruningCallback
from kerasprune.training.constraints import Box, Push
from kerasprune.training.regularizers import ScalePenalty, Together
from kerasprune.training.shrinkage import gentlest_rate
from kerasprune.training.thresholds import gap

_FALLS = 0.02  # least decrease, relative to the L1 norm of the scales at the beginning


class BatchNormPenalty(PruningCallback):
    """Base of polarization and network slimming.

    A method sets the bounds of the scales (`bounds`), the end of the penalty (`until`), and chooses the channels kept
    (`chosen`), of every group at least its `floor`.

    Args:
        penalty: The penalty on all scales together.
        initial: The value of every scale when `fit` begins; `None`: unchanged.
        coupling: As for `kp.trace`.
        freeze: As for `kp.trace`.
        size: Size of the inputs at which multiply–adds are counted, see `kp.trace`.
        faults: The faults of the arguments of the subclass.
        decoupled: Whether the penalty bypasses the optimizer's moments.
        strict: As for `PruningCallback`.
    """

    takes = frozenset({"size"})
    decides = True
    label: ClassVar[str]
    """The prefix of the log of the penalty: `slimming_penalty`."""
    bounds: tuple[float, float] = (-np.inf, np.inf)
    """The least and the largest value of a scale."""
    until: Mapping[str, float] | None = None
    """The fraction of the dense model's `macs` or `params` at which the penalty ends; `None`: never."""
    floor: Floor
    """Bounds on every group."""

    def __init__(
        self,
        penalty: ScalePenalty,
        initial: float | None,
        coupling: str,
        freeze: Sequence[str],
        size: Size | None,
        faults: list[str],
        decoupled: bool,
        strict: bool,
    ) -> None:
        super().__init__(strict=strict)
        low, high = self.bounds
        if initial is not None and not (is_number(initial) and low <= initial <= high and initial != 0):
            faults.append(f"Expected initial to be None or between the bounds, not 0. Received: initial={initial!r}.")
        faults += choice_faults(COUPLINGS, coupling=coupling)
        raise_faults(f"Invalid arguments for {type(self).__name__}:", faults)
        self.penalty = penalty
        self.initial = initial
        self.coupling = coupling
        self.freeze = freeze
        self.size = size
        self.decoupled = decoupled
        self._scales: NetworkScales | None = None

    @abstractmethod
    def chosen(self, scales: NetworkScales) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Returns the channels kept of every group, and the threshold of every layer, for the present scales."""

    # ---- training -------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Sets the scales and attaches penalty and bounds; an instance can be used for several fits."""
        self._scales, self._set_plan = self.rehearse(self.model), None
        read_by = "constraint" if self.decoupled else "regularizer"
        self._weight = self.session.variable("weight", np.float32(1.0), read_by)
        self.session.notes["met_at"] = np.asarray(-1)
        if not self.goes_on:
            self._set_scales()
        self._push() if self.decoupled else self._regularize()
        self._constrain()
        self._look()

    def rehearse(self, model: keras.Model) -> NetworkScales:
        """Returns the scales of a model, after making a trial plan of them.

        Raises:
            PruneError: The model has no scales to train, or the target cannot be met or counted.
        """
        scales = find_scales(model, self.coupling, self.freeze, self.size)
        self.chosen(scales)
        if self.until is not None:
            to_target(scales, self.floor.without_cost, **self.until)
        return scales

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Records the scales; ends the penalty if the target is met."""
        self._look()
        if self.until is not None and self.target_met_at is None and self._meets_target():
            self.session.notes["met_at"] = np.asarray(self.session.now())
            self._weight.assign(0.0)
            for box, scale in zip(self._boxes, self._scales.layers, strict=True):
                box.move(*scale.bounds(scale.numbers(), scale.numbers()))
        super().on_epoch_end(epoch, logs)

    def _meets_target(self) -> bool:
        """Returns whether the present plan keeps no more than `until`."""
        ((unit, fraction),) = self.until.items()
        now, dense = (getattr(cost(self._scales.graph, plan), unit) for plan in (self.choose(), None))
        return now <= fraction * dense

    def end(self) -> None:
        """Makes the plan."""
        self._look()
        self._set_plan = self.choose()
        if self.until is not None and self.target_met_at is None:
            remedy = ". Train longer, or raise strength."
            self._diagnosis.cut_short(f"reach until={dict(self.until)}", "before", remedy)

    def gauges(self) -> dict[str, float]:
        """Returns the penalty at this moment."""
        return {f"{self.label}_penalty": float(ops.convert_to_numpy(self._weight)) * self._penalty(self._pooled())}

    def shortfalls(self) -> list[str]:
        """Returns a fault if the penalty has not fallen, though it alone could have moved every scale to zero."""
        found, strength = super().shortfalls(), self.penalty.strength
        first = np.concatenate([looks[0] for looks in self.scales.values()])
        step = gentlest_rate(self.model.optimizer, strength, self.decoupled)
        far = step * int(self.steps[-1] - self.steps[0]) >= float(np.abs(first).mean())
        least = _FALLS * float(np.abs(first).sum()) * strength
        if far and self.target_met_at is None and not self._penalty(self._pooled()) < self._penalty(first) - least:
            remedy = "Take a larger strength." if self.decoupled else "Use decoupled=True, SGD, or a larger strength."
            found.append(f"The penalty on the scales has not fallen since it began. {remedy}")
        return found

    @property
    def finished(self) -> bool:
        """Whether the target was met, so that the scales are constant."""
        return self.session is not None and self.until is not None and self.target_met_at is not None

    def _pooled(self) -> np.ndarray:
        return np.concatenate([scale.values() for scale in self._scales.layers])

    def _penalty(self, gammas: np.ndarray) -> float:
        return float(self.penalty.penalty(ops.convert_to_tensor(gammas.astype("float32"))))

    def _set_scales(self) -> None:
        for scale in self._scales.layers:
            before = scale.numbers()
            begun = before if self.initial is None else np.where(scale.inside, self.initial, before)
            scale.variable.assign(np.clip(begun, *scale.bounds(*self.bounds)))

    def _regularize(self) -> None:
        first, *others = self._scales.layers
        parts = [first.read, *((lambda _, scale=scale: scale.read(scale.variable)) for scale in others)]
        self.session.regularize(first.variable, Together(self.penalty.penalty, parts, lambda: self._weight))

    def _push(self) -> None:
        """Moves the scales past the moments; all moves are computed before the first scale moves."""
        scales = self._scales.layers
        zeros = [np.zeros(scale.inside.size, "float32") for scale in scales]
        moves = [self.session.variable(f"move/{index}", zero) for index, zero in enumerate(zeros)]

        def write() -> None:
            gammas = ops.concatenate([ops.cast(scale.read(scale.variable), "float32") for scale in scales])
            amount = self.session.rate() * ops.cast(self._weight, "float32") * self.penalty.gradient(gammas)
            ends = np.cumsum([int(scale.inside.sum()) for scale in scales])
            for scale, move, end in zip(scales, moves, ends, strict=True):
                inside = np.flatnonzero(scale.inside)[:, None]
                part = amount[end - len(inside) : end]
                move.assign(ops.scatter(inside, part, (scale.inside.size,)))

        self.session.before([scale.variable for scale in scales], write)
        for scale, move in zip(scales, moves, strict=True):
            self.session.constrain(scale.variable, Push(partial(ops.convert_to_tensor, move), self.session.due))

    def _constrain(self) -> None:
        acts = self.until is not None or np.isfinite(self.bounds).any()
        self._boxes = [Box(*scale.bounds(*self.bounds)) for scale in self._scales.layers] if acts else []
        for index, box in enumerate(self._boxes):
            self.session.constrain(self._scales.layers[index].variable, box)
            self.session.track(f"low/{index}", box.low)
            self.session.track(f"high/{index}", box.high)

    def _look(self) -> None:
        _ = self.model  # on JAX this brings the variables up to date
        scales = enumerate(self._scales.layers)
        self.session.look({f"looks/{index}": scale.values().astype("float32") for index, scale in scales})

    # ---- afterwards -----------------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """The plan for `kp.rebuild`, after `fit`."""
        if self._set_plan is None:
            raise PruneError("Expected a finished fit. Received: a callback that has not been used yet.")
        return self._set_plan

    def choose(self) -> Plan:
        """Returns the plan for the present scales: after `fit` the same as `plan`, unless weights were restored."""
        scales = self._known()
        kept, self._thresholds = self.chosen(scales)
        plan = Plan.of(scales.graph, legal(scales.graph, kept, scales.score(scales.graph)))
        return replace(plan, pushed="scale")

    @property
    def thresholds(self) -> dict[str, float]:
        """`{path of the scales: threshold}` of the plan."""
        _ = self.plan
        return dict(self._thresholds)

    @property
    def gaps(self) -> dict[str, tuple[float, float]]:
        """`{path of the scales: (highest removed, lowest kept)}`, the width of the valley at each of `thresholds`."""
        return {name: gap(looks[-1], self.thresholds[name]) for name, looks in self.scales.items()}

    @property
    def left(self) -> dict[str, str]:
        """`{group name: why it was kept whole}`: groups without scales, or with frozen ones."""
        return dict(self._known().left)

    @property
    def target_met_at(self) -> int | None:
        """The step at which the target was met and the penalty ended; `None` if it was not."""
        met_at = int(self.used().notes["met_at"])
        return None if met_at < 0 else met_at

    @property
    def steps(self) -> np.ndarray:
        """The steps at which the scales were recorded: at the beginning and after every epoch. Shape `(times,)`."""
        return np.zeros(0, int) if self.session is None else self.session.looks

    @property
    def scales(self) -> dict[str, np.ndarray]:
        """`{path of the scales: |γ|}`, each of shape `(times, channels)`."""
        looks = [self.used().notes[f"looks/{index}"] for index in range(len(self._known().layers))]
        return {scale.name: seen for scale, seen in zip(self._known().layers, looks, strict=True)}

    def histogram(self, bins: int = 50) -> tuple[np.ndarray, np.ndarray]:
        """Returns the histogram of all scales at every look.

        Args:
            bins: Number of bins. Defaults to 50.

        Returns:
            Counts of shape `(times, bins)`, and the edges of the bins, from 0 to the ceiling or the largest scale.
        """
        pooled = np.concatenate(list(self.scales.values()), axis=1)
        high = self.bounds[1] if np.isfinite(self.bounds[1]) else float(pooled.max())
        edges = np.linspace(0, high, bins + 1)
        return np.stack([np.histogram(look, edges)[0] for look in pooled]), edges

    def save(self, path: str | Path) -> Path:
        """Writes `steps` and the scales of every layer as `.npz`, in one step, and returns the path."""
        with replace_when_done(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, steps=self.steps, **{n.replace("/", "."): v for n, v in self.scales.items()})
        return Path(path)

    def artifacts(self, folder: Path) -> list[Path]:
        """Writes `scales.npz`."""
        return [self.save(folder / "scales.npz")]

    def _known(self) -> NetworkScales:
        if self._scales is None:
            raise PruneError("Expected a callback in use. Received: one that has not been used in a fit yet.")
        return self._scales


def to_target(scales: NetworkScales, floor: Floor, **target: float) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Returns the channels above the one threshold that meets a target, and that threshold for every layer.

    Args:
        scales: The scales.
        floor: Least number of channels kept of every group.
        target: `keep=`, `macs=` or `params=`, as for `kp.plan`.
    """
    graph = scales.graph
    plan = make_plan(graph, scales, ThresholdBudget(), min_keep=floor.min_keep, round_to=floor.round_to, **target)
    scores = scales.score(graph)
    removed = [np.delete(scores[name], kept) for name, kept in plan.keep.items()]
    highest = float(max((values.max(initial=0.0) for values in removed), default=0.0))
    return {name: np.asarray(kept) for name, kept in plan.keep.items()}, {s.name: highest for s in scales.layers}


def above(scales: NetworkScales, floor: Floor, thresholds: dict[str, float]) -> dict[str, np.ndarray]:
    """Returns the channels with a scale above the threshold of its layer; of every group at least its floor."""
    scores, over = scales.score(scales.graph), scales.above(thresholds)
    kept = {}
    for name, high in over.items():
        rank = scores[name] + high * (1 + scores[name].max(initial=0.0))  # those above come first
        kept[name] = top(rank, floor.without_cost.apply(int(high.sum()), high.size, name))
    return kept
