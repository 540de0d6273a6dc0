"""`stable_path`: the path between two dropout-stable nets, as the proof builds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasprune.analysis.between_models import Line, along
from kerasprune.analysis.fewer_units import DropoutStability, dropout_stability
from kerasprune.analysis.judged_weights import Weights, WeightsJudge, check_alike, combine_weights, weights_of
from kerasprune.checks import whole_number_faults
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace

Positions = list[np.ndarray]
"""Units of every hidden layer."""


@dataclass(frozen=True, eq=False)
class StablePath(Line):
    """A path of straight pieces between two models, with loss and error along it; returned by `stable_path`.

    Args:
        alphas: `(points,)`, evenly spaced from 0 to 1; every straight piece takes an equal share.
        losses: `(points,)`: mean losses.
        errors: `(points,)`: fractions of wrong classes; the losses if the outputs are not scores of classes.
        knots: The weights at the ends of the straight pieces.
        stability: The dropout stability of both models.
    """

    knots: tuple[Weights, ...]
    stability: tuple[DropoutStability, DropoutStability]

    def weights(self, alpha: float) -> Weights:
        """Returns the weights at a point, for `model.set_weights`."""
        piece = min(int(alpha * (len(self.knots) - 1)), len(self.knots) - 2)
        share = alpha * (len(self.knots) - 1) - piece
        return combine_weights(self.knots[piece : piece + 2], (1 - share, share))


def stable_path(
    a: keras.Model,
    b: keras.Model,
    data: Any,
    *,
    points: int = 30,
    draws: int = 20,
    loss: Any = None,
    seed: int = 0,
) -> StablePath:
    """Builds the path of Theorem 1 between two nets, and measures it.

        L(path) ≤ max(L(a), L(b)) + max(ε_a, ε_b)

    From a, layer by layer from the last, half of the units take over; their copies in the other half are made while
    nothing reads them, and the output layer, in which the loss is convex, passes from one half to the other.

    Args:
        a: A trained model: a chain of dense layers and convolutions without sums and without BatchNorm (fold it first).
        b: The other trained model; layers are matched by position.
        data: Labelled training examples, as for `dropout_stability`.
        points: Number of points measured, both ends included. Defaults to 30.
        draws: As for `dropout_stability`. Defaults to 20.
        loss: The loss as `compile` takes it. Defaults to the compiled one of `a`.
        seed: Random seed. Defaults to 0.

    Returns:
        The measurements of `line` along the path, `.knots`, `.weights(alpha)`, and the `.stability` of both.

    Raises:
        PruneError: The models differ in shape or are not chains, or the data do not fit.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> bodies = [[keras.layers.Dense(4, "relu"), keras.layers.Dense(1)] for _ in range(2)]
        >>> a, b = (keras.Sequential([keras.Input((2,)), *body]) for body in bodies)
        >>> path = kp.analysis.stable_path(a, b, [(np.ones((8, 2)), np.ones((8, 1)))], loss="mse")
        >>> bool((path.weights(1)[0] == b.get_weights()[0]).all())
        True

    Reference:
        Kuditipudi et al., Explaining Landscape Connectivity of Low-cost Solutions for Multilayer Nets, NeurIPS 2019,
        arXiv 1906.06247, Theorem 1.
    """
    raise_faults("Invalid arguments for stable_path:", whole_number_faults(2, points=points))
    check_alike(a, b)
    chain = _Chain(trace(a))
    loss = a.loss if loss is None and a.compiled else loss
    stability = tuple(dropout_stability(each, data, draws=draws, loss=loss, seed=seed) for each in (a, b))
    (first, taken), (last, wanted) = (
        chain.halved(weights_of(each), found) for each, found in zip((a, b), stability, strict=True)
    )
    knots = (*first, *chain.joined(first[-1], taken, last[-1], wanted), *reversed(last))
    alphas, empty = np.linspace(0, 1, points), np.zeros(0)
    path = StablePath(empty, empty, empty, knots, stability)
    measured = along(WeightsJudge(a, data, loss), [path.weights(alpha) for alpha in alphas])
    return StablePath(alphas, *measured, knots, stability)


@dataclass(frozen=True)
class _Layer:
    """A layer of a chain: places of its weights, axes, and the indices along them of each unit."""

    kernel: int
    bias: int | None
    axes: tuple[int, int]
    rows: np.ndarray | None  # (units read, indices of each); None: the inputs of the model
    columns: np.ndarray | None  # (units made,); None: the outputs of the model

    def view(self, weights: Weights) -> np.ndarray:
        return np.moveaxis(weights[self.kernel], self.axes, (0, -1))

    def read(self, units: np.ndarray) -> np.ndarray:
        return self.rows[units].ravel()


class _Chain:
    """The layers of a model, each read by the next one only.

    Args:
        graph: The graph of the model.
    """

    def __init__(self, graph: ChannelGraph) -> None:
        places = {id(variable): place for place, variable in enumerate(graph.model.weights)}
        bias = {id(each.owner): places[id(each.variable)] for each in graph.slices if each.role == "bias"}
        groups, kernels = list(graph.prunable.values()), graph.kernels
        self.layers: list[_Layer] = []
        plain = len(kernels) == len(groups) + 1 and {each.role for each in graph.slices} <= {"kernel", "bias"}
        for number, kernel in enumerate(kernels if plain else ()):
            before, after = groups[number - 1] if number else None, groups[number] if number < len(groups) else None
            own = getattr(kernel.owner, "bias", None)
            place = bias.get(id(kernel.owner), None if own is None else places[id(own)])
            axes = len(kernel.variable.shape) - 2, len(kernel.variable.shape) - 1
            rows, columns = self._found(graph, kernel, before, axes[0]), self._found(graph, kernel, after, axes[1])
            plain = plain and (not number or rows is not None) and (after is None or columns is not None)
            self.layers.append(
                _Layer(places[id(kernel.variable)], place, axes, rows, None if columns is None else columns[:, 0])
            )
        if not plain or not groups:
            raise PruneError(
                "Expected a chain of dense layers and convolutions, each read by the next one only. Received: "
                f"{graph.model.name!r}, which has sums, grouped or normalising layers. Build both without."
            )

    @staticmethod
    def _found(graph: ChannelGraph, kernel: Any, group: Any, axis: int) -> np.ndarray | None:
        """Returns the indices of each unit of a group along an axis of a kernel; `None` if they are not all there."""
        if group is None or kernel.ids[axis] is None:
            return None
        classes = graph.classes[kernel.ids[axis]]
        found = [np.flatnonzero(classes == each) for each in group.classes]
        return np.array(found) if sum(map(len, found)) == len(classes) and len({*map(len, found)}) == 1 else None

    def halved(self, own: Weights, found: DropoutStability) -> tuple[list[Weights], Positions]:
        """Returns the path's knots from a model to half of all its layers, and the positions of its units there."""
        hidden = len(self.layers) - 1
        state, knots, taken = own, [own], [np.zeros(0, int)] * hidden
        for i in reversed(range(hidden)):
            source, factor = [np.zeros(0, int)] * i + list(found.kept[i].values()), found.factors[i]
            free = [
                np.setdiff1d(np.arange(len(layer.columns)), used)
                for layer, used in zip(self.layers, taken, strict=False)
            ]
            target = [each if j <= i else free[j][: len(each)] for j, each in enumerate(source)]
            for j in range(i + 1, hidden):
                state = self._written(state, own, j, (source, target), factor)
            passed = self._written(state, own, hidden, (source, target), factor)
            knots, state, taken = [*knots, state, passed], passed, target
        return knots, taken

    def joined(self, state: Weights, taken: Positions, wanted: Weights, there: Positions) -> list[Weights]:
        """Returns the knots of the path from half of one model to half of another."""
        hidden, now = len(self.layers) - 1, []
        for layer, used, goal in zip(self.layers, taken, there, strict=False):
            spare = iter(np.setdiff1d(np.arange(len(layer.columns)), np.union1d(used, goal)))
            now.append(np.array([next(spare) if each in used else each for each in goal], int))
        for j in range(hidden):
            state = self._written(state, wanted, j, (there, now), 1.0)
        knots = [state, self._written(state, wanted, hidden, (there, now), 1.0)]
        for j in range(hidden):  # to their own places, which nothing reads now
            moved = now[j] != there[j]
            knots += self._moved(knots[-1], j, now[j][moved], there[j][moved])
        return knots

    def _written(
        self, state: Weights, origin: Weights, j: int, places: tuple[Positions, Positions], factor: float
    ) -> Weights:
        """Returns a state with units of layer j copied from another one; `places`: their positions there and here."""
        layer, (source, target) = self.layers[j], places
        state = [each.copy() for each in state]
        new, old = layer.view(state), layer.view(origin)
        out = layer.columns is None
        to, of = (slice(None),) * 2 if out else (layer.columns[target[j]], layer.columns[source[j]])
        if j:
            block = np.zeros_like(old[..., of])
            block[layer.read(target[j - 1])] = factor * old[layer.read(source[j - 1])][..., of]
        else:
            block = old[..., of]
        new[..., to] = block
        if layer.bias is not None:
            state[layer.bias][to] = origin[layer.bias][of]
        return state

    def _moved(self, state: Weights, j: int, old: np.ndarray, new: np.ndarray) -> list[Weights]:
        """Returns two states: units of layer j are copied to other places; the next layer reads the copies instead."""
        layer, reader = self.layers[j : j + 2]
        copied = [each.copy() for each in state]
        view = layer.view(copied)
        view[..., layer.columns[new]] = view[..., layer.columns[old]]
        if layer.bias is not None:
            copied[layer.bias][layer.columns[new]] = copied[layer.bias][layer.columns[old]]
        passed = [each.copy() for each in copied]
        view = reader.view(passed)
        view[reader.read(new)] = view[reader.read(old)]
        view[reader.read(old)] = 0
        return [copied, passed]
