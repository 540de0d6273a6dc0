"""The logits of an attention whose heads lose sizes: projections of queries and keys that are solved together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kerasprune._keras import attention_parts
from kerasprune.graph.graph import values
from kerasprune.repair.reconstruction.as_linear import Linear, at_least_float32
from kerasprune.repair.reconstruction.layer_tail import Kernel
from kerasprune.surgery.cut import Cut

_NONE = 1e-12  # of the largest second moment: directions that nothing lies in
Solution = tuple[np.ndarray, np.ndarray]
"""The matrices of a kernel, and its constant."""


@dataclass(frozen=True)
class AllSizes(Linear):
    """A projection onto the heads that are kept, with all their sizes in the dense model.

    Args:
        whole: Its matrices.
    """

    whole: np.ndarray = field(kw_only=True)

    @property
    def start(self) -> np.ndarray:
        return self.whole


def join_logits(kernels: Sequence[Kernel], cut: Cut) -> list[list[Kernel]]:
    """Returns the kernels of a layer, those together that are solved together.

    These are the projections of queries and of keys of an attention whose heads lose sizes, with all sizes, unless
    constraints hold for them.

    Args:
        kernels: The kernels.
        cut: The cut.
    """
    parts = attention_parts(kernels[0].calls[0][0].operation) if kernels else None
    both = [each for each in kernels if each.view.layer in (parts.query_dense, parts.key_dense)]
    narrower = all(each.view.variable.shape[-1] < each.dense.variable.shape[-1] for each in both)
    weights = (weight for each in both for weight in (each.view.variable, each.view.bias))
    if len(both) < 2 or not narrower or any(getattr(weight, "constraint", None) is not None for weight in weights):
        return [[each] for each in kernels]
    return [[_with_all_sizes(each, cut) for each in both], *([each] for each in kernels if each not in both)]


def _with_all_sizes(kernel: Kernel, cut: Cut) -> Kernel:
    entry = replace(kernel.entry, ids=(*kernel.entry.ids[:-1], None))
    whole = at_least_float32(entry.taken(values(kernel.dense.variable), cut.take))
    if entry.factor is not None:
        whole = whole * np.asarray(entry.factor(cut.count), whole.dtype)
    view = {name: getattr(kernel.view, name) for name in Linear.__dataclass_fields__}
    view["matrix"] = lambda array: array.reshape(1, len(array), -1)
    return replace(kernel, view=AllSizes(**view, whole=view["matrix"](whole)), entry=entry)


def reduce_rank(queries: np.ndarray, keys: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns P and R for which the products of queries and keys change least, head by head.

    `min ‖Q Kᵀ − (Q P)(K R)ᵀ‖` has the optimum `P = A⁻¹ U √S`, `R = B⁻¹ V √S` of the largest `size` singular values in
    `A B = U S Vᵀ`, with the roots A of `QᵀQ` and B of `KᵀK`.

    Args:
        queries: Q, (rows, heads, d); several heads in turn may share a head of keys.
        keys: K, (other rows, heads, d), less the mean of each example: what all keys share, softmax does not see.
        size: Number of sizes that are left.

    Returns:
        P of (heads of queries, d, size), and R of (heads of keys, d, size).

    Example:
        >>> import numpy as np
        >>> random = np.random.default_rng(0)
        >>> queries, keys = random.normal(size=(50, 1, 4)), random.normal(size=(60, 1, 4))
        >>> keys[..., 3] = keys[..., 0]  # of rank 3
        >>> p, r = reduce_rank(queries, keys, 3)
        >>> np.allclose((queries[:, 0] @ p[0]) @ (keys[:, 0] @ r[0]).T, queries[:, 0] @ keys[:, 0].T)
        True
    """
    each, (heads, width) = queries.shape[1] // keys.shape[1], keys.shape[1:]
    left = _roots(queries.reshape(len(queries), heads, each, width).transpose(1, 0, 2, 3).reshape(heads, -1, width))
    right = _roots(keys.transpose(1, 0, 2))
    u, s, v = np.linalg.svd(left[0] @ right[0])
    share = np.sqrt(s[:, None, :size])
    p, r = left[1] @ u[:, :, :size] * share, right[1] @ v.transpose(0, 2, 1)[:, :, :size] * share
    return np.repeat(p, each, axis=0), r


def _roots(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the roots of second moments, and their inverses, of (heads, rows, d)."""
    exact = rows.astype("float64")
    levels, axes = np.linalg.eigh(exact.transpose(0, 2, 1) @ exact / rows.shape[1])
    seen = levels > _NONE * np.maximum(levels[:, -1:], np.finfo("float64").tiny)
    roots = np.where(seen, np.sqrt(np.where(seen, levels, 1.0)), 0.0)
    inverse = np.where(seen, 1 / np.where(seen, roots, 1.0), 0.0)
    turned = axes.transpose(0, 2, 1)
    return axes * roots[:, None] @ turned, axes * inverse[:, None] @ turned


def less_means(rows: np.ndarray, examples: np.ndarray) -> np.ndarray:
    """Returns rows less the mean of those of their example; less that of all, where an example has a single one.

    Args:
        rows: The rows, those of an example one after another.
        examples: The example of each.
    """
    begins = np.flatnonzero(np.diff(examples, prepend=-1))
    numbers = np.diff(begins, append=len(rows))
    if numbers.min() < 2:
        return rows - rows.mean(axis=0)
    means = np.add.reduceat(rows, begins, axis=0) / numbers[:, None].astype(rows.dtype)
    return rows - np.repeat(means, numbers, axis=0)


def with_fewer_sizes(solution: Solution, turn: np.ndarray) -> Solution:
    """Returns the solution for a projection that is multiplied by a matrix, head by head.

    Args:
        solution: Matrices of (1, channels, heads · d), and the constant of (1, heads · d).
        turn: P or R, (heads, d, size).
    """
    heads, width, _ = turn.shape
    matrices, constant = (each.reshape(-1, heads, width) for each in solution)
    turned = [np.einsum("chd,hds->chs", each, turn) for each in (matrices, constant)]
    return turned[0].reshape(1, len(matrices), -1), turned[1].reshape(1, -1)
