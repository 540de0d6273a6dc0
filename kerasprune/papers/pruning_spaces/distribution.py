"""`edf`: how the results of a population are distributed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kerasprune.errors import PruneError


@dataclass(frozen=True, eq=False)
class EDF:
    """The empirical distribution function of a population; made by `edf`.

    Args:
        values: The values, sorted.
    """

    values: np.ndarray = field(repr=False)

    def __call__(self, value: Any) -> Any:
        """Returns for each value which share of the population lies below it."""
        return np.searchsorted(self.values, value, side="left") / len(self.values)

    def __len__(self) -> int:
        return len(self.values)


def edf(values: Any) -> EDF:
    """Returns the empirical distribution function of a population, of drops of accuracy say.

    `F(e) = 1/n · Σ_i 1[e_i < e]`

    One space is better than another where its curve lies above: a recipe drawn from it is more likely to lose less.

    Args:
        values: A number for each member of the population.

    Returns:
        The function. `.values` has the sorted values, at which it steps.

    Raises:
        PruneError: There are no values, or something among them is no number.

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
        raise PruneError(f"Expected one finite number or more. Received: values={values!r}. Leave out what has failed.")
    found.setflags(write=False)
    return EDF(found)
