"""Networks that meet a target cost: the budgets of the relaxed problem are adjusted until the built network does.

A layer of density p keeps √p of its outputs, so that its real density is the geometric mean of its own and that of the
layer before it; numbers of channels are whole; inputs and logits are kept. The built network therefore costs something
else than its densities suggest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import keras

from kerasprune.checks import given_values, is_number, of_percent
from kerasprune.errors import raise_faults, warn
from kerasprune.graph.channels import Count
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.sizes import Size
from kerasprune.graph.trace import trace
from kerasprune.papers.synexp.coupled_layers import CoupledLayers, kernel_costs
from kerasprune.papers.synexp.synexp import densities
from kerasprune.surgery.costs.cost import check_counted, cost
from kerasprune.surgery.costs.counts import ShareCounter
from kerasprune.surgery.graphs import graph_at

Made = TypeVar("Made")
Shares = Mapping[str, float]
"""`{"params": fraction, "macs": fraction}` of the dense model's costs, either or both."""

_LOWEST = 1e-9
_TURNS = 30
_WIDEST = 8  # the largest budget of the relaxed problem over the target, without a cap
_NEAR = 1e-3  # relative; near enough to stop
_MISSED = 0.05  # relative; the largest miss without a warning


def built_as_asked(
    graph: ChannelGraph,
    asked: Shares,
    make: Callable[[Mapping[str, float]], Made],
    counted: Callable[[Made], Count],
    *,
    cap: bool = True,
) -> Made:
    """Returns the network, in the form that `make` returns, whose costs are nearest to the targets.

    If one target leaves no room for the other, the other is missed, and a warning gives the fraction that is built.

    Args:
        graph: The graph of the dense model.
        asked: The targets.
        make: Makes the network from the density of each group.
        counted: Returns the function that counts its channels, as for `ShareCounter`.
        cap: Whether no density may exceed 1. Defaults to `True`.

    Raises:
        PruneError: Even the smallest network costs more, or multiply–adds are not known.
    """
    asked = {key: float(share) for key, share in asked.items()}
    layers = CoupledLayers.of(graph, macs="macs" in asked)
    if "macs" in asked:
        check_counted(cost(graph), "macs=")
    counter = ShareCounter(graph, asked)

    def built(budgets: Shares) -> tuple[Made, Shares, list[str]]:
        densities, slack = layers.solved(budgets, cap=cap)
        made = make(densities)
        return made, counter(graph, counted(made)), slack

    _check_reachable(asked, built(dict.fromkeys(asked, _LOWEST))[1])
    most = {key: 1.0 if cap else _WIDEST * fraction for key, fraction in asked.items()}
    budgets, best, nearest = dict(asked), None, float("inf")
    for _ in range(_TURNS):
        made, found, slack = built(budgets)
        ratios = {key: found[key] / fraction for key, fraction in asked.items()}
        binding = [ratio for key, ratio in ratios.items() if ratio > 1 or key not in slack]
        distance = max((abs(ratio - 1) for ratio in binding), default=0.0)
        if distance < nearest:
            best, nearest = (made, found), distance
        if distance < _NEAR:
            break
        budgets = {key: min(budget / ratios[key], most[key]) for key, budget in budgets.items()}
    _warn_of_misses(asked, best[1])
    return best[0]


def share_faults(params: Any, macs: Any, largest: float) -> list[str]:
    """Returns a fault for every target that is out of range, or for none at all.

    Args:
        params: Fraction of the parameters, or `None`.
        macs: Fraction of the multiply–adds, or `None`.
        largest: The largest fraction that is allowed.
    """
    asked = given_values(params=params, macs=macs)
    if not asked:
        return ["Expected params, macs or both. Received: neither."]
    return [
        f"Expected {key} to be the fraction kept, above 0 and at most {largest:g}. Received: {key}={share!r}."
        f"{of_percent(share)}"
        for key, share in asked.items()
        if not is_number(share) or not 0 < share <= largest
    ]


def _check_reachable(asked: Shares, least: Shares) -> None:
    raise_faults(
        "Expected budgets that can be met:",
        [
            f"at least {least[key]:.3g} of the {key} are kept, with one channel in every group. "
            f"Received: {key}={fraction}. Raise it."
            for key, fraction in asked.items()
            if fraction < least[key]
        ],
    )


def _warn_of_misses(asked: Shares, found: Shares) -> None:
    missed = {key: share for key, share in asked.items() if abs(found[key] / share - 1) > _MISSED}
    for key, share in missed.items():
        others = " and ".join(f"{other}={each}" for other, each in asked.items() if other not in missed)
        reason = "whole channels allow no nearer"
        if others and found[key] < share:
            reason = f"{others} leaves no room for more"
        warn(f"Of the {key}, {found[key]:.3f} are kept instead of {key}={share}: {reason}.")


def layer_densities(
    model: keras.Model | ChannelGraph,
    *,
    params: float | None = None,
    macs: float | None = None,
    freeze: Sequence[str] = (),
    size: Size | None = None,
) -> dict[str, float]:
    """Returns SynExp's density of every kernel that is not frozen, for masks at initialisation.

    Args:
        model: The model, or its graph.
        params: Fraction of the weights of these kernels that is kept. Defaults to `None`: no limit.
        macs: Fraction of their multiply–adds that is kept. Defaults to `None`: no limit.
        freeze: Names of layers, or wildcards, that are kept whole and not counted; a graph has its own. Defaults to
            none.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to the model's own.

    Returns:
        `{variable path: density}`, for `kp.sparsity.random_masks`.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dense(8)])
        >>> list(layer_densities(model, params=0.5).values())
        [1.0, 0.375]

    Reference:
        Cai et al., Structured Pruning is All You Need for Pruning CNNs at Initialization, arXiv 2203.02549,
        section 3.3.
    """
    faults = share_faults(params, macs, 1)
    if freeze and isinstance(model, ChannelGraph):
        faults.append(f"Expected freeze= with a model; trace(model, freeze=…) is for a graph. Received: {freeze=}.")
    raise_faults("Invalid arguments for layer_densities:", faults)
    graph = model if isinstance(model, ChannelGraph) else trace(model, freeze=freeze, unknown="freeze")
    graph = graph_at(graph, None, size)
    kernels = graph.free_kernels
    costs = kernel_costs(graph, kernels, macs=macs is not None)
    budgets = {key: share * costs[key].sum() for key, share in given_values(params=params, macs=macs).items()}
    found = densities(costs["params"], costs.get("macs"), **budgets)
    return dict(zip((graph.paths[id(kernel.variable)] for kernel in kernels), found.tolist(), strict=True))
