"""Granularities: what is removed as one. From a model to the units whose entries compete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.errors import PruneError
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import as_patterns, trace
from kerasprune.registry import granularities
from kerasprune.training.candidates import Part, Unit, channel_units, weight_units


class Granularity:
    """Base: what is removed as one."""

    def units(self, model: keras.Model, freeze: Sequence[str] = ()) -> tuple[ChannelGraph, list[Unit]]:
        """Returns the model's graph, and units all of whose entries may be removed.

        Args:
            model: The model.
            freeze: Names of layers, or wildcards, that stay whole.
        """
        raise PruneError(f"{type(self).__name__} has no units(). Write it.")

    def comparable(self, scores: Any) -> Any:
        """Returns the scores of a unit in a form that competes with those of other units."""
        return scores


@dataclass(frozen=True)
class Weight(Granularity):
    """Single weights of every kernel; biases and BatchNorm are left out."""

    def units(self, model: keras.Model, freeze: Sequence[str] = ()) -> tuple[ChannelGraph, list[Unit]]:
        """Returns one unit per kernel that is trained."""
        graph = trace(model, freeze=freeze, unknown="freeze")
        sizes = {
            kernel.variable.path: int(np.prod(kernel.variable.shape))
            for kernel in graph.kernels
            if kernel.variable.trainable
            and not any(fnmatchcase(kernel.owner.name, each) for each in as_patterns(freeze))
        }
        return graph, weight_units(graph, sizes)


@dataclass(frozen=True)
class Block(Granularity):
    """Rectangles of weights over the last two axes (inputs × outputs), so that a kernel can skip them in one go.

    At the edges of a kernel blocks are cut off. Kernels with fewer than two axes are left whole.

    Args:
        rows: Height of a block, along the inputs. Defaults to 1.
        columns: Width of a block, along the outputs. Defaults to 4.

    Example:
        >>> Block(rows=2, columns=2).blocks((4, 4)).tolist()
        [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    """

    rows: int = 1
    columns: int = 4

    def __post_init__(self) -> None:
        if not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in (self.rows, self.columns)):
            raise PruneError(
                f"Expected blocks of whole, positive sides. Received: rows={self.rows!r}, columns={self.columns!r}."
            )

    def blocks(self, shape: Sequence[int]) -> np.ndarray:
        """Returns for every weight the index of its block, shape `shape`."""
        *outer, inputs, outputs = shape
        down, across = -(-inputs // self.rows), -(-outputs // self.columns)
        inner = (np.arange(inputs) // self.rows)[:, None] * across + np.arange(outputs) // self.columns
        return np.arange(int(np.prod(outer))).reshape(*outer, 1, 1) * (down * across) + inner

    def units(self, model: keras.Model, freeze: Sequence[str] = ()) -> tuple[ChannelGraph, list[Unit]]:
        """Returns one unit per kernel that is trained and has at least two axes."""
        graph, weights = Weight().units(model, freeze)
        variables = [unit.parts[0].variable for unit in weights]
        parts = [Part(each, None, self.blocks(each.shape)) for each in variables if len(each.shape) >= 2]
        sizes = [int(part.entry.max()) + 1 for part in parts]
        return graph, [Unit.of(p.variable.path, size, size, (p,)) for p, size in zip(parts, sizes, strict=True)]


@dataclass(frozen=True)
class Filter(Granularity):
    """Whole channels, in every kernel that makes them: `kp.rebuild` can take them out afterwards.

    Args:
        coupling: The residual width mode, `"tied"` or `"free"`, as for `kp.trace`. Defaults to `"tied"`. In
            `"padded"` the first channels of a trunk stay, so that nothing is left to choose by their scores.

    Raises:
        PruneError: `coupling` is another one.
    """

    coupling: str = "tied"

    def __post_init__(self) -> None:
        if self.coupling not in ("tied", "free"):
            raise PruneError(
                f"Expected coupling 'tied' or 'free'. Received: coupling={self.coupling!r}, which masks of filters "
                "cannot follow. For 'padded' take kp.plan or kp.callbacks.Polarization."
            )

    def units(self, model: keras.Model, freeze: Sequence[str] = ()) -> tuple[ChannelGraph, list[Unit]]:
        """Returns one unit per prunable group."""
        graph = trace(model, coupling=self.coupling, freeze=freeze)
        sizes = {name: group.size for name, group in graph.prunable.items()}
        units = channel_units(graph, "filter", sizes)
        return graph, [unit for unit in units if all(part.variable.trainable for part in unit.parts)]

    def comparable(self, scores: Any) -> Any:
        """Returns the scores divided by their mean, the highest made infinite: no group loses all its channels."""
        relative = scores / ops.maximum(ops.mean(scores), 1e-30)
        return ops.where(relative >= ops.max(relative), np.inf, relative)


def get(identifier: Any) -> Granularity:
    """Returns a granularity for a name, a `{"name": …}` dict, a class or an instance."""
    return granularities.get(identifier)
