"""Scopes: the entries that compete with one another. From scores and a fraction to the removed entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import numpy as np
from keras import ops

from kerasprune.checks import whole_number_faults
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.kept_channels import kept_number
from kerasprune.training.candidates import Unit
from kerasprune.training.in_step import lowest


class Scope:
    """Base class of scopes: the entries that compete with one another for being kept.

    Computes with `keras.ops` and static shapes, for the compiled step. A subclass overrides `competitions`, for one
    threshold in each competition, or `numbers` and `pruned`, for any other rule.
    """

    def competitions(self, names: Sequence[str]) -> list[list[int]]:
        """Returns, for each competition, the positions of the units, or kernels, whose entries compete in it."""
        raise PruneError(
            f"Expected a scope of whole kernels, such as 'layer' or 'global'. Received: scope={self!r}, which has no "
            "competitions()."
        )

    def numbers(self, units: Sequence[Unit], keep: float) -> np.ndarray:
        """Returns the number of entries kept in each competition at the fraction `keep`."""
        competitions = self.competitions([unit.name for unit in units])
        return np.array([kept_number(sum(units[at].size for at in each), keep) for each in competitions], "int32")

    def pruned(self, units: Sequence[Unit], scores: Sequence[Any], numbers: Any) -> list[Any]:
        """Returns whether each entry of every unit is removed; of equal scores the lower index is kept.

        Args:
            units: The units.
            scores: The scores of the entries of each, shape `(entries,)`; higher is kept.
            numbers: The numbers kept, as returned by `numbers`.
        """
        found = {}
        for index, each in enumerate(self.competitions([unit.name for unit in units])):
            joined = scores[each[0]] if len(each) == 1 else ops.concatenate([scores[at] for at in each])
            removed = lowest(joined, numbers[index])
            ends = np.cumsum([units[at].size for at in each])
            found |= {at: removed[end - units[at].size : end] for at, end in zip(each, ends, strict=True)}
        return [found[at] for at in range(len(units))]


@dataclass(frozen=True)
class Layer(Scope):
    """Each kernel (or group) loses the same fraction."""

    def competitions(self, names: Sequence[str]) -> list[list[int]]:
        """Returns one competition per unit."""
        return [[at] for at in range(len(names))]


@dataclass(frozen=True)
class Global(Scope):
    """One threshold for the whole network; scores of single weights are compared without normalisation."""

    def competitions(self, names: Sequence[str]) -> list[list[int]]:
        """Returns one competition, in which all entries compete."""
        return [list(range(len(names)))]


@dataclass(frozen=True)
class Pattern(Scope):
    """Keeps `keep` of every `of` successive inputs of an output: the N:M sparsity of sparse tensor cores.

    Runs lie along the axes that an output is a sum over; the last run is padded with zeros. A schedule lowers the
    number kept of each run step by step, but never below `keep`. For single weights; kernels that sum over no channels
    (tables of embeddings, depthwise kernels) are kept whole.

    Args:
        keep: N. Defaults to 2.
        of: M. Defaults to 4.

    Reference:
        Mishra et al., Accelerating Sparse Deep Neural Networks, arXiv 2104.08378, section 4.
    """

    keep: int = 2
    of: int = 4

    def __post_init__(self) -> None:
        faults = whole_number_faults(1, keep=self.keep, of=self.of)
        if not faults and self.keep > self.of:
            faults = [f"Expected keep ≤ of. Received: keep={self.keep}, of={self.of}."]
        raise_faults("Invalid arguments for Pattern:", faults)

    def numbers(self, units: Sequence[Unit], keep: float) -> np.ndarray:
        """Returns the number kept of each run."""
        odd = [unit.name for unit in units if unit.parts[0].entry is not None]
        if odd:
            raise PruneError(f"Expected granularity='weight' with a pattern. Received: other entries in {odd[:3]}.")
        return np.array([max(self.keep, ceil(round(keep * self.of, 9)))], "int32")

    def pruned(self, units: Sequence[Unit], scores: Sequence[Any], numbers: Any) -> list[Any]:
        """Returns the entries that are not among the highest of their run."""
        return [self._of_runs(unit, score, numbers[0]) for unit, score in zip(units, scores, strict=True)]

    def _of_runs(self, unit: Unit, score: Any, number: Any) -> Any:
        shape = tuple(unit.parts[0].variable.shape)
        inputs = unit.parts[0].inputs
        if len(shape) < 2 or inputs == ():
            return ops.zeros_like(score, "bool")
        inputs = (len(shape) - 2,) if inputs is None else inputs
        order = [axis for axis in range(len(shape)) if axis not in inputs] + list(inputs)
        length = prod(shape[axis] for axis in inputs)
        lines = ops.reshape(ops.transpose(ops.reshape(score, shape), order), (-1, length))
        padded = ops.pad(lines, [(0, 0), (0, -length % self.of)], constant_values=-np.inf)
        removed = rank(ops.reshape(padded, (-1, self.of))) >= number
        removed = ops.reshape(removed, (lines.shape[0], -1))[:, :length]
        kernel = ops.transpose(ops.reshape(removed, [shape[axis] for axis in order]), np.argsort(order).tolist())
        return ops.reshape(kernel, (-1,))


def m_by_n(m: int = 2, n: int = 4) -> Pattern:
    """Returns the pattern that tensorflow-model-optimization calls `sparsity_m_by_n=(m, n)`, which counts zeros.

    Args:
        m: Number removed of each run. Defaults to 2.
        n: Length of a run. Defaults to 4.


    Example:
        >>> m_by_n(1, 4)
        Pattern(keep=3, of=4)
    """
    faults = whole_number_faults(0, m=m) + whole_number_faults(1, n=n)
    raise_faults(
        "Invalid arguments for m_by_n:", faults or ([] if m < n else [f"Expected m < n. Received: m={m}, n={n}."])
    )
    return Pattern(keep=n - m, of=n)


def rank(scores: Any) -> Any:
    """Returns the rank of every score in descending order along the last axis; equal ones keep order, NaN is last."""
    order = ops.argsort(ops.where(ops.isnan(scores), np.inf, -scores))
    if len(scores.shape) > 1:
        return ops.argsort(order)
    places = ops.arange(order.shape[0], dtype=order.dtype)
    return ops.scatter(order[:, None], places, order.shape)  # the inverse of a permutation; sorting it takes longer
