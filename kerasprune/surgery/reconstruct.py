"""`reconstruct`: the kernels of a slim model solved, layer after layer, for what the dense model puts out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import keras
import numpy as np

from kerasprune.errors import PruneError, is_number, raise_faults, seed_faults, whole_number_faults
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.values import values
from kerasprune.plans import Plan
from kerasprune.rules.gate import Gate
from kerasprune.surgery.as_linear import Linear, as_linear, at_least_float32
from kerasprune.surgery.clone import clone
from kerasprune.surgery.copy_layer import make_layer
from kerasprune.surgery.example_batches import example_batches
from kerasprune.surgery.inner_kernels import given_to, kernel_layers
from kerasprune.surgery.layer_tail import Tail, tail_of
from kerasprune.surgery.least_squares import LeastSquares, fitted, steadiest_ridge
from kerasprune.surgery.pairing import Pairing, paired
from kerasprune.surgery.program import Batches, Run, Step
from kerasprune.surgery.scratch import Scratch

NO_GAIN = (
    "Reconstruction has led away from the outputs of the dense model: the kernels stay as they were. Give more "
    "examples, or train."
)
"""What is said where a reconstruction is not taken."""

_NUMBERS = 2**26  # of the rows of one layer
_LEAST = 2000  # positions of a problem that is one of many
_MANY, _PER_UNKNOWN = 500, 10  # examples, and positions, from which the ridge need not be chosen by them
_TURNS = 8
_NO_SCALE = 1e-6


def reconstruct(
    slim: keras.Model,
    model: keras.Model | ChannelGraph,
    plan: Plan,
    data: Any,
    *,
    samples: int = 1000,
    positions: int = 15_000,
    ridge: float = 1e-3,
    seed: int = 0,
) -> keras.Model:
    """Solves the kernels of a slim model so that its layers put out what those of the dense model do.

    Layer after layer, in the order of the model, without labels and without training:
    `min ‖X·W + 1bᵀ − Y‖² + ρ·tr(XᵀX)/d·‖W − W₀‖²`. X is what the layer reads in the slim model, whose layers before it
    are solved already; Y what the dense layer makes before its activation, of the channels that are kept; W₀ what the
    kernel is now. The constant b goes into the bias, or into the mean of a BatchNorm behind. Where the layer ends a
    residual branch, Y is what the *sum* lacks, so that the branch answers for what the trunk has lost; before a relu,
    numbers that it cuts off need not be met.

    Activations that later layers read are held for all examples: in memory up to 2 GiB, beyond it in temporary files.

    Do not recalculate BatchNorm statistics afterwards: the targets are in those of the dense model.

    Args:
        slim: What `kp.rebuild(model, plan)` has made; it is left untouched.
        model: The dense model, or a graph of it; it is left untouched.
        plan: What stays.
        data: Examples without labels: an array, or a tuple, list or dict of arrays for several inputs; or batches (a
            `tf.data` data set, a loader, a list), each inputs or `(inputs, labels, …)`, of which labels are ignored.
        samples: How many examples are taken at most. Defaults to 1000.
        positions: How many output positions each layer is solved on at most. Defaults to 15,000.
        ridge: ρ ≥ 0, how strongly the present weights are held on to. With fewer than 500 examples, or 10 positions
            for each unknown, the best of ρ, 10 ρ, 100 ρ and 1000 ρ on a fifth of them. Defaults to 1e-3.
        seed: Of the choice of positions. Defaults to 0.

    Returns:
        A new model of the same architecture, not compiled. A warning names layers that were left as they are.

    Raises:
        PruneError: The slim model is not one of this plan, the data do not fit, or a layer puts out what is no number.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> keras.utils.set_random_seed(0)
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((4,)), dense(8, "relu", name="hidden"), dense(3)])
        >>> plan = kp.plan(model, keep=0.5)
        >>> data = np.random.default_rng(0).normal(size=(500, 4))
        >>> slim = kp.reconstruct(kp.rebuild(model, plan), model, plan, data)
        >>> slim.get_layer("hidden").units
        4

    Reference:
        He et al., Channel Pruning for Accelerating Very Deep Neural Networks, ICCV 2017, §3.1; Luo et al., ThiNet, ICCV
        2017, §3.2; Zhang et al., Accelerating Very Deep Convolutional Networks, 2015, §2.2 (relu, asymmetric).
    """
    faults = whole_number_faults(1, samples=samples, positions=positions) + seed_faults(seed=seed)
    if not is_number(ridge) or ridge < 0:
        faults.append(f"Expected ridge to be a number ≥ 0. Received: ridge={ridge!r}.")
    raise_faults("The model cannot be reconstructed:", faults)
    paired(slim, model, plan)  # to say first what does not fit
    new, _ = clone(
        slim, lambda layer: make_layer(layer, {}), lambda node, index, x: x, value=lambda v: values(v).copy()
    )
    pairing = paired(new, model, plan)
    work = _Work(pairing, example_batches(slim, data, samples), positions, ridge, np.random.default_rng(seed))
    work.solve_all()
    work.warn()
    return new


@dataclass
class _Kernel:
    """One kernel to be solved.

    Args:
        step: The call of the slim model.
        view: The kernel.
        dense: The same kernel of the dense model.
        entry: How that follows the channels.
        tail: What stands behind; `None` where another kernel of the layer does.
    """

    step: Step
    view: Linear
    dense: Linear
    entry: Slice
    tail: Tail | None


@dataclass
class _Rows:
    """What a kernel is solved from: rows of X, of Y, and of the residual sum it goes into."""

    x: np.ndarray
    y: np.ndarray
    sum: np.ndarray | None = None
    others: np.ndarray | None = None


@dataclass
class _Work:
    """The slim model, being solved."""

    pairing: Pairing
    examples: Batches
    positions: int
    ridge: float
    random: np.random.Generator
    left: dict[str, str] = field(default_factory=dict)
    scarce: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        scratch = Scratch()
        self._slim = Run(self.pairing.slim, self.examples, scratch=scratch)
        self._dense = Run(self.pairing.dense, self.examples, scratch=scratch)
        self._slices = {id(entry.variable): entry for entry in self.pairing.applied.graph.slices}
        self._count = sum(len(batch[0]) for batch in self.examples)
        self._done: set[Step] = set()

    def solve_all(self) -> None:
        """Solves every kernel in the order of the model."""
        order = [step for step in self.pairing.slim.before(self.pairing.slim.outputs) if self.pairing.has_kernel(step)]
        kernels = {step: self._kernels(step) for step in order}
        self.left |= {each.name: f"of class {each.kind}" for each in self.pairing.applied.graph.unknown}
        for step in order:
            self._dense.pinned.update(self._needed(step, kernels[step]))
        for step in order:
            for kernel in kernels[step]:
                self._solve(kernel)
            self._dense.pinned.subtract(self._needed(step, kernels[step]))
            self._done.add(step)

    def warn(self) -> None:
        """Names what was left as it is, and where there was little to solve from."""
        if self.left:
            named = "; ".join(f"{name!r} {why}" for name, why in self.left.items())
            warnings.warn(f"Not reconstructed, and left as they are: {named}.", stacklevel=3)
        if self.scarce:
            warnings.warn(
                f"Fewer positions than unknowns in {', '.join(map(repr, self.scarce))}: they stay near their present "
                f"weights. Give more data, or raise samples= and positions=. Received: {self._count} examples.",
                stacklevel=3,
            )

    def _kernels(self, step: Step) -> list[_Kernel]:
        """Returns the kernels of a call that can be solved; says why where there is none."""
        layer, dense = step.operation, self.pairing.dense_of[step].operation
        views, wholes = ([view for part in kernel_layers(each) for view in as_linear(part)] for each in (layer, dense))
        if not views or len(views) != len(wholes):
            self.left[layer.name] = f"of class {type(layer).__name__}"
            return []
        if sum(each.operation is layer for each in self.pairing.slim.steps) > 1:
            self.left[layer.name] = "is called several times"
            return []
        tails = [None] * (len(views) - 1) + [tail_of(self.pairing.slim, step, views[-1])]
        entries = [self._slices[id(whole.variable)] for whole in wholes]
        return [_Kernel(step, *each) for each in zip(views, wholes, entries, tails, strict=True)]

    def _needed(self, step: Step, kernels: Sequence[_Kernel]) -> dict[Any, int]:
        """Returns which tensors of the dense model are to be held until a call is solved."""
        needed = {value: len(kernels) for value in self.pairing.dense_of[step].inputs}
        for kernel in kernels:
            if kernel.tail and kernel.tail.sum and (pair := self.pairing.of.get(kernel.tail.sum.outputs[0])):
                needed[pair.dense] = needed.get(pair.dense, 0) + 1
        return needed

    def _solve(self, kernel: _Kernel) -> None:
        view, tail = kernel.view, kernel.tail
        rows = self._rows(kernel)
        norm = tail.norm if tail and view.bias is None else None
        target = rows.y if tail is None else _wanted(rows, tail, None)
        ridge, has_constant = self.ridge, view.bias is not None or norm is not None
        if self._count < _MANY or len(rows.x) < _PER_UNKNOWN * rows.x.shape[2]:
            ridge = steadiest_ridge(rows.x, target, view.start, ridge, has_constant)
        problem = LeastSquares(rows.x, view.start, ridge, has_constant)
        matrices, constant = problem.solve(target)
        if tail and np.isfinite(tail.range).any() and (tail.sum is None or rows.sum is not None):
            for _ in range(_TURNS):
                target = _wanted(rows, tail, fitted(rows.x, matrices, constant))
                matrices, constant = problem.solve(target)
        view.assign(matrices, None if view.bias is None else constant)
        if norm is not None:
            norm.moving_mean.assign(values(norm.moving_mean) - constant.ravel())
        if len(rows.x) < rows.x.shape[2]:
            self.scarce.append(view.layer.name)

    def _rows(self, kernel: _Kernel) -> _Rows:
        """Collects rows at random positions, as many of every example."""
        view, tail, step = kernel.view, kernel.tail, kernel.step
        columns = self._columns(kernel)
        factor = 1.0 if kernel.entry.factor is None else kernel.entry.factor(self.pairing.applied.count)
        gates = self._gates(self.pairing.dense_of[step])
        pair = self.pairing.of.get(tail.sum.outputs[0]) if tail and tail.sum else None
        if pair and any(self.pairing.has_kernel(each) for each in self._unsolved_before(tail.others)):
            pair = None
        there_too = self.pairing.dense_of[step]
        ours = self._slim.batches(*step.inputs, *(tail.others if pair else ()))
        theirs = self._dense.batches(*there_too.inputs, *([pair.dense] if pair else []))
        groups, width, _ = view.start.shape
        most = min(self.positions, _NUMBERS // max(groups * width, 1))
        if groups > 1:  # many small problems: depthwise kernels have nine unknowns
            most = min(most, max(_LEAST, 100 * width))
        parts: list[list[np.ndarray]] = []
        for here, there in zip(ours, theirs, strict=True):
            x = _array(given_to(view.layer, step, here))
            whole = _array(given_to(kernel.dense.layer, there_too, there))
            chosen = self._chosen(len(x), view.positions(x.shape), most)
            y = kernel.dense.made(whole, chosen)
            y = (y.reshape(len(y), -1) * gates)[:, columns] * np.asarray(factor, y.dtype)
            part = [view.rows(x, chosen), y]
            if pair:
                part.append(view.outputs(pair.cut(_array(there[-1])), chosen))
                part.append(sum(view.outputs(_array(z), chosen) for z in here[len(step.inputs) :]))
            parts.append(part)
        rows = _Rows(*map(np.concatenate, zip(*parts, strict=True)))
        self._check(kernel, rows)
        return rows

    def _gates(self, step: Step) -> np.ndarray:
        """Returns the scales of a gate behind a dense layer, which the slim one has in its kernel; else 1."""
        readers = self.pairing.dense.readers.get(step.outputs[0], [])
        gates = [each.operation for each in readers if isinstance(each.operation, Gate)]
        return values(gates[0].gamma) if gates else np.ones(1, "float32")

    def _unsolved_before(self, wanted: Sequence[Any]) -> list[Step]:
        return [step for step in self.pairing.slim.before(wanted) if step not in self._done]

    def _chosen(self, examples: int, there: int, most: int) -> np.ndarray:
        """Returns positions of every example, (examples, number)."""
        number = min(there, ceil(most / self._count))
        if number == there:
            return np.broadcast_to(np.arange(there), (examples, there))
        return np.argpartition(self.random.random((examples, there)), number - 1, axis=1)[:, :number]

    def _columns(self, kernel: _Kernel) -> np.ndarray:
        """Returns for every column of the slim matrices the number of that of the dense ones, (groups, columns)."""
        groups, rows, columns = kernel.dense.start.shape
        numbers = np.arange(groups * columns).reshape(groups, 1, columns)
        numbers = kernel.dense.kernel(np.broadcast_to(numbers, (groups, rows, columns)), kernel.dense.variable.shape)
        for axis, ids in enumerate(kernel.entry.ids):
            if ids is not None:
                numbers = np.take(numbers, self.pairing.applied.take(ids), axis=axis)
        return kernel.view.matrix(numbers)[:, 0]

    def _check(self, kernel: _Kernel, rows: _Rows) -> None:
        for name, array in (("slim", rows.x), ("dense", rows.y)):
            if not np.isfinite(array).all():
                raise PruneError(
                    f"Expected numbers at {kernel.view.layer.name!r}. Received: NaN or infinity in the {name} model. "
                    "Check the weights, and that the data are scaled as in training."
                )


def _wanted(rows: _Rows, tail: Tail, present: np.ndarray | None) -> np.ndarray:
    """Returns what the kernel should put out.

    Args:
        rows: What it is solved from.
        tail: What stands behind it.
        present: What it puts out now: where that is out of range, as the target is, it may stay. Defaults to `None`:
            every target is to be met.
    """
    scale, offset = (np.asarray(each, rows.y.dtype) for each in (tail.scale, tail.offset))
    others = 0.0 if rows.others is None else rows.others
    wanted = rows.y * scale + offset if rows.sum is None else rows.sum
    if present is not None:
        low, high = tail.range
        now = present * scale + offset + others
        wanted = np.where(wanted <= low, np.minimum(now, low), np.where(wanted >= high, np.maximum(now, high), wanted))
    heard = np.abs(scale) > _NO_SCALE
    return np.where(heard, (wanted - others - offset) / np.where(heard, scale, 1.0), rows.y)


def _array(tensor: Any) -> np.ndarray:
    return at_least_float32(keras.ops.convert_to_numpy(tensor))
