"""Sparsity of a network under masks, layer by layer, and layer collapse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from kerasprune.graph.sizes import Size
from kerasprune.graph.trace import trace
from kerasprune.tables import Part, Shown, Table
from kerasprune.training.sparsity.mask_checks import boolean_masks
from kerasprune.training.sparsity.paths import attached_masks
from kerasprune.training.sparsity.ranking import join_scores


def maximal_compression(saliency: Mapping[str, np.ndarray]) -> float:
    """Returns the largest compression without an empty layer: `ρ_max = N / L`, for N weights in L layers.

    Args:
        saliency: `{variable path: array}` with scores or masks of every kernel; only the shapes matter.

    Example:
        >>> import numpy as np
        >>> maximal_compression({"a": np.zeros((2, 3)), "b": np.zeros(4)})
        5.0

    Reference:
        Tanaka et al., arXiv 2006.05467, section 3.
    """
    return sum(np.size(array) for array in saliency.values()) / len(saliency)


def critical_compression(saliency: Mapping[str, np.ndarray]) -> float:
    """Returns the largest compression at which one-shot pruning by given scores leaves no layer empty.

    `ρ_cr = N / max_l min_{θ∈l} rank(θ)`: layer l survives as long as its best weight is kept, whose rank among all
    weights is `min rank(θ)`. For scores recomputed in rounds there is no closed form: see `SparsityReport.collapsed`.

    Args:
        saliency: `{variable path: scores}`, as `criterion.saliency_of(model)` returns them.

    Returns:
        A number from 1 to `maximal_compression(saliency)`.

    Raises:
        PruneError: A score is not finite.

    Example:
        >>> import numpy as np
        >>> critical_compression({"a": np.array([9.0, 8.0, 7.0]), "b": np.array([1.0, 2.0, 3.0])})
        1.5

    Reference:
        Tanaka et al., arXiv 2006.05467, section 3.
    """
    line = join_scores(saliency)
    ends = np.cumsum([np.size(scores) for scores in saliency.values()])
    best = [begin + int(np.argmax(line[begin:end])) for begin, end in zip([0, *ends], ends, strict=False)]
    ranks = [1 + int((line > line[at]).sum() + (line[:at] == line[at]).sum()) for at in best]
    return line.size / max(ranks)


@dataclass(frozen=True)
class LayerSparsity:
    """The sparsity of one masked kernel.

    Args:
        path: Path of the variable.
        size: Number of weights.
        kept: Number of weights kept.
        attached: Number of kept weights on a path from an input to an output.
    """

    path: str
    size: int
    kept: int
    attached: int


@dataclass(frozen=True)
class SparsityReport(Shown):
    """The sparsity of a masked network; prints as a table.

    Args:
        layers: The kernels.
        maximal_compression: `ρ_max = N / L`, with one weight kept per layer.
    """

    layers: tuple[LayerSparsity, ...]
    maximal_compression: float

    @property
    def size(self) -> int:
        """N, the number of weights of the kernels that have masks."""
        return sum(layer.size for layer in self.layers)

    @property
    def kept(self) -> int:
        """Number of weights kept."""
        return sum(layer.kept for layer in self.layers)

    @property
    def attached(self) -> int:
        """Number of kept weights on a path from an input to an output."""
        return sum(layer.attached for layer in self.layers)

    @property
    def compression(self) -> float:
        """`ρ = N / kept`; infinite if no weight is kept."""
        return self.size / self.kept if self.kept else float("inf")

    @property
    def effective_compression(self) -> float:
        """`N / attached`: compression without detached weights."""
        return self.size / self.attached if self.attached else float("inf")

    @property
    def collapsed(self) -> tuple[str, ...]:
        """Paths of the kernels without kept weights."""
        return tuple(layer.path for layer in self.layers if not layer.kept)

    def __str__(self) -> str:
        return "\n".join(map(str, self._shown()))

    def _shown(self) -> list[Part]:
        density = [each.kept / each.size for each in self.layers]
        rows = [
            (each.path, str(each.size), str(each.kept), f"{kept:.2%}", str(each.attached))
            for each, kept in zip(self.layers, density, strict=True)
        ]
        lines: list[Part] = [Table(("kernel", "weights", "kept", "density", "attached"), rows, bars={3: density})]
        lines.append(
            f"kept {self.kept} of {self.size}: compression {self.compression:.4g} of at most "
            f"{self.maximal_compression:.4g}; {self.kept - self.attached} of them are detached, "
            f"effective compression {self.effective_compression:.4g}"
        )
        if self.collapsed:
            lines.append(f"nothing is left of {', '.join(self.collapsed)}")
        return lines


def sparsity_report(model: keras.Model, masks: Mapping[str, np.ndarray], *, side: Size | None = None) -> SparsityReport:
    """Returns the sparsity of a model under masks, with and without detached weights.

    Args:
        model: The model.
        masks: `{variable path: boolean array}`, as `kp.prune_at_init` returns them.
        side: Size of free input axes, see `size` of `kp.trace`. Defaults to 32, or the first of some numbers that the
            model takes.

    Raises:
        PruneError: The masks do not fit the model, or paths cannot be followed.

    Example:
        >>> import keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dense(1)])
        >>> first, last = (layer.kernel.path for layer in model.layers)
        >>> masks = {first: np.array([[1, 1], [0, 1]], bool), last: np.array([[1], [0]], bool)}
        >>> report = sparsity_report(model, masks)
        >>> report.compression, report.effective_compression, report.maximal_compression
        (1.5, 3.0, 3.0)

    Reference:
        Tanaka et al., arXiv 2006.05467, section 3 (compression, collapse); Vysogorets & Kempe, arXiv 2107.02306
        (effective compression).
    """
    given = boolean_masks(trace(model, unknown="freeze"), masks)
    left = attached_masks(model, given, side=side)
    layers = tuple(LayerSparsity(p, mask.size, int(mask.sum()), int(left[p].sum())) for p, mask in given.items())
    return SparsityReport(layers, maximal_compression(given))
