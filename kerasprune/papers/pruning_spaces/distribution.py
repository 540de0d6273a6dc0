"""The distribution of the results of a population (`edf`), and multiply–adds per parameter (`mcb`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from kerasprune.errors import PruneError
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.sizes import Size
from kerasprune.recipes.search.allocations import Allocations
from kerasprune.recipes.search.counting import costs
from kerasprune.surgery.graphs import prunable_graph


@dataclass(frozen=True, eq=False)
class EDF:
    """The empirical distribution function of a population; returned by `edf`.

    Args:
        values: The sorted values.
    """

    values: np.ndarray = field(repr=False)

    def __call__(self, value: Any) -> Any:
        """Returns for each value the fraction of the population below it."""
        return np.searchsorted(self.values, value, side="left") / len(self.values)

    def __len__(self) -> int:
        return len(self.values)


def edf(values: Any) -> EDF:
    """Returns the empirical distribution function of a population, e.g. of drops of accuracy.

    `F(e) = 1/n · Σ_i 1[e_i < e]`

    A space is better than another if its curve lies above the other's: a random member is then likely to lose less.

    Args:
        values: A number for each candidate of the population.

    Returns:
        The function. Its attribute `values` holds the sorted values, at which it steps.

    Raises:
        PruneError: There are no values, or one of them is not finite.

    Example:
        >>> drops = edf([0.5, 2.0, 1.0, 1.0])
        >>> drops([1.0, 1.5, 9.0]).tolist()
        [0.25, 0.75, 1.0]

    Reference:
        He et al., Network Pruning Spaces, 2023, Eq. 1; Radosavovic et al., On Network Design Spaces, ICCV 2019.
    """
    try:
        found = np.sort(np.asarray(values, float).ravel())
    except (TypeError, ValueError) as error:
        raise PruneError(f"Expected values to be numbers. Received: {error}.") from error
    if not found.size or not np.isfinite(found).all():
        raise PruneError(
            f"Expected one finite number or more. Received: values={values!r}. Give those of candidates that finished."
        )
    found.setflags(write=False)
    return EDF(found)


def mcb(
    model: keras.Model | ChannelGraph,
    allocations: Allocations | np.ndarray,
    *,
    size: Size | None = None,
    macs_of: Mapping[str, int] = MappingProxyType({}),
) -> np.ndarray:
    """Returns the mean computation budget of allocations.

    `mCB = (MACs / params)_slim / (MACs / params)_dense`

    Args:
        model: The model, or its graph.
        allocations: The allocations, or an array of fractions kept, shape `(allocations, prunable groups)`.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to the model's own.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none.

    Returns:
        One number per allocation; the dense model's is 1.

    Raises:
        PruneError: The allocations are of another model, or the input side is free and no size is given.

    Example:
        >>> import keras, kerasprune as kp
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((4,)), dense(8), dense(2)])
        >>> kp.papers.spaces.mcb(model, [[1.0], [0.5]]).round(3).tolist()  # 24 / 30 over 48 / 58
        [1.0, 0.967]

    Reference:
        He et al., Network Pruning Spaces, 2023, Eq. 2.
    """
    graph, options = prunable_graph(model), {"size": size, "macs_of": macs_of}
    whole = np.ones((1, len(graph.prunable)))
    slim, dense = (np.divide(*costs(graph, each, **options)) for each in (allocations, whole))
    return slim / dense
