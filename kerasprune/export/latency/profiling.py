"""`profile`: the table of a device, measured on the operators of a model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

import keras

from kerasprune.errors import check_installed, extras, raise_faults, warn
from kerasprune.export.converter import QUANTIZATIONS
from kerasprune.export.latency.machine import this_machine
from kerasprune.export.latency.operators import Operator, by_key, operators
from kerasprune.export.latency.single_operators import IN_A_FILE, Pair, times_alone
from kerasprune.export.latency.staircase import Staircase, first_widths, next_widths
from kerasprune.export.latency.table import PRECISIONS, LatencyTable, file_faults, name_faults
from kerasprune.export.latency.whole_networks import times_of, uniform
from kerasprune.export.tflite_interpreter import LITERT
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size
from kerasprune.graph.trace import side_needed, trace, without

_ROUNDS = 9  # of refining: a width of 512 is halved so often
_MATTERS = 0.001  # share of the network's time below which a jump is not looked for
_KEPT = (1.0, 0.75, 0.5, 0.35, 0.25, 0.12)  # of the channels: whole networks, on which the sum is calibrated
_DISTURBED = 0.15  # how much longer one of them may take than a larger one


@extras("kp.latency.profile")
def profile(
    model: keras.Model,
    *,
    precision: str = "float32",
    threads: int = 1,
    size: Size | None = None,
    store: str | Path | None = None,
    verbose: int = 1,
) -> LatencyTable:
    """Measures how long this machine takes for the operators of a model at all widths, with LiteRT.

    Time over width is a staircase: kernels work in blocks of channels. Every operator (a layer with the BatchNorm and
    the activation that the converter fuses into it) is converted by itself at some widths and timed; the widths between
    which the time jumps are halved until the step is found. Operators that differ in widths alone share a staircase.
    Sums over operators are then calibrated on six whole networks whose weights are alike: `t = f(Σ operators)`.

    Args:
        model: A functional or Sequential model. Weights do not matter.
        precision: Precision of the file: `"float32"`, `"int8"` (activations in integers too), `"int16x8"`, `"float16"`,
            `"dynamic"` or `"int4"`. Defaults to `"float32"`.
        threads: Threads of the interpreter. Defaults to 1.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to the model's own.
        store: A `.csv` file that the table is saved to after every file of operators; an interrupted call continues
            from it. Defaults to `None`.
        verbose: 0 = silent, 1 = progress on standard error. Defaults to 1.

    Returns:
        The table, which predicts the time of every plan of the model.

    Raises:
        PruneError: An argument is out of range, the model is not functional or has a free side, or `store` is a
            table of another machine, precision, number of threads or version.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)])
        >>> table = kp.latency.profile(model, verbose=0)
        >>> 0 < table.predict(model) < 100
        True
    """
    raise_faults("The table cannot be saved:", [] if store is None else name_faults(store))
    check_installed(LITERT)
    graph = trace_for_profile(model, precision, threads, size)
    empty = LatencyTable({}, {}, precision=precision, threads=threads, **this_machine())
    before = empty if store is None or not Path(store).exists() else LatencyTable.load(store).check_same(empty, store)
    measurements = OperatorMeasurements(before, graph, times_alone, store, verbose)
    measurements.measure()
    table = measurements.table
    if table is not before or not table.calibration:  # new times, or an interrupted call
        plans = calibration_plans(graph)
        table = calibrate_table(table, graph, plans, times_of(graph, plans, precision, threads))
    if store is not None:
        table.save(store, overwrite=True)
    return table


def _of_shorter(graph: ChannelGraph) -> list[Operator]:
    """Returns the operators of a model without each of its blocks, and without all, as plans may remove them."""
    removed = [*((name,) for name in graph.blocks), tuple(graph.blocks)] if graph.blocks else []
    return [each for names in removed for each in operators(without(graph, names))]


def trace_for_profile(model: keras.Model, precision: str, threads: int, size: Size | None) -> ChannelGraph:
    """Returns the graph of a model to be measured; arguments as for `profile`.

    Raises:
        PruneError: An argument is out of range, or a side is free.
    """
    raise_faults("Invalid arguments for profile:", file_faults(precision, threads))
    check_installed(*QUANTIZATIONS[PRECISIONS[precision]].needs, "tensorflow")
    graph = trace(model, unknown="freeze", size=size)
    if any(each.is_free_inside for each in operators(graph)):
        raise side_needed(model)
    return graph


class OperatorMeasurements:
    """Measures operators file by file, and keeps what is measured.

    Args:
        table: What was measured before.
        graph: The model.
        times: Returns the milliseconds of operators, as `times_alone`; any that it leaves out is not asked for again.
        store: File to save to. Defaults to `None`.
        verbose: 0 or 1. Defaults to 0.
    """

    def __init__(
        self,
        table: LatencyTable,
        graph: ChannelGraph,
        times: Callable[..., Mapping[Pair, float]],
        store: str | Path | None = None,
        verbose: int = 0,
    ) -> None:
        self.table, self._times, self._store, self._verbose = table, times, store, verbose
        self._operators = operators(graph)
        self._alike = by_key([*self._operators, *_of_shorter(graph)])
        self._began, self._refused = perf_counter(), set()

    def measure(self) -> None:
        """Measures the first widths of every operator, then narrows the jumps down."""
        first = {key: set(first_widths(each.most, each.free)) for key, each in self._alike.items()}
        self._add({(key, widths) for key, each in first.items() for widths in each})
        timed = [each for each in self._operators if each.key in self.table.times]
        whole = sum(self.table.time(each.key, each.widths(len)) for each in timed)
        for _ in range(_ROUNDS):
            wanted = {
                (key, widths)
                for key, each in first.items()
                if key in self.table.times
                for widths in next_widths(Staircase(self.table.times[key]), each, _MATTERS * whole)
            }
            if not self._add(wanted):
                return

    def _add(self, wanted: set[Pair]) -> bool:
        """Measures widths that are not in the table; returns whether there were any."""
        known = {(key, widths) for key, each in self.table.times.items() for widths in each}
        most = {key: each.most for key, each in self._alike.items()}
        left = sorted(wanted - known - self._refused, key=lambda pair: (pair[1] != most[pair[0]], pair))
        for at in range(0, len(left), IN_A_FILE):
            part = left[at : at + IN_A_FILE]
            times = self._timed(part)
            self._refused |= set(part) - times.keys()
            self.table = self.table.with_times(times, {key: each.operator.label for key, each in self._alike.items()})
            if self._store is not None:
                self.table.save(self._store, overwrite=True)
            if self._verbose:
                done = f"{at + len(part)}/{len(left)} widths of {len(self._alike)} operators"
                print(f"profile {done}, {perf_counter() - self._began:.0f} s", file=sys.stderr, flush=True)
        return bool(left)

    def _timed(self, part: Sequence[Pair]) -> Mapping[Pair, float]:
        return self._times(part, self._alike, self.table.precision, self.table.threads)


def calibration_plans(graph: ChannelGraph) -> list[Plan]:
    """Returns the plans of the whole networks that the sum is calibrated on."""
    return [uniform(graph, share) for share in (_KEPT if graph.prunable else (1.0,))]


def calibrate_table(
    table: LatencyTable, graph: ChannelGraph, plans: Sequence[Plan], times: Sequence[float]
) -> LatencyTable:
    """Returns a table that predicts whole networks, made monotonic: other work on the machine only adds time.

    Args:
        table: The times of operators.
        graph: The model that they belong to.
        plans: The plans of the networks.
        times: Their milliseconds.
    """
    plain = table.changed(calibration=())
    pairs = sorted((plain.predict(graph, plan), time) for plan, time in zip(plans, times, strict=True))
    least = [min(time for _, time in pairs[at:]) for at in range(len(pairs))]
    worst = max(time / undisturbed - 1 for (_, time), undisturbed in zip(pairs, least, strict=True))
    if worst > _DISTURBED:
        warn(
            f"A whole network took {worst:.0%} longer than one whose operators take more: other work disturbed the "
            "measurement. Measure again when the machine is quiet; delete the store= of these times first."
        )
    of_times = {time: total for (total, _), time in zip(pairs, least, strict=True)}  # of equal times the largest sum
    rising = {total: time for time, total in reversed(of_times.items()) if total > 0}
    return table.changed(calibration=tuple(sorted(rising.items())))
