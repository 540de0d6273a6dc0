"""Allocations of a space: drawn around the uniform one (`sample`), or at random (`random_allocations`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from kerasprune.checks import fraction_faults, proper_fraction_faults, seed_faults, whole_number_faults
from kerasprune.criteria.base import Criterion
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.papers.pruning_spaces.space import Space, Window
from kerasprune.recipes.search.allocations import Allocations, bisect_intervals
from kerasprune.surgery.graphs import prunable_graph

LEAST = 0.01  # the smallest fraction kept that is drawn
_WIDEST = 0.5  # half the width of the noise around the uniform allocation, if std is not given
_BISECTIONS = 16
_TILTS = 12
_ROUNDS = 40
_BATCH = 64
_AT_ONCE = 4096


def sample(space: Space, *, n: int = 100, seed: int | None = 0) -> Allocations:
    """Draws random allocations from a pruning space.

    Noise is added to a uniform allocation, whose level is then adjusted until the cost is met:

        keep_g = level + noise_g + tilt · (excess of group g's share of the MACs over its share of the parameters)

    The tilt is nonzero only if two of `macs`, `params` and `mcb` must be met at once. Allocations that leave the space
    when rounded to whole channels are redrawn.

    Args:
        space: The space, with a window of `macs` or of `params`, or of both, or with a target.
        n: Number of allocations; no two have the same numbers of channels. Defaults to 100.
        seed: Random seed. Defaults to 0.

    Returns:
        The allocations: `.groups`, `.keep`, `.plan(i)`.

    Raises:
        PruneError: An argument is out of range, or the space has too few allocations; the message gives their number.

    Example:
        >>> import kerasprune as kp
        >>> model = kp.models.resnet_cifar(20, input_shape=(32, 32, 3))
        >>> allocations = kp.papers.spaces.sample(kp.papers.spaces.Space(model, macs=0.25, std=0.05), n=5)
        >>> len(allocations), allocations.plan(0).keep.keys() == set(allocations.groups)
        (5, True)
        >>> dense = kp.cost(model).macs
        >>> [abs(kp.cost(model, allocations.plan(i)).macs / dense - 0.25) < 0.002 for i in range(5)]
        [True, True, True, True, True]

    Reference:
        He et al., Network Pruning Spaces, 2023, Section 3.1: allocations around the uniform one; Section 4: `c_mCB`.
    """
    raise_faults("Invalid arguments for sample:", whole_number_faults(1, n=n) + seed_faults(seed=seed))
    if not space.costs:
        raise PruneError(
            "Expected macs, params or target, the fraction of the dense model's that is kept. Received: none of them."
        )
    _check_reachable(space)
    random = np.random.default_rng(seed)
    found: dict[bytes, np.ndarray] = {}
    drawn = 0
    for _ in range(_ROUNDS):
        batch = max(_BATCH, min(4 * (n - len(found)), _AT_ONCE))
        keep = proposed(space, random, batch)
        drawn += batch
        whole = Allocations(space.graph, keep[space.contains(keep)])
        for row, channels in zip(whole.keep, whole.channels, strict=True):
            found.setdefault(channels.tobytes(), row)
        if len(found) >= n:
            return Allocations(space.graph, np.array(list(found.values())[:n]), space.criterion)
    raise PruneError(
        f"Expected a space that holds n={n} allocations: {len(found)} different ones were found in {drawn:,} draws. "
        f"Received: {space!r}. {_nearest(space)}Lower n, or choose a larger delta or std."
    )


def uniform(model: keras.Model | ChannelGraph, keep: Any, *, criterion: str | dict | Criterion = "l2") -> Allocations:
    """Returns the allocations that keep the same fraction of every group.

    Args:
        model: The model, or its graph.
        keep: The fraction kept in each allocation.
        criterion: Scores the channels; it must not need data. Defaults to `"l2"`.

    Example:
        >>> import keras
        >>> dense = keras.layers.Dense
        >>> uniform(keras.Sequential([keras.Input((4,)), dense(8), dense(8), dense(2)]), [0.5]).channels.tolist()
        [[4, 4]]
    """
    fractions = np.atleast_1d(np.asarray(keep, float))
    faults = [fault for each in fractions.tolist() for fault in fraction_faults(keep=each)]
    raise_faults("Invalid arguments for uniform:", faults)
    graph = prunable_graph(model)
    return Allocations(graph, np.repeat(fractions[:, None], len(graph.prunable), axis=1), criterion)


def proposed(space: Space, random: np.random.Generator, number: int) -> np.ndarray:
    """Returns allocations around the uniform one, adjusted to cost what the windows of a space allow.

    Args:
        space: The space, with a window of a cost.
        random: The source of the noise.
        number: Number of allocations.

    Returns:
        Fractions kept, shape `(allocations, groups)`, not all of which lie in the space.
    """
    groups = len(space.graph.prunable)
    amplitude = space.windows["std"].most * 3**0.5 if "std" in space.windows else _WIDEST * random.random((number, 1))
    noise = amplitude * random.uniform(-1, 1, (number, groups))
    aims = _aims(space, random, number)
    first, *second = aims
    if not second:
        return _levelled(space, noise, first, aims[first])
    scale = space.windows["std"].most if "std" in space.windows else _WIDEST
    direction = scale * tilt(space, first, aims[first])
    noise *= random.random((number, 1)) if "std" in space.windows else 1.0  # the tilt deviates, too
    return _tilted(space, noise, direction, aims)


def _aims(space: Space, random: np.random.Generator, number: int) -> dict[str, np.ndarray]:
    """Returns the aim of each allocation inside the windows: of a cost, or of `macs` or `params`, then of the other."""

    def inside(window: Window) -> np.ndarray:
        return random.uniform(max(window.least, 0.0), window.most, number)

    windows = space.windows
    aims = {name: inside(windows[name]) for name in space.costs}
    if "mcb" in windows and len(aims) == 1:
        ratio = np.maximum(inside(windows["mcb"]), 1e-6)
        name = next(iter(aims))
        aims |= {"params": aims["macs"] / ratio} if name == "macs" else {"macs": aims["params"] * ratio}
    return aims


def _levelled(space: Space, noise: np.ndarray, measure: str, aim: np.ndarray) -> np.ndarray:
    """Returns the allocations `level + noise`, with the level found by bisection so that the measure is met."""

    def at(level: np.ndarray) -> np.ndarray:
        return np.clip(level[:, None] + noise, LEAST, 1.0)

    low, high = np.full(len(noise), LEAST - 1.0), np.full(len(noise), 2.0 - LEAST)
    levels = bisect_intervals(low, high, _BISECTIONS, lambda level: space.measures(at(level))[measure] < aim)
    ends = [at(level) for level in levels]
    missed = [np.abs(space.measures(each)[measure] - aim) for each in ends]
    return np.where((missed[0] < missed[1])[:, None], *ends)


def _tilted(space: Space, noise: np.ndarray, direction: np.ndarray, aims: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns allocations that meet two measures: at every tilt the level meets the first, the tilt the second."""
    (first, aim), (second, limit) = aims.items()

    def at(tilts: np.ndarray) -> np.ndarray:
        return _levelled(space, noise + tilts[:, None] * direction, first, aim)

    ones = np.ones(len(noise))
    return at(bisect_intervals(-ones, ones, _TILTS, lambda tilts: space.measures(at(tilts))[second] > limit)[1])


def tilt(space: Space, measure: str, aim: np.ndarray) -> np.ndarray:
    """Returns the direction in which the other measure falls at constant `measure`: mean 0, standard deviation 1.

    It is the excess of each group's share of `measure` over its share of the other: the difference of the relative
    decreases of the two when the group shrinks, at the uniform allocation of that cost.
    """
    groups = len(space.graph.prunable)
    middle = _levelled(space, np.zeros((1, groups)), measure, np.mean(aim, keepdims=True))
    smaller = np.where(np.eye(groups, dtype=bool), middle / 2, middle)
    falls = np.log(space.count.shares_at(middle)) - np.log(space.count.shares_at(smaller))
    falls /= np.maximum(falls.sum(axis=0), 1e-12)
    more = falls[:, 0] - falls[:, 1]
    more = more if measure == "macs" else -more
    return (more - more.mean()) / max(more.std(), 1e-12)


def _check_reachable(space: Space) -> None:
    """Raises if a window is out of reach of all allocations, or two windows contradict each other."""
    groups = len(space.graph.prunable)
    least = space.measures(np.full((1, groups), LEAST))
    faults = [
        f"Expected a window that can be reached: {float(least[name][0]):.4f} to 1 of the {name} can be kept. "
        f"Received: {name} {space.windows[name]}. Raise it, or freeze less of the model."
        for name in space.costs
        if space.windows[name].most < least[name][0]
    ]
    raise_faults("The space is empty:", faults)
    aims = {name: np.full(2, min(window.least + window.most, 2.0) / 2) for name, window in space.windows.items()}
    first = space.costs[0]
    others = [name for name in ("macs", "params", "mcb") if name in aims and name != first]
    if others:
        _check_together(space, first, aims[first], others)


def _check_together(space: Space, first: str, aim: np.ndarray, others: list[str]) -> None:
    """Raises if the other measures cannot come near their windows while the first is met."""
    asked = space.windows
    scale, limit = (asked["std"].most, f" and std {asked['std']}") if "std" in asked else (2.0, "")
    ends = _levelled(space, np.outer([-1.0, 1.0], scale * tilt(space, first, aim)), first, aim)
    reached = {name: Window(*sorted(values)) for name, values in space.measures(ends).items()}
    faults = [
        f"Expected windows that can be met together: with {first} {asked[first]}{limit}, {name} is about "
        f"{reached[name]}. Received: {name} {asked[name]}. Move one of them, or leave one out."
        for name in others
        if asked[name].apart(reached[name])
    ]
    raise_faults("The space is empty:", faults)


def _nearest(space: Space) -> str:
    """Returns a sentence on the uniform allocations near the windows."""
    name = space.costs[0]
    window = space.windows[name]
    measures = space.measures(uniform(space.graph, np.linspace(LEAST, 1, 2000)).keep)
    shares, first = np.unique(measures[name], return_index=True)
    middle = (window.least + window.most) / 2
    near = np.sort(np.argsort(np.abs(shares - middle))[:4])
    found = f"Uniform allocations near it keep {', '.join(f'{share:.4f}' for share in shares[near])} of the {name}"
    if "std" in space.windows:
        deviations = ", ".join(f"{std:.4f}" for std in measures["std"][first[near]])
        found += f"; in whole channels their std is {deviations}"
    return f"{found}. "


def acceptance(space: Space, *, min_keep: float = 0.1, draws: int = 100_000, seed: int | None = 0) -> float:
    """Returns the fraction of random allocations that lie in a space.

    Each group keeps a fraction drawn independently from `[min_keep, 1]`, as in EagleEye. The paper replaces this
    sampler, since most of its allocations miss a narrow window.

    Args:
        space: The space.
        min_keep: The smallest fraction that a group may keep, `1 − R` of the paper. Defaults to 0.1.
        draws: Number of allocations drawn. Defaults to 100,000.
        seed: Random seed. Defaults to 0.

    Returns:
        The fraction, in [0, 1].

    Example:
        >>> import kerasprune as kp
        >>> model = kp.models.resnet_cifar(20, input_shape=(32, 32, 3))
        >>> 0 < kp.papers.spaces.acceptance(kp.papers.spaces.Space(model, macs=0.25), draws=20_000) < 0.05
        True

    Reference:
        He et al., Network Pruning Spaces, 2023, Section 3.1: "this random sampling process is not effective enough";
        Li et al., EagleEye, ECCV 2020, Section 3.3.
    """
    _check(1, min_keep, draws, seed)
    return sum(map(len, _drawn_inside(space, min_keep, draws, seed))) / draws


def random_allocations(
    space: Space,
    n: int,
    *,
    min_keep: float = 0.1,
    draws: int = 1_000_000,
    seed: int | None = 0,
) -> Allocations:
    """Returns random allocations of a space by rejection sampling, with fractions kept drawn from `[min_keep, 1]`.

    Args:
        space: The space.
        n: Number of allocations.
        min_keep: The smallest fraction that a group may keep. Defaults to 0.1.
        draws: Maximum number of draws. Defaults to 1,000,000.
        seed: Random seed. Defaults to 0.

    Raises:
        PruneError: An argument is out of range, or fewer than `n` of the draws lie in the space.

    Example:
        >>> import kerasprune as kp
        >>> model = kp.models.resnet_cifar(8, input_shape=(32, 32, 3))
        >>> len(random_allocations(kp.papers.spaces.Space(model, macs=0.3, delta=0.05), 10))
        10

    Reference:
        Li et al., EagleEye, ECCV 2020, Section 3.3.
    """
    _check(n, min_keep, draws, seed)
    found: list[np.ndarray] = []
    for inside in _drawn_inside(space, min_keep, draws, seed):
        found.extend(inside)
        if len(found) >= n:
            return Allocations(space.graph, np.array(found[:n]), space.criterion)
    raise PruneError(
        f"Expected n={n} allocations among {draws:,} random ones. Received: {len(found)}, of {space!r}. Choose a "
        f"larger delta, another min_keep than {min_keep}, or use kp.papers.spaces.sample, which aims."
    )


def _drawn_inside(space: Space, min_keep: float, draws: int, seed: int | None) -> Iterator[np.ndarray]:
    """Yields those of `draws` random allocations that lie in a space."""
    random, groups = np.random.default_rng(seed), len(space.graph.prunable)
    for begin in range(0, draws, _AT_ONCE):
        keep = 1 - random.uniform(0, 1 - min_keep, (min(_AT_ONCE, draws - begin), groups))
        yield keep[space.contains(keep)]


def _check(n: int, min_keep: float, draws: int, seed: int | None) -> None:
    faults = proper_fraction_faults(min_keep=min_keep)
    raise_faults("Invalid draw:", faults + whole_number_faults(1, n=n, draws=draws) + seed_faults(seed=seed))
