"""`dropout_stability`: the loss with half of the units of all later layers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from math import comb, prod
from typing import Any

import keras
import numpy as np

from kerasprune.analysis.judged_weights import Weights, WeightsJudge, weights_of
from kerasprune.checks import seed_faults, whole_number_faults
from kerasprune.errors import raise_faults
from kerasprune.graph.trace import trace

Kept = dict[str, np.ndarray]
"""`{group name: indices of the units kept}`."""

_ALL = 256  # choices of units that are all tried; of more, greedy and random ones
_STEP, _FINEST = 0.5, 1e-3  # of the line search over the factor
_ENOUGH = 1e-6  # relative to the loss: no less is searched for


@dataclass(frozen=True, eq=False)
class DropoutStability:
    """Losses of a model with half of its units removed; returned by `dropout_stability`.

    Args:
        loss: L(θ), with all units.
        losses: `(layers,)`: L(θ_i), the best found with half of the units of all layers from the i-th on.
        factors: `(layers,)`: the factor of the outputs kept, for each i.
        kept: For each i, `{group name: indices of the units kept}`.
    """

    loss: float
    losses: np.ndarray
    factors: np.ndarray
    kept: tuple[Kept, ...]

    @property
    def epsilon(self) -> float:
        """`max(0, max_i L(θ_i) − L(θ))`."""
        return max(0.0, float(self.losses.max()) - self.loss)

    @property
    def factor(self) -> float:
        """The factor of the i that `epsilon` is taken from."""
        return float(self.factors[self.losses.argmax()])


def dropout_stability(
    model: keras.Model, data: Any, *, draws: int = 20, loss: Any = None, seed: int = 0
) -> DropoutStability:
    """Measures whether a trained model needs more than half of its units.

    For every i, at most ⌊h_j/2⌋ of the h_j units are kept in all layers j = i … d − 1 at once, their outputs multiplied
    by one factor r, those of the others by 0, which gives θ_i:

        ε = max_i min_{units, r} L(θ_i) − L(θ),  at least 0

    The factor is searched from 2. If there are few choices of units, all are tried, otherwise random ones and two
    greedy ones, in which some units double or are unchanged and the others are removed: ε is then an
    upper bound. Two such relu nets are joined by a path whose loss is at most ε above its ends.

    Args:
        model: The trained model, which is left untouched. Layers are its prunable groups of channels, in order; what
            reads a channel is what is rescaled. BatchNorm keeps its statistics.
        data: Labelled training examples: batches of `(inputs, labels)`, of a few hundred for speed.
        draws: Number of random choices of units for each i. Defaults to 20.
        loss: The loss as `compile` takes it. Defaults to the compiled one.
        seed: Random seed. Defaults to 0.

    Returns:
        `.epsilon`, `.factor`, `.kept`, and loss and factor for each i.

    Raises:
        PruneError: The model has no prunable layer, the loss is missing, or the data do not fit.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> layers = keras.layers.Dense(2, "relu", kernel_initializer="ones"), keras.layers.Dense(1)
        >>> model = keras.Sequential([keras.Input((3,)), *layers])  # both units are the same
        >>> found = kp.analysis.dropout_stability(model, [(np.ones((8, 3)), np.zeros((8, 1)))], loss="mse")
        >>> len(found.kept), found.losses.shape
        (1, (1,))

    Reference:
        Kuditipudi et al., Explaining Landscape Connectivity of Low-cost Solutions for Multilayer Nets, NeurIPS 2019,
        arXiv 1906.06247, Definition 1.
    """
    raise_faults(
        "Invalid arguments for dropout_stability:", whole_number_faults(0, draws=draws) + seed_faults(seed=seed)
    )
    units, judge = Units(model), WeightsJudge(model, data, loss)
    whole = judge.at(units.weights)[0]
    search = _ChoiceOfUnits(units, judge, whole + _ENOUGH * max(abs(whole), 1.0))
    random, found = np.random.default_rng(seed), []
    for i in reversed(range(len(units.names))):
        names, later = units.names[i:], found[-1] if found else (0.0, 2.0, {})
        found.append(search.best(_choices(units, names, search, later, draws, random)))
    losses, factors, kept = zip(*reversed(found), strict=True)
    return DropoutStability(whole, np.array(losses), np.array(factors), tuple(kept))


class Units:
    """The weights of a model whose units' outputs are multiplied by factors.

    Args:
        model: The model.
    """

    def __init__(self, model: keras.Model) -> None:
        self._graph = trace(model)
        self._graph.check_prunable()
        self.weights = weights_of(model)
        self.names = list(self._graph.prunable)
        places = {id(variable): place for place, variable in enumerate(model.weights)}
        self._read = [
            (places[id(entry.variable)], axis, self._graph.classes[entry.ids[axis]])
            for entry in self._graph.slices
            for axis in entry.reads
            if entry.ids[axis] is not None
        ]

    def number(self, name: str) -> int:
        """Returns the number of units of a layer."""
        return self._graph.groups[name].size

    def scaled(self, factors: Mapping[str, np.ndarray]) -> Weights:
        """Returns the weights if the outputs of layers' units are multiplied: `{name: one factor for each unit}`."""
        of_class = np.ones(self._graph.classes.max() + 1)
        for name, line in factors.items():
            of_class[self._graph.groups[name].classes] = line
        made = list(self.weights)
        for place, axis, classes in self._read:
            shape = [1] * made[place].ndim
            shape[axis] = -1
            made[place] = (made[place] * of_class[classes].reshape(shape)).astype(made[place].dtype)
        return made

    def keeping(self, kept: Kept, factor: float) -> Weights:
        """Returns the weights if only some units act, their outputs multiplied by a factor."""
        return self.scaled({name: self.only(name, indices, factor) for name, indices in kept.items()})

    def only(self, name: str, indices: np.ndarray, factor: float) -> np.ndarray:
        """Returns a factor for each unit of a layer: 0 for those that are not kept."""
        line = np.zeros(self.number(name))
        line[indices] = factor
        return line


@dataclass
class _ChoiceOfUnits:
    """The search for the units and the factor of the lowest loss; it ends at a loss that is low enough."""

    units: Units
    judge: WeightsJudge
    enough: float

    def loss(self, factors: Mapping[str, np.ndarray]) -> float:
        return self.judge.at(self.units.scaled(factors))[0]

    def best(self, choices: Iterator[Kept]) -> tuple[float, float, Kept]:
        """Returns loss, factor and units of the best choice."""
        best = (np.inf, 2.0, {})
        for kept in choices:
            loss, factor = _line_search(lambda r, kept=kept: self.judge.at(self.units.keeping(kept, r))[0], self.enough)
            best = min(best, (loss, factor, kept), key=lambda each: each[0])
            if best[0] <= self.enough:
                break
        return best

    def greedy(self, name: str, later: Mapping[str, np.ndarray], *, doubled: bool) -> np.ndarray:
        """Returns half of the units, chosen greedily by loss: one after another is removed or, if `doubled`, kept."""
        size = self.units.number(name)
        line = np.ones(size)
        for value in (0.0, 2.0) * (size // 2) if doubled else (0.0,) * (size - size // 2):
            losses = {}
            for unit in np.flatnonzero(line == 1):
                changed = line.copy()
                changed[unit] = value
                losses[unit] = self.loss({name: changed, **later})
            line[min(losses, key=losses.__getitem__)] = value
        return np.flatnonzero(line == (2 if doubled else 1))


def _line_search(loss: Callable[[float], float], enough: float) -> tuple[float, float]:
    """Returns the lowest loss found and its factor, from 2 in ever smaller steps."""
    factor, step = 2.0, _STEP
    best = loss(factor)
    while step > _FINEST and best > enough:
        for new in (factor - step, factor + step):
            if new >= 0 and (found := loss(new)) < best:
                factor, best = new, found
                break
        else:
            step /= 2
    return best, factor


def _choices(
    units: Units, names: list[str], search: _ChoiceOfUnits, later: tuple[float, float, Kept], draws: int, random: Any
) -> Iterator[Kept]:
    """Yields units of layers: all choices if they are few, else two greedy ones, then random ones."""
    sizes = [units.number(name) for name in names]
    if prod(sum(comb(size, k) for k in range(size // 2 + 1)) for size in sizes) <= _ALL:
        subsets = [
            [np.array(chosen, int) for k in range(size // 2, -1, -1) for chosen in combinations(range(size), k)]
            for size in sizes
        ]
        for chosen in product(*subsets):
            yield dict(zip(names, chosen, strict=True))
        return
    _, factor, kept = later
    scaled = {name: units.only(name, indices, factor) for name, indices in kept.items()}
    for doubled in (True, False):
        yield {names[0]: search.greedy(names[0], scaled, doubled=doubled), **kept}
    for _ in range(draws):
        yield {
            name: np.sort(random.choice(size, size // 2, replace=False))
            for name, size in zip(names, sizes, strict=True)
        }
