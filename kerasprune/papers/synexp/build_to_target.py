"""From a share that is asked for to a network that has it: the relaxed problem's budgets are turned until it has.

A layer of density p keeps √p of its outputs, so that its real density is the mean of its own and of the layer's before
it; numbers of channels are whole; inputs and logits stay. What is built therefore costs something else than what the
densities would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import keras

from kerasprune.costs.cost import Count, ShareCounter, check_counted, cost, graph_at
from kerasprune.errors import is_number, raise_faults, warn
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.papers.synexp.coupled_layers import CoupledLayers, kernel_costs
from kerasprune.papers.synexp.synexp import densities

Made = TypeVar("Made")
Shares = Mapping[str, float]
"""`{"params": share, "macs": share}` of the dense model's costs, either or both."""

_LOWEST = 1e-9
_TURNS = 30
_WIDEST = 8  # how much more than what is asked for the relaxed problem may be given, without a cap
_NEAR = 1e-3  # relative; nearer than this is not looked for
_MISSED = 0.05  # by how much a target may be missed without a word


def built_as_asked(
    graph: ChannelGraph,
    asked: Shares,
    make: Callable[[Mapping[str, float]], Made],
    counted: Callable[[Made], Count],
    *,
    cap: bool = True,
) -> Made:
    """Returns what is made with those budgets of the relaxed problem for which the built costs are those asked for.

    Both shares are upper bounds: where one of them leaves no room for the other, the other is not used up, and a
    warning says how much of it is.

    Args:
        graph: The graph of the dense model.
        asked: The shares asked for.
        make: Makes something from the density of each group.
        counted: Says how many channels of each line it has.
        cap: Whether no layer may be denser than it is. Defaults to `True`.

    Raises:
        PruneError: Not even the smallest network costs so little, or multiply–adds are not known.
    """
    asked = {key: float(share) for key, share in asked.items()}
    layers = CoupledLayers.of(graph, macs="macs" in asked)
    if "macs" in asked:
        check_counted(cost(graph), "macs=")
    counter = ShareCounter(graph, asked)

    def built(budgets: Shares) -> tuple[Made, Shares]:
        made = make(layers.densities(budgets, cap=cap))
        return made, counter(graph, counted(made))

    _check_reachable(asked, built(dict.fromkeys(asked, _LOWEST))[1])
    most = {key: 1.0 if cap else _WIDEST * fraction for key, fraction in asked.items()}
    budgets, best, nearest = dict(asked), None, float("inf")
    for _ in range(_TURNS):
        made, found = built(budgets)
        ratios = {key: found[key] / fraction for key, fraction in asked.items()}
        binding = [ratio for key, ratio in ratios.items() if ratio > 1 or key not in layers.unused(budgets, cap=cap)]
        distance = max((abs(ratio - 1) for ratio in binding), default=0.0)
        if distance < nearest:
            best, nearest = (made, found), distance
        if distance < _NEAR:
            break
        budgets = {key: min(budget / ratios[key], most[key]) for key, budget in budgets.items()}
    _warn_where_missed(asked, best[1])
    return best[0]


def share_faults(params: Any, macs: Any, largest: float) -> list[str]:
    """Returns what is wrong with the shares that a user asks for.

    Args:
        params: Of the parameters; `None` where nothing is said.
        macs: Of the multiply–adds, likewise.
        largest: The most that can be asked for.
    """
    given = given_shares(params, macs)
    if not given:
        return ["Expected params, macs or both. Received: neither."]
    return [
        f"Expected {key} to be the fraction that stays, above 0 and at most {largest:g}. Received: {key}={share!r}."
        for key, share in given.items()
        if not is_number(share) or not 0 < share <= largest
    ]


def given_shares(params: Any, macs: Any) -> dict[str, Any]:
    """Returns `{"params": share, "macs": share}` of those that are given."""
    return {key: share for key, share in (("params", params), ("macs", macs)) if share is not None}


def _check_reachable(asked: Shares, least: Shares) -> None:
    raise_faults(
        "Expected budgets that can be met:",
        [
            f"at the least {least[key]:.3g} of the {key} stay, with one channel in every group. "
            f"Received: {key}={fraction}. Ask for more."
            for key, fraction in asked.items()
            if fraction < least[key]
        ],
    )


def _warn_where_missed(asked: Shares, found: Shares) -> None:
    missed = {key: share for key, share in asked.items() if abs(found[key] / share - 1) > _MISSED}
    for key, share in missed.items():
        others = " and ".join(f"{other}={each}" for other, each in asked.items() if other not in missed)
        reason = "whole channels allow no nearer"
        if others and found[key] < share:
            reason = f"{others} leaves no room for more"
        warn(f"Of the {key}, {found[key]:.3f} stay where {key}={share} was asked for: {reason}.")


def layer_densities(
    model: keras.Model | ChannelGraph,
    *,
    params: float | None = None,
    macs: float | None = None,
    resolution: int | None = None,
) -> dict[str, float]:
    """Returns how dense each kernel of a model should be, each a layer of its own, for masks at initialisation.

    Args:
        model: The model, or its graph.
        params: Fraction of the weights of all kernels that stays. Defaults to `None`: no bound.
        macs: Fraction of their multiply–adds that stays. Defaults to `None`: no bound.
        resolution: Input side, in pixels, to count at where the model's is free. Defaults to the model's own.

    Returns:
        `{variable path: density}`, for `kp.sparsity.random_masks`.

    Raises:
        PruneError: No budget is given, or one is out of range.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dense(8)])
        >>> list(layer_densities(model, params=0.5).values())
        [1.0, 0.375]

    Reference:
        Cai et al., Structured Pruning is All You Need for Pruning CNNs at Initialization, arXiv 2203.02549,
        section 3.3.
    """
    raise_faults("The densities cannot be found:", share_faults(params, macs, 1))
    graph = graph_at(model if isinstance(model, ChannelGraph) else trace(model, unknown="freeze"), None, resolution)
    costs = kernel_costs(graph, macs=macs is not None)
    budgets = {key: share * costs[key].sum() for key, share in given_shares(params, macs).items()}
    found = densities(costs["params"], costs.get("macs"), **budgets)
    return dict(zip((kernel.variable.path for kernel in graph.kernels), found.tolist(), strict=True))
