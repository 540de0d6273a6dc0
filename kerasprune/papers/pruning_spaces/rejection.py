"""Recipes whose fractions are drawn one by one, as in EagleEye: most of them lie in no narrow space."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kerasprune.errors import (
    PruneError,
    formerly,
    is_number,
    proper_fraction_faults,
    raise_faults,
    seed_faults,
    whole_number_faults,
)
from kerasprune.papers.pruning_spaces.space import Space, of_space
from kerasprune.search.allocations import Recipes

_AT_ONCE = 4096


def kept_of(largest: Any) -> Any:
    """Returns the smallest fraction kept for the largest one removed, which was asked for in its place."""
    return round(1 - largest, 12) if is_number(largest) else largest


@formerly(largest=("min_keep", kept_of))
@of_space
def acceptance(space: Space, *, min_keep: float = 0.1, draws: int = 100_000, seed: int | None = 0) -> float:
    """Returns what share of the recipes that are drawn at random lies in a space.

    Each group keeps a fraction that is drawn from `[min_keep, 1]` by itself, as in EagleEye: the sampler that the paper
    replaces, since most of its recipes miss a narrow window.

    Args:
        space: The space.
        min_keep: The smallest fraction that a group may keep, `1 − R` of the paper. Defaults to 0.1.
        draws: Number of recipes drawn. Defaults to 100,000.
        seed: Of the draw. Defaults to 0.

    Returns:
        The share, in [0, 1].

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> import kerasprune as kp
        >>> model = kp.models.resnet_cifar(20, input_shape=(32, 32, 3))
        >>> 0 < kp.spaces.acceptance(kp.spaces.Space(model, macs=0.25), draws=20_000) < 0.05
        True

    Reference:
        He et al., Network Pruning Spaces, 2023, Section 3.1: "this random sampling process is not effective enough";
        Li et al., EagleEye, ECCV 2020, Section 3.3.
    """
    _check(1, min_keep, draws, seed)
    drawn = _drawn(space, np.random.default_rng(seed), min_keep, draws)
    return sum(int(space.contains(keep).sum()) for keep in drawn) / draws


@formerly(largest=("min_keep", kept_of))
def random_recipes(
    space: Space,
    n: int,
    *,
    min_keep: float = 0.1,
    draws: int = 1_000_000,
    seed: int | None = 0,
) -> Recipes:
    """Returns recipes of a space, each fraction kept drawn from `[min_keep, 1]`; all others are thrown away.

    Args:
        space: The space.
        n: Number of recipes.
        min_keep: The smallest fraction that a group may keep. Defaults to 0.1.
        draws: After how many it is given up. Defaults to 1,000,000.
        seed: Of the draw. Defaults to 0.

    Raises:
        PruneError: An argument is out of range, or so many draws do not hold as many recipes of the space.

    Example:
        >>> import kerasprune as kp
        >>> model = kp.models.resnet_cifar(8, input_shape=(32, 32, 3))
        >>> len(random_recipes(kp.spaces.Space(model, macs=0.3, delta=0.05), 10))
        10

    Reference:
        Li et al., EagleEye, ECCV 2020, Section 3.3.
    """
    _check(n, min_keep, draws, seed)
    random, found, inside = np.random.default_rng(seed), [], 0
    for keep in _drawn(space, random, min_keep, draws):
        found.append(keep[space.contains(keep)])
        inside += len(found[-1])
        if inside >= n:
            return Recipes(space.graph, np.concatenate(found)[:n], space.criterion)
    raise PruneError(
        f"Expected n={n} recipes among draws={draws:,} random ones. Received: {inside}, of {space!r}. Ask for a larger "
        f"delta or draws, for another min_keep than {min_keep}, or take kp.spaces.sample, which aims."
    )


def _drawn(space: Space, random: np.random.Generator, min_keep: float, draws: int) -> Iterator[np.ndarray]:
    groups = len(space.graph.prunable)
    for begin in range(0, draws, _AT_ONCE):
        yield 1 - random.uniform(0, 1 - min_keep, (min(_AT_ONCE, draws - begin), groups))


def _check(n: int, min_keep: float, draws: int, seed: int | None) -> None:
    faults = proper_fraction_faults(min_keep=min_keep)
    raise_faults("Nothing can be drawn:", faults + whole_number_faults(1, n=n, draws=draws) + seed_faults(seed=seed))
