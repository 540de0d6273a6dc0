"""Schedules: from a training step to the fraction kept, or to the strength of a growing penalty.

A schedule is called with a step (a number or a tensor) and returns a fraction; all compute with `keras.ops`, so they
can run inside the compiled step. A `Moment`, a point in training, is written `"500it"` (steps) or `"10ep"` (epochs).
`LinearGrowth`, `TwoSlopeGrowth` and `GeometricGrowth` are the laws of growth of the penalties of GReg and IncReg.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import floor
from typing import Any

from keras import ops

from kerasprune.checks import (
    count_faults,
    fraction_faults,
    given_values,
    interval_faults,
    kind_faults,
    positive_faults,
    whole_number_faults,
)
from kerasprune.errors import PruneError, raise_faults, short
from kerasprune.training.registry import schedules as _schedules
from kerasprune.training.regularizers.growth import GeometricGrowth, Growth, LinearGrowth, TwoSlopeGrowth

__all__ = [
    "ConstantSparsity",
    "GeometricGrowth",
    "Growth",
    "LinearGrowth",
    "Moment",
    "PolynomialDecay",
    "Ramp",
    "Schedule",
    "Steps",
    "TwoSlopeGrowth",
    "add",
    "constant",
    "cubic",
    "from_tfmot",
    "get",
    "linear",
    "names",
    "steps",
]


def __dir__() -> list[str]:
    return __all__


Schedule = Callable[[Any], Any]
"""`schedule(step) -> fraction kept`."""

_READ = "Read a text with kp.schedules.Moment.read."  # the remedy for a point in training that is no `Moment`

add, names = _schedules.add, _schedules.names


@dataclass(frozen=True)
class Moment:
    """A point in training: a number of epochs and steps.

    Example:
        >>> Moment.read("2ep").steps(steps_per_epoch=50)
        100
    """

    epochs: int = 0
    iterations: int = 0

    def __post_init__(self) -> None:
        faults = whole_number_faults(0, epochs=self.epochs, iterations=self.iterations)
        raise_faults("Invalid arguments for Moment:", faults)

    def __str__(self) -> str:
        epochs = f"{self.epochs}ep" if self.epochs else ""
        return epochs if epochs and not self.iterations else f"{epochs}{self.iterations}it"

    @classmethod
    def read(cls, text: str | int | Moment) -> Moment:
        """Reads `"500it"`, `"10ep"` or `"2ep50it"`; a plain number counts steps."""
        if isinstance(text, Moment):
            return text
        if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
            return cls(iterations=text)
        match = re.fullmatch(r"(?:(\d+)ep)?(?:(\d+)it)?", text) if isinstance(text, str) and text else None
        if match is None:
            raise PruneError(f"Expected a point in training such as '500it', '10ep' or '2ep50it'. Received: {text!r}.")
        return cls(int(match[1] or 0), int(match[2] or 0))

    def steps(self, steps_per_epoch: int) -> int:
        """Returns the point as a number of steps."""
        return self.epochs * steps_per_epoch + self.iterations


@dataclass(frozen=True)
class Ramp:
    """From `start` to `keep` between two points: `kept(t) = keep + (start − keep)(1 − p)^power`, p the progress.

    Args:
        keep: Fraction kept at the end.
        begin: Moment at which it starts.
        end: Moment at which `keep` is reached.
        power: 3 for the cubic schedule, 1 for the linear one.
        steps_per_epoch: Needed if a point counts epochs; set by callbacks.
        start: Fraction kept at the beginning. Defaults to 1.
        every: Steps between two renewals. Defaults to `None`: as set by the callback.
    """

    keep: float
    begin: Moment
    end: Moment
    power: float = 3.0
    steps_per_epoch: float | None = None
    start: float = 1.0
    every: int | None = None

    def __post_init__(self) -> None:
        faults = fraction_faults(keep=self.keep, start=self.start)
        if not faults and self.start < self.keep:
            faults = [f"Expected start ≥ keep. Received: start={self.start}, keep={self.keep}: nothing comes back."]
        faults += kind_faults(Moment, _READ, begin=self.begin, end=self.end) + positive_faults(power=self.power)
        faults += positive_faults(**given_values(steps_per_epoch=self.steps_per_epoch)) + count_faults(every=self.every)
        raise_faults("Invalid arguments for the schedule:", faults)
        _check_order((self.begin, self.end), self.steps_per_epoch)

    def at(self, steps_per_epoch: float) -> Ramp:
        """Returns the schedule with its epochs counted in steps."""
        return replace(self, steps_per_epoch=steps_per_epoch)

    def moments(self, every: int) -> list[int]:
        """Returns the steps of the renewals: `begin, begin + every, …` and `end`."""
        begin, end = (_steps(point, self.steps_per_epoch) for point in (self.begin, self.end))
        return [*range(begin, end, every), end]

    def __call__(self, step: Any) -> Any:
        begin, end = (_steps(point, self.steps_per_epoch) for point in (self.begin, self.end))
        progress = ops.clip((ops.cast(step, "float32") - begin) / (end - begin), 0.0, 1.0)
        return self.keep + (self.start - self.keep) * (1 - progress) ** self.power


@dataclass(frozen=True)
class Steps:
    """Piecewise constant: `fractions[i]` from `points[i]` on, 1 before the first point."""

    points: tuple[Moment, ...]
    fractions: tuple[float, ...]
    steps_per_epoch: float | None = None

    def __post_init__(self) -> None:
        _check_lists(points=self.points, fractions=self.fractions)
        if len(self.points) != len(self.fractions) or not self.points:
            raise PruneError(
                f"Expected one fraction for each point. Received: {len(self.points)} points, "
                f"{len(self.fractions)} fractions."
            )
        named = {f"fractions[{index}]": value for index, value in enumerate(self.fractions)}
        points = {f"points[{index}]": value for index, value in enumerate(self.points)}
        faults = fraction_faults(**named) + kind_faults(Moment, _READ, **points)
        faults += positive_faults(**given_values(steps_per_epoch=self.steps_per_epoch))
        raise_faults("Invalid arguments for the schedule:", faults)
        _check_order(self.points, self.steps_per_epoch)

    def at(self, steps_per_epoch: float) -> Steps:
        """Returns the schedule with its epochs counted in steps."""
        return replace(self, steps_per_epoch=steps_per_epoch)

    def moments(self, every: int) -> list[int]:
        """Returns the steps at which the fraction changes."""
        return [_steps(point, self.steps_per_epoch) for point in self.points]

    def __call__(self, step: Any) -> Any:
        kept = ops.ones_like(ops.cast(step, "float32"))
        for point, fraction in zip(self.points, self.fractions, strict=True):
            kept = ops.where(ops.cast(step, "float32") >= _steps(point, self.steps_per_epoch), fraction, kept)
        return kept


def cubic(keep: float, begin: str | int = 0, end: str | int = "10ep", start: float = 1.0) -> Ramp:
    """Returns the cubic schedule: fast while much is redundant, slow towards the end.

    `kept(t) = keep + (start − keep)(1 − (t − begin)/(end − begin))³`

    Args:
        keep: Fraction kept at the end.
        begin: Moment at which it starts, e.g. `"0it"`. Defaults to the beginning.
        end: Moment at which `keep` is reached, e.g. `"10ep"`. Defaults to `"10ep"`.
        start: Fraction kept at `begin`; everything is kept before. Defaults to 1.

    Returns:
        The schedule.

    Example:
        >>> round(float(cubic(0.1, end="100it")(50)), 4)
        0.2125

    Reference:
        Zhu & Gupta, To prune, or not to prune, arXiv 1710.01878, Eq. 1.
    """
    return Ramp(keep, Moment.read(begin), Moment.read(end), 3.0, start=start)


def linear(keep: float, begin: str | int = 0, end: str | int = "10ep", start: float = 1.0) -> Ramp:
    """Returns the linear schedule `kept(t) = start − (start − keep)(t − begin)/(end − begin)`; arguments as `cubic`."""
    return Ramp(keep, Moment.read(begin), Moment.read(end), 1.0, start=start)


def constant(keep: float, begin: str | int = 0) -> Steps:
    """Returns the schedule that keeps `keep` from `begin` on."""
    raise_faults("Invalid arguments for constant:", fraction_faults(keep=keep))
    return Steps((Moment.read(begin),), (keep,))


def steps(points: Sequence[str | int], fractions: Sequence[float]) -> Steps:
    """Returns the piecewise constant schedule that keeps `fractions[i]` from `points[i]` on.

    Example:
        >>> [float(steps([10, 20], [0.5, 0.25])(t)) for t in (5, 15, 25)]
        [1.0, 0.5, 0.25]
    """
    _check_lists(points=points, fractions=fractions)
    return Steps(tuple(map(Moment.read, points)), tuple(fractions))


def get(identifier: Any) -> Schedule:
    """Returns a schedule for a `{"name": "cubic", "keep": 0.1, …}` dict, or a function of a step unchanged.

    Pruning schedules of tensorflow-model-optimization are converted: their sparsities become fractions kept.

    Raises:
        PruneError: It is none of these.
    """
    if type(identifier).__module__.startswith("tensorflow_model_optimization"):
        return from_tfmot(identifier.get_config())
    schedule = _schedules.get(identifier)
    if not callable(schedule):
        raise PruneError(
            "Expected a function from a step to the fraction kept, such as kp.schedules.cubic(keep=0.1), or a dict "
            f"{{'name': 'cubic', 'keep': 0.1}}. Received: schedule={identifier!r}."
        )
    return schedule


def from_tfmot(config: Mapping[str, Any]) -> Ramp | Steps:
    """Returns the schedule for the config of a pruning schedule of tensorflow-model-optimization.

    That package, which makes Keras 2 the Keras of the whole process, is not imported.

    Args:
        config: The result of `schedule.get_config()`: `{"class_name": …, "config": {…}}`.

    Raises:
        PruneError: The class is not `ConstantSparsity` or `PolynomialDecay`, or an argument is out of range.

    Example:
        >>> schedule = from_tfmot({"class_name": "ConstantSparsity", "config": {
        ...     "target_sparsity": 0.75, "begin_step": 100, "end_step": -1, "frequency": 100}})
        >>> [float(schedule(step)) for step in (99, 100)]
        [1.0, 0.25]
    """
    known = {"ConstantSparsity": ConstantSparsity, "PolynomialDecay": PolynomialDecay}
    name = config.get("class_name")
    if name not in known:
        raise PruneError(f"Expected ConstantSparsity or PolynomialDecay. Received: class_name={name!r}.")
    return known[name](**config.get("config", {}))


def PolynomialDecay(  # noqa: N802  as tensorflow-model-optimization calls it
    initial_sparsity: float,
    final_sparsity: float,
    begin_step: int,
    end_step: int,
    power: float = 3,
    frequency: int = 100,
) -> Ramp:
    """Returns the schedule of that name of tensorflow-model-optimization, as fractions kept.

    `kept(t) = 1 − [s_f + (s_i − s_f)(1 − (t − begin)/(end − begin))^power]`

    Here, and in `ConstantSparsity`, arguments are sparsities, as in that package; the returned schedule counts
    fractions kept.

    Args:
        initial_sparsity: s_i, fraction *removed* at `begin_step`, in [0, 1).
        final_sparsity: s_f, fraction *removed* at `end_step`, in [0, 1).
        begin_step: Step at which it starts; before it nothing is removed.
        end_step: Step at which `final_sparsity` is reached.
        power: Exponent. Defaults to 3.
        frequency: Steps between two renewals of the masks, unless the callback's `every=` says otherwise. Defaults
            to 100.

    Returns:
        The schedule.

    Raises:
        PruneError: An argument is out of range, or the sparsity falls.

    Example:
        >>> schedule = PolynomialDecay(0.0, 0.9, begin_step=0, end_step=100)
        >>> round(float(schedule(50)), 4), round(float(schedule(100)), 4)
        (0.2125, 0.1)

    Reference:
        Zhu & Gupta, To prune, or not to prune, arXiv 1710.01878, Eq. 1.
    """
    faults = _sparsity_faults(initial_sparsity=initial_sparsity, final_sparsity=final_sparsity)
    faults += whole_number_faults(0, begin_step=begin_step, end_step=end_step)
    faults += whole_number_faults(1, frequency=frequency) + positive_faults(power=power)
    if not faults and final_sparsity < initial_sparsity:
        faults.append(
            f"Expected final_sparsity ≥ initial_sparsity. Received: initial_sparsity={initial_sparsity}, "
            f"final_sparsity={final_sparsity}: nothing comes back."
        )
    if not faults and end_step <= begin_step:
        faults.append(f"Expected begin_step < end_step. Received: begin_step={begin_step}, end_step={end_step}.")
    raise_faults("Invalid arguments for PolynomialDecay:", faults)
    begin, end = Moment(iterations=begin_step), Moment(iterations=end_step)
    return Ramp(_kept(final_sparsity), begin, end, power, start=_kept(initial_sparsity), every=frequency)


def ConstantSparsity(  # noqa: N802  as tensorflow-model-optimization calls it
    target_sparsity: float, begin_step: int, end_step: int = -1, frequency: int = 100
) -> Steps:
    """Returns the schedule of that name of tensorflow-model-optimization, as fractions kept.

    Args:
        target_sparsity: Fraction *removed* from `begin_step` on, in [0, 1).
        begin_step: Step at which it is removed.
        end_step: In that package the last step at which masks are renewed; without effect here, where removal is
            final. Defaults to −1: the end of training.
        frequency: In that package steps between two renewals; likewise. Defaults to 100.

    Returns:
        The schedule.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> [float(ConstantSparsity(0.75, begin_step=100)(step)) for step in (99, 100)]
        [1.0, 0.25]
    """
    faults = _sparsity_faults(target_sparsity=target_sparsity) + whole_number_faults(0, begin_step=begin_step)
    faults += whole_number_faults(-1, end_step=end_step) + whole_number_faults(1, frequency=frequency)
    raise_faults("Invalid arguments for ConstantSparsity:", faults)
    return constant(_kept(target_sparsity), begin=begin_step)


def _sparsity_faults(**values: Any) -> list[str]:
    return interval_faults("[0, 1)", "a sparsity, the fraction removed,", **values)


def _kept(sparsity: float) -> float:
    return round(1 - sparsity, 12)


def _check_lists(**values: Any) -> None:
    """Raises if a value is not a list or similar."""
    wrong = {name: value for name, value in values.items() if isinstance(value, str) or not isinstance(value, Iterable)}
    faults = [f"Expected {name} to be a list. Received: {name}={short(value)}." for name, value in wrong.items()]
    raise_faults("Invalid arguments for the schedule:", faults)


def _check_order(points: Sequence[Moment], steps_per_epoch: float | None) -> None:
    """Checks that points ascend, as far as that is known without the length of an epoch."""
    for before, after in pairwise(points):
        if steps_per_epoch is None:
            ordered = before.epochs < after.epochs or before.iterations < after.iterations
        else:
            ordered = _steps(before, steps_per_epoch) < _steps(after, steps_per_epoch)
        if not ordered:
            raise PruneError(f"Expected points in training one after the other. Received: {before}, then {after}.")


def _steps(point: Moment, steps_per_epoch: float | None) -> int:
    if point.epochs and steps_per_epoch is None:
        raise PruneError(
            f"Expected a schedule in steps here. Received: a point in epochs ({point}). "
            "Give fit steps_per_epoch=, or the schedule its steps with schedule.at(steps_per_epoch)."
        )
    return floor(point.steps(steps_per_epoch or 0) + 1e-9)
