"""A slim model being solved by least squares: layer after layer, towards the outputs of the dense model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from kerasprune.backend.devices import one_thread_if_small
from kerasprune.errors import PruneError, warn
from kerasprune.graph.graph import values
from kerasprune.progress import ProgressLine
from kerasprune.repair.reconstruction.as_linear import Linear, as_linear, numbers_of
from kerasprune.repair.reconstruction.attention_logits import (
    Solution,
    join_logits,
    less_means,
    reduce_rank,
    with_fewer_sizes,
)
from kerasprune.repair.reconstruction.dense_targets import Targets, Wanted, given_to, kernel_layers, steps_of
from kerasprune.repair.reconstruction.layer_tail import Kernel, Tail, tail_of
from kerasprune.repair.reconstruction.least_squares import LeastSquares, fitted_rows
from kerasprune.repair.reconstruction.pairing import Pairing
from kerasprune.repair.reconstruction.program import Program, ProgramRun, Step
from kerasprune.surgery.weight_constraints import project

_NO_SCALE = 1e-6


@dataclass
class Rows:
    """Rows sampled from one call of a kernel: the example of each, X, Y and the residual sum; `judges` are held out."""

    examples: np.ndarray
    judges: np.ndarray
    x: np.ndarray
    y: np.ndarray
    sum: np.ndarray | None = None
    others: np.ndarray | None = None

    def where(self, chosen: np.ndarray) -> Rows:
        """Returns the chosen rows."""
        return Rows(*(None if each is None else each[chosen] for each in vars(self).values()))


@dataclass(frozen=True)
class Evidence:
    """The rows sampled from all calls of a kernel.

    Args:
        parts: The rows of each call.
        tails: What follows each.
    """

    parts: Sequence[Rows]
    tails: Sequence[Tail | None]

    @property
    def x(self) -> np.ndarray:
        """The rows of X, of all calls."""
        return _joined([part.x for part in self.parts])

    def wanted(self, present: np.ndarray | None = None) -> np.ndarray:
        """Returns the targets of the kernel; `present` is its present output, if that may matter."""
        ends = np.cumsum([len(part.x) for part in self.parts])[:-1]
        now = [None] * len(self.parts) if present is None else np.split(present, ends)
        return _joined(list(map(_wanted, self.parts, self.tails, now)))

    def cuts_off(self) -> bool:
        """Returns whether an activation clips the output, or the sum that it enters, if the sum is known."""
        pairs = zip(self.parts, self.tails, strict=True)
        bounded = [(part, tail) for part, tail in pairs if tail and np.isfinite(tail.range).any()]
        return any(tail.sum is None or part.sum is not None for part, tail in bounded)

    def split(self) -> tuple[Evidence, Evidence]:
        """Returns the examples to solve on and those that judge."""
        return tuple(
            Evidence([part.where(part.judges == judging) for part in self.parts], self.tails)
            for judging in (False, True)
        )


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Returns arrays stacked along their first axis; a single one is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _wanted(rows: Rows, tail: Tail | None, present: np.ndarray | None) -> np.ndarray:
    """Returns the targets of the kernel.

    Args:
        rows: What it is solved from.
        tail: What follows it; `None`: nothing that counts.
        present: Its present output: if that is out of range, as the target is, it may stay. Defaults to `None`:
            every target is to be met.
    """
    if tail is None:
        return rows.y
    scale, offset = (np.asarray(each, rows.y.dtype) for each in (tail.scale, tail.offset))
    others = 0.0 if rows.others is None else rows.others
    wanted = rows.y * scale + offset if rows.sum is None else rows.sum
    if present is not None:
        low, high = tail.range
        now = present * scale + offset + others
        if np.isfinite(high):
            wanted = np.where(wanted >= high, np.maximum(now, high), wanted)
        wanted = np.where(wanted <= low, np.minimum(now, low), wanted)
    heard = np.abs(scale) > _NO_SCALE
    solved = (wanted - others - offset) / np.where(heard, scale, 1.0)
    return solved if heard.all() else np.where(heard, solved, rows.y)


@dataclass(frozen=True)
class _Call:
    """A call that a kernel is solved from: its tail, if what the sum lacks is the target, and the dense outputs."""

    step: Step
    summed: Tail | None
    wanted: Wanted


_NUMBERS = 2**26  # of the rows of one layer
_LEAST = 2000  # positions of a problem that is one of many
_JUDGES = 10  # every tenth example judges
_BEYOND = 1.6  # times the way to a target that a relu cuts off: five turns do what eight did at 1


@dataclass
class Solving:
    """The slim model, being solved in place.

    Args:
        pairing: The slim model paired with the dense one.
        slim: The slim model, run on examples as far as it is solved.
        targets: Outputs of the dense model for them.
        positions: How many output positions each layer is solved on at most.
        ridges: ρ; of several the best for each kernel, on a tenth of the examples that no kernel is solved on: one that
            suits the examples alone would lead all that comes after it astray.
        slack: How much larger than the least, as a fraction, the error on those may be: the strongest ridge within it
            is taken where no BatchNorm divides the size of the kernel out. Defaults to 0.
        turns: How often the numbers that a relu cuts off are looked at again. Defaults to 5.
        verbose: 0 = silent, otherwise lines on the layers that are solved. Defaults to 0.
    """

    pairing: Pairing
    slim: ProgramRun
    targets: Targets
    positions: int
    ridges: Sequence[float]
    slack: float = field(default=0.0, kw_only=True)
    turns: int = field(default=5, kw_only=True)
    verbose: int = field(default=0, kw_only=True)
    left: dict[str, str] = field(default_factory=dict)
    scarce: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._slices = {id(entry.variable): entry for entry in self.pairing.cut.graph.slices}
        self._count = sum(len(batch[0]) for batch in self.slim.examples)

    def solve_all(self) -> None:
        """Solves every kernel in the order of the model."""
        program = self.pairing.slim
        steps = [step for step in program.before(program.outputs) if self.pairing.has_kernel(step)]
        order = [(calls, self._kernels(calls, apart)) for calls, apart in in_order(program, steps)]
        self.left |= {each.name: f"of class {each.kind}" for each in self.pairing.cut.graph.unknown}
        work, done = [], set()
        for calls, kernels in order:
            parts = join_logits(kernels, self.pairing.cut)
            work += [[(kernel, self._calls(kernel, done)) for kernel in part] for part in parts]
            done.update(calls)
        self.targets.hold([call.wanted for part in work for _, calls in part for call in calls])
        with ProgressLine("reconstruct", len(work), "layers", self.verbose) as line:
            for number, part in enumerate(work):
                line.write(number)
                self._solve(part)

    def remarks(self) -> list[str]:
        """Returns a remark that names the layers that were left as they are, if any."""
        named = "; ".join(f"{name!r} {why}" for name, why in self.left.items())
        return [f"not reconstructed, and left as they are: {named}"] if named else []

    def warn(self, remedy: str) -> None:
        """Names the layers with few rows to solve from.

        Args:
            remedy: How the caller gives more of them.
        """
        if self.scarce:
            warn(
                f"Fewer positions than unknowns, or than {_JUDGES}, in {', '.join(self.scarce)}: they stay "
                f"near their present weights; from fewer than {_JUDGES} only biases are solved. Received: "
                f"{self._count} examples. {remedy}"
            )

    def _kernels(self, calls: Sequence[Step], apart: bool) -> list[Kernel]:
        """Returns the kernels of a layer that can be solved; reports why if there is none.

        Args:
            calls: The calls of the layer.
            apart: Whether none reads what another makes.
        """
        layer, dense = calls[0].operation, self.pairing.dense_of[calls[0]].operation
        views, wholes = ([view for part in kernel_layers(each) for view in as_linear(part)] for each in (layer, dense))
        if not self.pairing.reads_channels(calls[0]):
            return []
        if not views or len(views) != len(wholes):
            self.left[layer.name] = f"of class {type(layer).__name__}"
            return []
        if not apart:
            self.left[layer.name] = "is called again on its own output"
            return []
        within = [[(step, None) for step in calls]] * (len(views) - 1)
        last = [(step, tail_of(self.pairing.slim, step, views[-1])) for step in calls]
        entries = [self._slices[id(whole.variable)] for whole in wholes]
        return [Kernel(*each) for each in zip([*within, last], views, wholes, entries, strict=True)]

    def _calls(self, kernel: Kernel, done: set[Step]) -> list[_Call]:
        """Returns the calls of a kernel with their targets; `done` are those that will have been solved before it."""
        view, columns, calls = kernel.dense, self._columns(kernel), []
        number = self._number(kernel.view, sum(steps_of(step) for step, _ in kernel.calls))
        for step, tail in kernel.calls:
            pair = self.pairing.of.get(tail.sum.outputs[0]) if tail and tail.sum else None
            if pair and any(map(self.pairing.has_kernel, {*self.pairing.slim.before(tail.others)} - done)):
                pair = None
            dense = self.pairing.dense_of[step]
            is_output = tail is not None and view.layer is dense.operation and view.is_linear
            wanted = Wanted(view, dense, is_output, pair and pair.dense, number, columns)
            calls.append(_Call(step, tail if pair else None, wanted))
        return calls

    def _solve(self, part: Sequence[tuple[Kernel, Sequence[_Call]]]) -> None:
        """Solves a kernel, or the projections of queries and keys together."""
        kernels = [kernel for kernel, _ in part]
        evidence = [
            Evidence([self._rows(kernel, call) for call in calls], [tail for _, tail in kernel.calls])
            for kernel, calls in part
        ]
        solved = list(map(self._solution, kernels, evidence))
        if len(part) > 1:
            solved = _joined_logits(kernels, evidence, solved)
        for kernel, (matrices, constant) in zip(kernels, solved, strict=True):
            kernel.view.assign(matrices, None if kernel.view.bias is None else constant)
            for norm in _norms_for_constants(kernel):
                mean = values(norm.moving_mean) - constant.ravel()
                norm.moving_mean.assign(mean.astype(norm.moving_mean.dtype))

    def _solution(self, kernel: Kernel, evidence: Evidence) -> Solution:
        """Returns the matrices and the constant of a kernel."""
        rows, (groups, width, columns) = sum(len(part.y) for part in evidence.parts), kernel.view.start.shape
        with one_thread_if_small(rows * groups * width * max(width, columns)):
            return self._fitted(kernel, evidence)

    def _fitted(self, kernel: Kernel, evidence: Evidence) -> Solution:
        view, judges = kernel.view, None
        if len(self.ridges) > 1:
            evidence, judges = evidence.split()
        x, target, ridge = evidence.x, evidence.wanted(), self.ridges[0]
        allowed = None if getattr(view.variable, "constraint", None) is None else view.allowed
        problem = LeastSquares(x, view.start, view.bias is not None or bool(kernel.norms), allowed)
        if judges is not None:
            slack = 0.0 if kernel.norms else self.slack
            ridge = problem.steadiest(target, self.ridges, judges.x, judges.wanted(), slack)
        matrices, constant = problem.solve(target, ridge)
        if evidence.cuts_off():
            for _ in range(self.turns):
                present = problem.fitted(matrices, constant)
                target = evidence.wanted(present)
                matrices, constant = problem.solve(present + _BEYOND * (target - present), ridge)
        if getattr(view.bias, "constraint", None) is not None:
            constant = project(view.bias, constant.reshape(tuple(view.bias.shape))).reshape(constant.shape)
            matrices, _ = LeastSquares(x, view.start, False, allowed).solve(target - constant, ridge)
        if len(x) < x.shape[2] or (judges is not None and not len(judges.x)):
            self.scarce.append(f"{view.layer.name!r} ({x.shape[2]:,} unknowns, {len(x):,} positions)")
        return matrices, constant

    def _rows(self, kernel: Kernel, call: _Call) -> Rows:
        """Collects rows of a call at random positions, the same number from every example."""
        view = kernel.view
        factor = 1.0 if kernel.entry.factor is None else kernel.entry.factor(self.pairing.cut.count)
        others = () if call.summed is None else call.summed.others
        parts: list[list[np.ndarray]] = []
        seen, number = 0, len(call.step.inputs)
        for here, made in zip(self.slim.batches(*call.step.inputs, *others), self.targets.of(call.wanted), strict=True):
            y = made.y * np.asarray(factor, made.y.dtype)
            part = [np.repeat(np.arange(seen, seen + len(here[0])), made.chosen.size // len(here[0]))]
            part += [view.rows(numbers_of(given_to(view.layer, call.step, here)), made.chosen), y]
            seen += len(here[0])
            if call.summed is not None:
                part.append(made.sum)
                part.append(sum(view.outputs(numbers_of(z), made.chosen) for z in here[number:]))
            parts.append(part)
        self.targets.release(call.wanted)
        examples, *others = map(np.concatenate, zip(*parts, strict=True))
        rows = Rows(examples, self._judges(examples), *others)
        self._check(kernel, rows)
        return rows

    def _judges(self, examples: np.ndarray) -> np.ndarray:
        """Returns which rows judge: those of every tenth example; of a handful of examples, every tenth row."""
        counted = examples if self._count >= _JUDGES else np.arange(len(examples))
        return counted % _JUDGES == _JUDGES - 1

    def _number(self, view: Linear, times: int) -> int:
        """Returns how many positions of each example a kernel is solved on at most, each time that it is applied."""
        groups, width, _ = view.start.shape
        most = min(self.positions, _NUMBERS // max(groups * width, 1))
        if groups > 1:  # many small problems: depthwise kernels have nine unknowns
            most = min(most, max(_LEAST, 100 * width))
        return ceil(most / self._count / times)

    def _columns(self, kernel: Kernel) -> np.ndarray:
        """Returns the index in the dense matrices of every column of the slim ones, (groups, columns)."""
        groups, rows, columns = kernel.dense.start.shape
        numbers = np.arange(groups * columns).reshape(groups, 1, columns)
        numbers = kernel.dense.kernel(np.broadcast_to(numbers, (groups, rows, columns)), kernel.dense.variable.shape)
        return kernel.view.matrix(kernel.entry.taken(numbers, self.pairing.cut.take))[:, 0]

    def _check(self, kernel: Kernel, rows: Rows) -> None:
        for name, array in (("slim", rows.x), ("dense", rows.y)):
            if not np.isfinite(array).all():
                raise PruneError(
                    f"Expected numbers at {kernel.view.layer.name!r}. Received: NaN or infinity in the {name} model. "
                    "Check the weights, and that the data are scaled as in training."
                )


def _joined_logits(
    kernels: Sequence[Kernel], evidence: Sequence[Evidence], solved: Sequence[Solution]
) -> list[Solution]:
    """Returns the solutions of the projections of queries and keys with the sizes that are left."""
    made = []
    for kernel, each, solution in zip(kernels, evidence, solved, strict=True):
        rows = [fitted_rows(part.x, *solution)[:, 0] for part in each.parts]
        made.append((rows, [part.examples for part in each.parts], kernel.entry.variable.shape[-1]))
    (queries, _, width), (keys, examples, _) = made
    keys = list(map(less_means, keys, examples))
    queries, keys = (_joined(each).reshape(-1, each[0].shape[1] // width, width) for each in (queries, keys))
    turns = reduce_rank(queries, keys, kernels[0].view.variable.shape[-1])
    return list(map(with_fewer_sizes, solved, turns))


def _norms_for_constants(kernel: Kernel) -> list[Any]:
    """Returns the BatchNorms whose means take the constant: none of a kernel with a bias."""
    return [] if kernel.view.bias is not None else kernel.norms


def in_order(program: Program, steps: Sequence[Step]) -> Iterator[tuple[list[Step], bool]]:
    """Yields all calls of one layer after another, each layer after those that any of its calls reads.

    Where no layer is called twice this is the order of the calls. A layer whose calls read each other, as a block that
    is applied again to its own output, has no place in such an order: what it reads changes with it.

    Args:
        program: The calls of the model.
        steps: Those that are asked for, each after those that feed it.

    Yields:
        The calls of a layer, and whether they can be solved: `False` where they read each other.
    """
    calls: dict[int, list[Step]] = {}
    for step in steps:
        calls.setdefault(id(step.operation), []).append(step)
    if len(calls) == len(steps):
        yield from (([step], True) for step in steps)
        return
    reads = {key: _read(program, mine) & calls.keys() for key, mine in calls.items()}
    waiting = list(calls)
    for key in [key for key in waiting if key in reads[key]]:
        waiting.remove(key)
        yield calls[key], False
    while waiting:
        ready = [key for key in waiting if not reads[key] & set(waiting)]
        key = ready[0] if ready else waiting[0]
        waiting.remove(key)
        yield calls[key], bool(ready)


def _read(program: Program, calls: Sequence[Step]) -> set[int]:
    """Returns the layers and operations that the inputs of calls depend on."""
    return {id(step.operation) for step in program.before([value for call in calls for value in call.inputs])}
