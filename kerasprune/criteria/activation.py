"""Activation: how large the numbers are that the next layers read of a channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from kerasprune._keras import inner_layers
from kerasprune.checks import whole_number_faults
from kerasprune.criteria.base import Checked, Criterion, Scores, argument, refuse
from kerasprune.data.batches import example_batches
from kerasprune.graph.graph import ChannelGraph
from kerasprune.repair.reconstruction.as_linear import Linear, as_linear, chosen_positions, numbers_of
from kerasprune.repair.reconstruction.dense_targets import run_with_inputs
from kerasprune.repair.reconstruction.program import Program, ProgramRun, Step, Value

_POSITIONS = 64  # of each example


@dataclass(frozen=True)
class Activation(Checked, Criterion):
    """Mean size of what is read of a channel: of a hidden unit, a head, a channel of the residual stream.

    `score(c) = Σ_tensors mean over examples and positions of ‖x_c‖₂`, over the distinct tensors that kernels read: of
    the trunk of a transformer the output of every norm, of a head what the output projection reads of it (its norm
    over the sizes of the head), of hidden units the activations. At most 64 positions of an example are read.

    Args:
        samples: Largest number of examples; labels are ignored. Defaults to 512.

    Raises:
        PruneError: `samples` is not a positive integer.

    Example:
        >>> import numpy as np, kerasprune as kp
        >>> model = kp.models.vit(4, (16, 16, 3), blocks=1, width=16, heads=4)
        >>> images = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype("float32")
        >>> plan = kp.plan(model, "activation", keep=0.5, data=images)
        >>> len(plan.keep["block1_attention/heads"])
        2

    Reference:
        Muralidharan et al., Compact Language Models via Pruning and Knowledge Distillation, NeurIPS 2024, section 2.2
        (there the mean over examples of a norm over positions, or the other way round, as they are set).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"data"})

    samples: int = argument(512, partial(whole_number_faults, 1))

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the scores of all prunable groups.

        Raises:
            PruneError: `data` is missing, or no kernel reads or makes the channels of a group.
        """
        self.check(data)
        program, random = Program(graph.model), np.random.default_rng(seed)
        along = {step: list(_along(graph, step)) for step in program.steps}
        read = {name for each in along.values() for kernel in each for name in kernel.rows}
        made = {name for each in along.values() for kernel in each for name in kernel.columns} - read
        refuse(
            [name for name in graph.prunable if name not in read | made], "kernels that read the channels", "none for"
        )
        totals = {name: np.zeros(group.size) for name, group in graph.prunable.items()}
        run, examples = ProgramRun(program, example_batches(graph.model, data, self.samples)), 0
        inputs = list(dict.fromkeys(value for step, kernels in along.items() if kernels for value in step.inputs))
        for tensors in run.batches(*inputs):
            held = dict(zip(inputs, tensors, strict=True))
            examples += len(tensors[0])
            for name, found in _sizes(along, held, made, random):
                totals[name] += found
        return {name: total / examples for name, total in totals.items()}


@dataclass(frozen=True)
class _Kernel:
    """A kernel as matrices, (groups, rows, columns), with the channels that it reads and makes.

    Args:
        view: The kernel.
        rows: `{group name: the channel at each row, (groups, rows)}`, −1 = none.
        columns: `{group name: the channel at each column, (groups, columns)}`, of channels that other kernels read too.
    """

    view: Linear
    rows: dict[str, np.ndarray]
    columns: dict[str, np.ndarray]


def _along(graph: ChannelGraph, step: Step) -> Iterator[_Kernel]:
    """Yields the kernels of a call with the prunable channels along their axes."""
    slices, (owner, place), names = (
        {id(each.variable): each for each in graph.kernels},
        graph.places,
        list(graph.groups),
    )
    for view in (view for layer in inner_layers(step.operation) for view in as_linear(layer)):
        entry = slices.get(id(view.variable))
        found: tuple[dict[str, np.ndarray], ...] = {}, {}
        for axis, ids in enumerate(entry.ids if entry else ()):
            if ids is None or axis not in (*entry.reads, *entry.makes):
                continue
            classes, shape = graph.classes[ids], [-1 if each == axis else 1 for each in range(len(entry.ids))]
            for number in np.unique(owner[classes]):
                if number >= 0 and names[number] in graph.prunable:
                    channel = np.where(owner[classes] == number, place[classes], -1).reshape(shape)
                    spread = view.matrix(np.broadcast_to(channel, tuple(view.variable.shape)))
                    is_made = axis in entry.makes
                    found[is_made][names[number]] = spread[:, 0] if is_made else spread[:, :, 0]
        if any(found):
            yield _Kernel(view, *found)


def _sizes(
    along: dict[Step, list[_Kernel]], held: dict[Value, Any], made: set[str], random: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the names of groups and the sizes of their channels, summed over examples; of one tensor once."""
    seen: dict[tuple[str, int], Any] = {}  # the tensors are kept, so that no id is given twice
    for step, kernels in along.items():
        _, given = run_with_inputs([each.view.layer for each in kernels], step, held) if kernels else (None, {})
        for kernel in kernels:
            tensor = given[id(kernel.view.layer)]
            rows = {name: line for name, line in kernel.rows.items() if (name, id(tensor)) not in seen}
            columns = {name: line for name, line in kernel.columns.items() if name in made}
            seen |= {(name, id(tensor)): tensor for name in rows}
            if not rows and not columns:
                continue
            whole, view = numbers_of(tensor), kernel.view
            chosen = chosen_positions(len(whole), view.positions(whole.shape), _POSITIONS, random)
            for lines, compute in ((rows, view.rows), (columns, view.made)):
                if lines:
                    squares = np.square(compute(whole, chosen), dtype="float64")
                    for name, line in lines.items():
                        yield name, _norms(squares, line).sum(axis=0) * len(whole) / len(squares)


def _norms(squares: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Returns the norm of every channel in every row, from squares of (rows, groups, numbers)."""
    sums = np.zeros((len(squares), int(line.max()) + 2))  # the last one is of no channel
    for group, channels in enumerate(line):
        np.add.at(sums.T, channels, squares[:, group].T)
    return np.sqrt(sums[:, :-1])
