"""Counting: the costs of a model for given numbers of channels.

One multiply–add counts as 1. Convolutions and dense layers are counted as the papers do (kernel size × output
positions); biases, normalisations, activations and pooling are not. Products of tensors, such as q·k and p·v of
attention, which most papers leave out, are counted apart. Layers without a rule are estimated like convolutions, apart
from the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from kerasprune.errors import PruneError
from kerasprune.graph.channels import Count, Ids, Slice, once
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import give_size
from kerasprune.rules.gate import Gate
from kerasprune.tables import Part, Shown, Table


@dataclass(frozen=True)
class LayerCost:
    """The cost of one layer: parameters, and over all its calls multiply–adds and output elements per sample."""

    name: str
    kind: str
    params: int
    macs: int
    activations: int
    bytes: int
    estimated: int = 0
    products: int = 0


_COUNTED = "params", "macs"


@dataclass(frozen=True)
class Cost(Shown):
    """The cost of a model.

    Args:
        params: Number of weights, non-trainable ones included.
        macs: Multiply–adds of convolutions and dense layers per sample.
        activations: Output elements of convolutions and dense layers per sample.
        bytes: Size of the weights as stored.
        layers: The same by layer, for layers with weights and for operations with products.
        estimated: Multiply–adds per sample of layers without a rule, not included in `macs`: their kernels (weights of
            at least two axes, except embedding tables) times their output positions.
        products: Multiply–adds per sample of products of activations, not included in `macs`: q·k and p·v of attention
            layers, `ops.matmul`, `ops.einsum`, `ops.dot_product_attention`, `Dot`. Those over a free axis are left out.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> kp.cost(model)
        Cost(params=58, macs=48, activations=10, bytes=232, layers=<2>)
    """

    params: int
    macs: int
    activations: int
    bytes: int
    layers: tuple[LayerCost, ...] = ()
    estimated: int = 0
    products: int = 0

    def __repr__(self) -> str:
        numbers = {"estimated": self.estimated, "products": self.products}
        apart = "".join(f", {key}={number:,}" for key, number in numbers.items() if number)
        return (
            f"Cost(params={self.params:,}, macs={self.macs:,}, activations={self.activations:,}, bytes={self.bytes:,}"
            f"{apart}, layers=<{len(self.layers)}>)"
        )

    def _shown(self) -> list[Part]:
        rows = [(each.name, each.kind, f"{each.params:,}", f"{each.macs:,}") for each in self.layers]
        shares = [[getattr(each, key) / max(getattr(self, key), 1) for each in self.layers] for key in _COUNTED]
        header = ("layer", "class", "parameters", "multiply–adds")
        weights = f"{self.params:,} parameters, {self.bytes:,} bytes"
        runs = f"{self.macs:,} multiply–adds, {self.activations:,} output elements per sample"
        apart = {"of layers without a rule, estimated": self.estimated, "of products of activations": self.products}
        lines = [f"not included: {number:,} multiply–adds {what}" for what, number in apart.items() if number]
        return [Table(header, rows, left=(0, 1), bars=dict(enumerate(shares, start=2))), f"{weights}; {runs}", *lines]

    @property
    def uncounted(self) -> float:
        """The share of the multiply–adds that is estimated rather than counted."""
        return self.estimated / max(self.macs + self.estimated, 1)

    @property
    def macs_by_name(self) -> dict[str, int]:
        """The multiply–adds of layers that have any by name, summed over layers of one name."""
        found: Counter[str] = Counter()
        for layer in self.layers:
            found[layer.name] += layer.macs
        return {name: macs for name, macs in found.items() if macs}


def cost_of_what_stays(
    graph: ChannelGraph, keep: Mapping[str, np.ndarray], macs_of: Mapping[str, int] = MappingProxyType({})
) -> Cost:
    """Returns `cost(graph, plan)` of a legal choice of channels, without checks.

    Args:
        graph: The graph.
        keep: `{group name: indices kept}`, unchecked.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none.
    """
    return cost_of_counts(graph, counter(graph.alive(keep)), macs_of)


def cost_of_counts(
    graph: ChannelGraph,
    count: Callable[[np.ndarray], Any],
    macs_of: Mapping[str, int] = MappingProxyType({}),
    added: Mapping[int, np.ndarray] = MappingProxyType({}),
) -> Cost:
    """Returns the cost for given numbers of channels, fewer or more than now.

    Costs are sums of products of these numbers: if they are polynomials, the costs are, too.

    Args:
        graph: The graph.
        count: Returns the number of channels of an array of ids: an integer, or a term that adds and multiplies.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none.
        added: Biases that folding adds, `{id(layer): bias}`. Defaults to none.
    """
    return _total(_layer_costs(graph, count, {key: bias.size for key, bias in added.items()}, macs_of))


def costs_of(
    graph: ChannelGraph,
    keys: Iterable[str],
    count: Callable[[np.ndarray], Any],
    macs_of: Mapping[str, int] = MappingProxyType({}),
) -> Cost:
    """Returns `cost_of_counts` of the requested keys only.

    Parameters alone need no output positions, so that the input side may be free.

    Args:
        graph: The graph.
        keys: The costs to count, `"params"` and `"macs"`.
        count: As for `cost_of_counts`.
        macs_of: Likewise.
    """
    macs_of = {each.name: macs_of[each.name] for each in graph.unknown if each.name in macs_of}
    params = macs = 0
    for layer, _, own, sizes in _weighted(graph, count):
        params += sum(sizes) if "params" in keys else 0
        macs += _layer_macs(graph, layer, own, sizes, macs_of) if "macs" in keys else 0
    return Cost(params, macs, 0, 0)


def shares_of(slim: Any, dense: Any, keys: Iterable[str] = ("params", "macs")) -> dict[str, float]:
    """Returns the slim model's share of the dense model's costs: `slim / dense` of each key.

    Args:
        slim: An object with these costs, e.g. a `Cost`.
        dense: Likewise; zeros count as one.
        keys: The costs. Defaults to parameters and multiply–adds.
    """
    return {key: getattr(slim, key) / max(getattr(dense, key), 1) for key in keys}


class ShareCounter:
    """Counts the share of a dense model's costs that a choice of channels keeps.

    Args:
        dense: The graph of the dense model.
        keys: `"params"`, `"macs"` or both, as for `costs_of`.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none.
    """

    def __init__(
        self, dense: ChannelGraph, keys: Iterable[str], macs_of: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self._keys, self._macs_of = tuple(keys), macs_of
        self._dense = costs_of(dense, self._keys, counter(dense.alive({})), macs_of)

    def __call__(self, graph: ChannelGraph, count: Callable[[np.ndarray], int]) -> dict[str, float]:
        """Returns `{key: share}` for given numbers of channels of a graph, which may lack blocks."""
        return shares_of(costs_of(graph, self._keys, count, self._macs_of), self._dense, self._keys)


def macs_of_kernel(graph: ChannelGraph, kernel: Slice, size: Any) -> Any:
    """Returns the multiply–adds of a kernel of a graph with `size` weights: `size · output positions`.

    Raises:
        PruneError: The input side of the model is free.
    """
    if None in kernel.positions:
        raise PruneError(
            "Expected a size: the input side of the model is free, so the multiply–adds of "
            f"{kernel.owner.name!r} are not known. Received: size=None. ",
            *give_size(graph.model),
        )
    return size * sum(kernel.positions)


def counter(alive: np.ndarray) -> Count:
    """Returns a memoised function from ids to the number of channels kept; `alive[id]` is whether an id is kept."""
    return once(lambda ids: int(np.count_nonzero(alive[ids])))


def kept_size(entry: Slice, count: Count) -> int:
    """Returns the number of a variable's weights kept."""
    shape = () if all(ids is not None for ids in entry.ids) else entry.variable.shape  # Keras recreates it
    return prod(shape[axis] if ids is None else count(ids) for axis, ids in enumerate(entry.ids))


def _layer_macs(
    graph: ChannelGraph, layer: Any, own: Sequence[Slice | None], sizes: Sequence[Any], macs_of: Mapping[str, int]
) -> Any:
    """Returns the multiply–adds of a layer: those in `macs_of`, or those of its kernels."""
    if layer.name in macs_of:
        return macs_of[layer.name]
    return sum(
        macs_of_kernel(graph, each, size)
        for each, size in zip(own, sizes, strict=True)
        if each and each.role == "kernel"
    )


def _layer_costs(
    graph: ChannelGraph, count: Count, added: Mapping[int, int], macs_of: Mapping[str, int]
) -> list[LayerCost]:
    unknown, products = {each.name for each in graph.unknown}, _products(graph, count)
    given = {name: macs for name, macs in macs_of.items() if name in unknown}
    outputs: Counter[int] = Counter()
    for call in graph.calls:
        outputs[id(call.operation)] += _elements(call.outputs[0], count)
    costs = []
    for layer, weights, own, sizes in _weighted(graph, count):
        if not weights and id(layer) not in products and layer.name not in macs_of:
            continue
        kernels = any(each and each.role == "kernel" for each in own)
        estimate = layer.name in unknown and layer.name not in given and not kernels
        macs, estimated = _layer_macs(graph, layer, own, sizes, given), _estimated(graph, layer) if estimate else 0
        kind, bias, multiplied = type(layer).__name__, added.get(id(layer), 0), products[id(layer)]
        stored = sum(size * _item_size(w.dtype) for size, w in zip(sizes, weights, strict=True))
        stored += bias * _item_size(layer.variable_dtype) if bias else 0
        activations = outputs[id(layer)] if kernels else 0
        params = sum(sizes) + bias
        costs.append(LayerCost(layer.name, kind, params, macs, activations, stored, estimated, multiplied))
    return costs


def _weighted(graph: ChannelGraph, count: Count) -> Iterator[tuple[Any, Sequence[Any], list[Slice | None], list[Any]]]:
    """Yields every operation with its weights, their slices, and the number of weights kept of each."""
    for layer, weights, own in graph.weights:
        if not isinstance(layer, Gate):  # folded into the layers before them
            sizes = [kept_size(s, count) if s else prod(w.shape) for s, w in zip(own, weights, strict=True)]
            yield layer, weights, own, sizes


def _products(graph: ChannelGraph, count: Count) -> Counter[int]:
    """Returns `{id(operation): multiply–adds}` of the products of tensors whose sizes are all known."""
    found: Counter[int] = Counter()
    for product in graph.products:
        sizes = [count(size) if isinstance(size, np.ndarray) else size for size in product.sizes]
        if None not in sizes:
            found[id(product.operation)] += prod(sizes)
    return found


def _estimated(graph: ChannelGraph, layer: Any) -> int:
    """Returns the estimated cost of a layer without a rule: its kernels at every output position of its calls."""
    kernels = [w for w in layer.weights if len(w.shape) > 1 and "embedding" not in w.path.split("/")[-1]]
    outputs = [call.outputs[0] for call in graph.calls if call.operation is layer]
    positions = sum(prod(1 if side is None else side for side in output.shape[1:-1]) for output in outputs)
    return positions * sum(prod(w.shape) for w in kernels)


def _elements(ids: Ids, count: Count) -> int:
    sizes = [count(ids.axes[a]) if a in ids.axes else s for a, s in enumerate(ids.shape)][1:]
    return 0 if None in sizes else prod(sizes)


def _item_size(dtype: str) -> int:
    return {"bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1}.get(dtype) or np.dtype(dtype).itemsize


def _total(layers: list[LayerCost]) -> Cost:
    keys = ("params", "macs", "activations", "bytes", "estimated", "products")
    sums = {key: sum(getattr(one, key) for one in layers) for key in keys}
    return Cost(**sums, layers=tuple(layers))
