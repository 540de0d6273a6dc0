"""Recipes whose fractions are drawn one by one, as in EagleEye: most of them lie in no narrow space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import keras
import numpy as np

from kerasprune.errors import PruneError, interval_faults, raise_faults, seed_faults, whole_number_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.spaces.recipes import Recipes
from kerasprune.spaces.space import Space

_AT_ONCE = 4096


def acceptance(
    model: keras.Model | ChannelGraph,
    *,
    macs: float | None = None,
    params: float | None = None,
    delta: float = 0.002,
    std: float | None = None,
    mcb: float | tuple[float, float] | None = None,
    largest: float = 0.9,
    draws: int = 100_000,
    seed: int | None = 0,
    resolution: int | None = None,
    macs_of: Mapping[str, int] = MappingProxyType({}),
) -> float:
    """Returns what share of the recipes that are drawn at random lies in a space.

    Each group loses a fraction that is drawn from `[0, largest]` by itself, as in EagleEye: the sampler that the paper
    replaces, since most of its recipes miss a narrow window.

    Args:
        model: The model, or its graph.
        macs: Fraction of the multiply–adds that stay, `± delta`. Defaults to `None`: any.
        params: Fraction of the parameters that stay, `± delta`. Defaults to `None`: any.
        delta: Half the width of these windows. Defaults to 0.002.
        std: The largest standard deviation of a recipe. Defaults to `None`: any.
        mcb: The window of the mean computation budget, see `sample`. Defaults to `None`: any.
        largest: The largest fraction that a group may lose, the paper's `R`. Defaults to 0.9.
        draws: Number of recipes drawn. Defaults to 100,000.
        seed: Of the draw. Defaults to 0.
        resolution: Input side, in pixels, of a model whose side is free. Defaults to the model's own.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none.

    Returns:
        The share, in [0, 1].

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> import kerasprune as kp
        >>> model = kp.models.resnet_cifar(20, input_shape=(32, 32, 3))
        >>> 0 < kp.spaces.acceptance(model, macs=0.25, draws=20_000) < 0.05
        True

    Reference:
        He et al., Network Pruning Spaces, 2023, Section 3.1: "this random sampling process is not effective enough";
        Li et al., EagleEye, ECCV 2020, Section 3.3.
    """
    _check(1, largest, draws, seed)
    windows = {"macs": macs, "params": params, "delta": delta, "std": std, "mcb": mcb}
    space = Space(model, **windows, resolution=resolution, macs_of=macs_of)
    drawn = _drawn(space, np.random.default_rng(seed), largest, draws)
    return sum(int(space.contains(keep).sum()) for keep in drawn) / draws


def random_recipes(
    space: Space,
    n: int,
    *,
    largest: float = 0.9,
    draws: int = 1_000_000,
    seed: int | None = 0,
) -> Recipes:
    """Returns recipes of a space, each fraction removed drawn from `[0, largest]`; all others are thrown away.

    Args:
        space: The space.
        n: Number of recipes.
        largest: The largest fraction that a group may lose. Defaults to 0.9.
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
    _check(n, largest, draws, seed)
    random, found, inside = np.random.default_rng(seed), [], 0
    for keep in _drawn(space, random, largest, draws):
        found.append(keep[space.contains(keep)])
        inside += len(found[-1])
        if inside >= n:
            return Recipes(space.graph, np.concatenate(found)[:n], space.criterion)
    raise PruneError(
        f"Expected n={n} recipes among draws={draws:,} random ones. Received: {inside}, of {space!r}. Ask for a larger "
        f"delta or draws, for another largest than {largest}, or take kp.spaces.sample, which aims."
    )


def _drawn(space: Space, random: np.random.Generator, largest: float, draws: int) -> Iterator[np.ndarray]:
    groups = len(space.graph.prunable)
    for begin in range(0, draws, _AT_ONCE):
        yield 1 - random.uniform(0, largest, (min(_AT_ONCE, draws - begin), groups))


def _check(n: int, largest: float, draws: int, seed: int | None) -> None:
    faults = interval_faults("(0, 1)", "the largest fraction removed", largest=largest)
    raise_faults("Nothing can be drawn:", faults + whole_number_faults(1, n=n, draws=draws) + seed_faults(seed=seed))
