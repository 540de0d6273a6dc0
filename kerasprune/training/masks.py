"""Masks on a model in training: removed weights and their slots of the optimizer are +0.0 after every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from math import prod
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune import criteria
from kerasprune._keras import inner_layers, own_weights
from kerasprune.backend.derivatives import measurement
from kerasprune.criteria.base import Criterion
from kerasprune.criteria.magnitude import L1
from kerasprune.errors import PruneError, nearest, raise_faults, warn
from kerasprune.graph.adapters import check_merged
from kerasprune.graph.graph import ChannelGraph, weight_paths
from kerasprune.graph.kept_channels import divisible
from kerasprune.graph.plans import Plan
from kerasprune.training.candidates import Part, Unit
from kerasprune.training.constraints import Mask, attach, take_off
from kerasprune.training.granularity import Granularity, Weight
from kerasprune.training.optimizer import ensure_built, forget_steps, slots
from kerasprune.training.registry import granularities, scopes
from kerasprune.training.scope import Global, Scope
from kerasprune.training.session import Session


@dataclass(frozen=True)
class Masks:
    """The removed entries of some units, and the next ones to remove.

    Args:
        units: The units; `Unit.pruned` is the mask.
        granularity: The kind of entry. Defaults to single weights.
        scope: The entries that compete. Defaults to all.
        criterion: The score of a weight; the lowest are removed. Defaults to the L1 norm.
        graph: The model's graph, if known. Defaults to `None`.
    """

    units: Sequence[Unit]
    granularity: Granularity = Weight()
    scope: Scope = Global()
    criterion: Criterion = L1()
    graph: ChannelGraph | None = None

    @cached_property
    def kernels(self) -> list[tuple[Any, list[tuple[Unit, Part]]]]:
        """Every kernel with its units."""
        found: dict[int, tuple[Any, list[tuple[Unit, Part]]]] = {}
        for unit in self.units:
            for part in unit.parts:
                found.setdefault(id(part.variable), (part.variable, []))[1].append((unit, part))
        return list(found.values())

    def numbers(self, keep: float) -> np.ndarray:
        """Returns the number of entries kept in each competition at the fraction `keep`."""
        return self.scope.numbers(self.units, keep)

    def lowest(self, numbers: Any) -> list[Any]:
        """Returns the entries of every unit to remove so that `numbers` are kept: those removed, then the lowest."""
        return self._lowest(self._scores(), numbers)

    def _scores(self) -> list[Any]:
        """Returns the comparable scores of the entries of every unit, −1 of those removed."""
        scores = []
        for unit in self.units:
            removed = ops.convert_to_tensor(unit.pruned)
            left = self.granularity.comparable(ops.where(removed, 0.0, unit.scores(self.criterion)))
            scores.append(ops.where(removed, -1.0, left))
        return scores

    def _lowest(self, scores: Sequence[Any], numbers: Any) -> list[Any]:
        lowest = zip(self.units, self.scope.pruned(self.units, scores, numbers), strict=True)
        return [ops.logical_or(ops.convert_to_tensor(unit.pruned), entries) for unit, entries in lowest]

    def renew(self, keep: float) -> None:
        """Removes the lowest scores down to the fraction `keep`, and sets their weights to zero; outside a step."""
        self.mark(keep)
        self.apply()

    def mark(self, keep: float) -> None:
        """Marks the lowest scores as removed, down to the fraction `keep`; outside a step."""
        scores = [ops.convert_to_tensor(each) for each in self._measure_scores()]  # a scope may be the user's
        self.assign(self._lowest(scores, self.numbers(keep)))

    @cached_property
    def _measure_scores(self) -> Callable[[], list[np.ndarray]]:
        """Measures the scores: one program for all units."""
        return measurement(self._scores, [*(variable for variable, _ in self.kernels), *self._marks])

    @cached_property
    def _measure_kept(self) -> Callable[[], list[np.ndarray]]:
        """Measures which weights of every kernel are kept, as arrays that broadcast to them: one program for all."""
        return measurement(lambda: [_kept(pairs) for _, pairs in self.kernels], self._marks)

    @property
    def _marks(self) -> list[Any]:
        return [unit.pruned for unit in self.units]

    def assign(self, pruned: Sequence[Any]) -> None:
        """Marks the removed entries of every unit."""
        for unit, removed in zip(self.units, pruned, strict=True):
            unit.pruned.assign(removed)

    def take_zeros(self, optimizer: keras.Optimizer) -> None:
        """Marks as removed the entries that an earlier pruning has left at zero, so that they stay.

        Zeros of an optimizer without steps are of an initializer, unless every unit has some. A unit of zeros alone has
        not been pruned.
        """
        zeros = [ops.convert_to_numpy(ops.equal(unit.scores(L1()), 0)) for unit in self.units]
        zeros = [each & ~each.all() for each in zeros]
        steps = int(ops.convert_to_numpy(optimizer.iterations))
        if steps or len(zeros) > 1 and all(each.any() for each in zeros):
            self.assign(zeros)

    def clear(self) -> None:
        """Marks nothing as removed."""
        self.assign([np.zeros(unit.size, bool) for unit in self.units])

    def apply(self, optimizer: keras.Optimizer | None = None) -> None:
        """Sets removed weights to zero, and their slots of a built optimizer."""
        for (variable, _), kept in zip(self.kernels, self._measure_kept(), strict=True):
            for each in (variable, *(() if optimizer is None else slots(optimizer, variable))):
                _zero_removed(each, kept)

    def holds(self) -> bool:
        """Returns whether all removed weights are zero."""
        return not any(ops.convert_to_numpy(variable)[~mask].any() for variable, mask in self._pairs())

    def settle(self) -> None:
        """Applies the masks again, with a warning, if another callback has restored other weights."""
        if self.holds():
            return
        warn(
            "At the end of the fit another callback restored weights that are not pruned as far, as "
            "EarlyStopping(restore_best_weights=True) does. The masks were applied to them, untrained. Let it start "
            "at the end of the schedule, start_from_epoch=…."
        )
        self.apply()

    def attach(self, session: Session, first: Callable[[], None] | None = None) -> None:
        """Holds removed weights at zero in every step of `fit`; the masks become part of the state.

        Args:
            session: The session of the callback, which detaches and saves them.
            first: Called inside the step, after the update of the weights and before any mask is read. Defaults to
                `None`.
        """
        ensure_built(session.model)
        for unit in self.units:
            session.track(unit.state, unit.pruned)
        if first is not None:
            session.before([variable for variable, _ in self.kernels], first)
        for variable, pairs in self.kernels:
            session.constrain(variable, Mask(partial(_kept, pairs), slots(session.model.optimizer, variable)))

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns `{variable path: boolean mask, true for kept weights}`."""
        units = ((part.variable, unit.name) for unit in self.units for part in unit.parts)
        paths = {id(variable): name for variable, name in units} if self.graph is None else self.graph.paths
        return {paths[id(variable)]: mask for variable, mask in self._pairs()}

    def _pairs(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Yields every kernel with its mask, true for kept weights."""
        for (variable, _), kept in zip(self.kernels, self._measure_kept(), strict=True):
            yield variable, np.array(np.broadcast_to(kept, tuple(variable.shape)))

    def plan(self) -> Plan:
        """Returns the plan of the channels kept.

        Raises:
            PruneError: The entries are not the channels of groups.
        """
        if self.graph is None or any(unit.name not in self.graph.groups for unit in self.units):
            raise PruneError("Expected whole channels, granularity='filter'. Received: single weights. Use .masks.")
        return Plan.of(self.graph, divisible(self.graph, {unit.name: unit.kept_indices() for unit in self.units}))

    def frozen(self) -> list[str]:
        """Returns the paths of the kernels that are kept whole because they are not trained."""
        if self.graph is None:
            return []
        inside = {id(variable) for variable, _ in self.kernels}
        kept = [k.variable for k in self.graph.kernels if not k.variable.trainable and id(k.variable) not in inside]
        return [self.graph.paths[id(variable)] for variable in kept]

    def share(self) -> float:
        """Returns the fraction kept of the weights of all kernels."""
        shares = [kept.mean() for kept in self._measure_kept()]
        return float(np.average(shares, weights=[prod(variable.shape) for variable, _ in self.kernels]))


def _zero_removed(variable: Any, kept: np.ndarray) -> None:
    """Sets the removed entries of a variable to zero; outside a step."""
    values = ops.convert_to_numpy(variable)
    variable.assign(np.where(kept, values, np.zeros((), values.dtype)))


def _kept(pairs: Sequence[tuple[Unit, Part]]) -> Any:
    return reduce(ops.logical_and, [ops.logical_not(part.spread(unit.pruned)) for unit, part in pairs])


def dtype_faults(masks: Mapping[str, np.ndarray]) -> list[str]:
    """Returns a fault for every mask that is not boolean."""
    return [
        f"Expected boolean masks. Received: dtype {np.asarray(mask).dtype} for {path!r}. Use mask.astype(bool)."
        for path, mask in masks.items()
        if np.asarray(mask).dtype != bool
    ]


def masked_variables(
    model: keras.Model, masks: Mapping[str, np.ndarray], trained: bool = False
) -> list[tuple[Any, np.ndarray]]:
    """Returns `(variable, mask)` for masks by path.

    Args:
        model: The model.
        masks: `{path of a weight, see weight_paths: boolean mask, true for kept weights}`.
        trained: Whether only weights that are trained may be masked. Defaults to `False`.

    Raises:
        PruneError: A path is not that of a weight, a mask is not boolean, or shapes differ.
    """
    paths, called = weight_paths(model), "trained variable" if trained else "variable"
    known = {paths[id(variable)]: variable for variable in model.weights if variable.trainable or not trained}
    faults = dtype_faults(masks)
    for path, mask in masks.items():
        if path not in known:
            faults.append(f"no {called} is called {path!r}.{nearest(path, known)}")
        elif tuple(known[path].shape) != np.shape(mask):
            shape = tuple(known[path].shape)
            faults.append(f"{path!r} has shape {shape}. Received: a mask of shape {np.shape(mask)}.")
    check_merged(each for each in inner_layers(model) if any(paths.get(id(v)) in masks for v in own_weights(each)))
    raise_faults("The masks do not fit the model:", faults)
    return [(known[path], np.asarray(mask)) for path, mask in masks.items()]


def apply_masks(model: keras.Model, masks: Mapping[str, np.ndarray]) -> None:
    """Sets removed weights to zero, in place; masks as for `masked_variables`."""
    for variable, mask in masked_variables(model, masks):
        _zero_removed(variable, mask)


@contextmanager
def hold_masks(model: keras.Model, masks: Mapping[str, np.ndarray]) -> Iterator[None]:
    """Holds removed weights at zero within the block, by constraints on the variables; masks as for `masked_variables`.

    `kp.callbacks.HoldMask` does the same for one `fit`, and zeroes the optimizer's slots too.
    """
    put = []
    try:
        for variable, kept in masked_variables(model, masks):
            mask = Mask(partial(ops.convert_to_tensor, kept, "bool"))
            put.append((variable, attach(variable, "constraint", mask)))
        forget_steps(model)
        yield
    finally:
        for variable, part in put:
            take_off(variable, "constraint", part)
        forget_steps(model)


@dataclass(frozen=True)
class Selection:
    """The criterion, granularity and scope by which weights are removed, and the frozen layers.

    Args:
        criterion: The score of a weight: a name, a dict, a class or an instance with `saliency`.
        granularity: The entries that are removed as one, likewise.
        scope: The entries that compete, likewise.
        freeze: Names of layers, or wildcards, that are kept whole.
    """

    criterion: Any
    granularity: Any
    scope: Any
    freeze: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "criterion", criteria.get(self.criterion))
        if self.criterion.needs:
            raise PruneError(
                "Expected a criterion of weights alone, since masks are chosen inside the compiled step. Received: "
                f"criterion={type(self.criterion).__name__}, which needs {', '.join(sorted(self.criterion.needs))}. "
                "Take 'l1', or choose channels before: kp.plan(model, criterion, data=...), and hand the plan to GReg1."
            )
        object.__setattr__(self, "granularity", granularities.get(self.granularity))
        object.__setattr__(self, "scope", scopes.get(self.scope))

    def masks(self, model: keras.Model) -> Masks:
        """Returns masks over all removable entries of a model, of which none is removed yet."""
        graph, units = self.granularity.units(model, self.freeze)
        return Masks(units, self.granularity, self.scope, self.criterion, graph)
