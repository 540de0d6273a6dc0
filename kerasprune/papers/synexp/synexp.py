"""SynExp: the layer densities that maximise the expected synaptic flow of a network within budgets.

`max Σ_l log p_l  subject to  Σ_l α_l·p_l ≤ B_params,  Σ_l β_l·p_l ≤ B_macs,  0 < p_l ≤ 1`: convex, and solved by its
Karush–Kuhn–Tucker conditions in closed form, except for the ratio of the two multipliers, the root of a monotone
function.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from scipy.optimize import brentq

from kerasprune.checks import is_number
from kerasprune.errors import raise_faults

__all__ = ["densities", "expectation"]


def __dir__() -> list[str]:
    return __all__


_TIGHT = 1e-12  # relative; a smaller excess counts as none


def densities(
    alpha: Sequence[float] | np.ndarray,
    beta: Sequence[float] | np.ndarray | None = None,
    *,
    params: float | None = None,
    macs: float | None = None,
    cap: bool = True,
) -> np.ndarray:
    """Returns the layer densities that maximise SynExp within budgets.

    `p_l = min(1 / (λ₁·α_l + λ₂·β_l), 1)`, where a multiplier is zero if its budget has slack; for one budget alone
    `p_l = min(λ/α_l, 1)` with `Σ_l min(λ, α_l) = B`.

    Args:
        alpha: Parameters of each layer.
        beta: Multiply–adds of each layer; needed for `macs`. Defaults to `None`.
        params: Budget of parameters, in the unit of `alpha`. Defaults to `None`: none.
        macs: Budget of multiply–adds, in the unit of `beta`. Defaults to `None`: none.
        cap: Whether no density may exceed 1; `False` is PreConfig, in which layers may become wider. Defaults to
            `True`.

    Returns:
        One density per layer, above 0.

    Raises:
        PruneError: Costs or budgets are not legal, no budget is given, or without a cap a layer costs nothing, so that
            its density is unbounded.

    Example:
        >>> densities([1, 2, 4], params=4)
        array([1.   , 0.75 , 0.375])
        >>> densities([1, 2, 4], [4, 1, 1], params=4, macs=3).round(3)
        array([0.427, 0.797, 0.495])

    Reference:
        Cai et al., Structured Pruning is All You Need for Pruning CNNs at Initialization, arXiv 2203.02549,
        equations 5 and 6, section 4.2, appendix B.
    """
    given = {"alpha": (alpha, params), "beta": (beta, macs)}
    raise_faults("Invalid arguments for densities:", _faults(given, cap))
    constraints = [(np.asarray(costs, float), float(bound)) for costs, bound in given.values() if bound is not None]
    for costs, bound in constraints:  # one budget may leave slack in the other
        found = _within(costs, costs, bound, cap)
        if np.isfinite(found).all() and all(other @ found <= limit * (1 + _TIGHT) for other, limit in constraints):
            return found
    return _between(*constraints, cap)


def _within(prices: np.ndarray, costs: np.ndarray, bound: float, cap: bool) -> np.ndarray:
    """Returns `p = min(ν/prices, 1)` with `Σ costs·p = bound`: Σ costs·p is linear in ν between the prices."""
    per_unit = np.divide(costs, prices, out=np.zeros(len(costs)), where=prices > 0)
    if not cap:
        return np.divide(bound / per_unit.sum(), prices, out=np.full(len(prices), np.inf), where=prices > 0)
    order = np.argsort(prices)
    full = np.concatenate([[0.0], np.cumsum(costs[order])])  # cost of the cheapest layers, whole
    rest = np.concatenate([np.cumsum(per_unit[order][::-1])[::-1], [0.0]])  # of the others, per unit of ν
    at_price = full[:-1] + prices[order] * rest[:-1]
    number = int(np.searchsorted(at_price, bound))  # of layers of density 1
    if number == len(costs) or rest[number] == 0:
        return np.ones(len(costs))
    level = (bound - full[number]) / rest[number]
    return np.divide(level, prices, out=np.ones(len(costs)), where=prices > level)


def _between(parameters: tuple[np.ndarray, float], multiplications: tuple[np.ndarray, float], cap: bool) -> np.ndarray:
    """Returns the densities if neither budget has slack.

    With multipliers in the ratio t : 1 − t, their scale follows from one budget; the multiply–adds then grow with t,
    from below their budget to above it.
    """
    (alpha, params), (beta, macs) = parameters, multiplications

    def at(t: float) -> np.ndarray:
        return _within(t * alpha / params + (1 - t) * beta / macs, alpha, params, cap)

    def excess(logit: float) -> float:
        return beta @ at(_share(logit)) / macs - 1

    return at(_share(brentq(excess, -700, 700, xtol=1e-13, rtol=1e-15)))


def _share(logit: float) -> float:
    """Returns the logistic function, which resolves shares near 0, too."""
    return 1 / (1 + np.exp(-logit))


def expectation(
    widths: Sequence[int], densities: Sequence[float] | np.ndarray, magnitudes: Sequence[float] | np.ndarray
) -> float:
    """Returns SynExp: the expected sum of the synaptic-flow scores of all weights of a chain of layers.

    `E[S] = N · C_{N+1} · Π_l p_l · C_l · E|x_l|`, if the masks of different layers, of single weights, filters or
    channels, are drawn independently. It does not hold for layers that are cropped together: the outputs that one
    loses are the inputs that the next loses.

    Args:
        widths: C_1 … C_{N+1}, the input's and each layer's outputs. The weights of a filter k×k multiply all by k².
        densities: p_1 … p_N, fraction of weights kept of each layer.
        magnitudes: E|x_1| … E|x_N|, expected magnitude of an initial weight of each layer.

    Example:
        >>> expectation([2, 3, 1], [0.5, 1.0], [1.0, 2.0])  # 2 · 1 · (0.5·2·1) · (1·3·2)
        12.0

    Reference:
        Cai et al., arXiv 2203.02549, Theorem 1.
    """
    numbers = {"widths": len(widths) - 1, "densities": len(densities), "magnitudes": len(magnitudes)}
    if len(set(numbers.values())) > 1 or not len(densities):
        raise_faults(
            "Invalid arguments for expectation:",
            [f"Expected one density and one magnitude per layer. Received: layers by each: {numbers}."],
        )
    factors = [p * c * x for p, c, x in zip(densities, widths, magnitudes, strict=False)]
    return float(len(factors) * widths[-1] * prod(factors))


def _faults(given: dict[str, tuple[Any, Any]], cap: bool) -> list[str]:
    """Returns the faults of the costs of layers and the budgets."""
    faults = []
    if all(bound is None for _, bound in given.values()):
        faults.append("Expected a budget: params, macs or both. Received: none.")
    lengths = {}
    for (name, (costs, bound)), budget in zip(given.items(), ("params", "macs"), strict=True):
        if costs is None:
            if bound is not None:
                faults.append(f"Expected {name}, the cost of each layer, with {budget}={bound}. Received: none.")
            continue
        faults += _cost_faults(name, costs)
        lengths[name] = np.size(costs)
        if bound is not None and not (is_number(bound) and bound > 0):
            faults.append(f"Expected a budget above 0, since no layer may be empty. Received: {budget}={bound!r}.")
    if len(set(lengths.values())) > 1:
        faults.append(f"Expected alpha and beta to have one number per layer. Received: {lengths}.")
    if not faults and not cap:
        spent = sum(np.asarray(costs, float) for costs, bound in given.values() if bound is not None)
        free = np.flatnonzero(spent == 0).tolist()
        if free:
            faults.append(f"Expected a cost above 0 of every layer if cap=False. Received: 0 for {free[:5]}.")
    return faults


def _cost_faults(name: str, costs: Any) -> list[str]:
    try:
        array = np.asarray(costs, float)
    except (TypeError, ValueError):
        return [f"Expected {name} to be numbers. Received: {name}={costs!r}."]
    if array.ndim != 1 or not array.size or not np.isfinite(array).all() or (array < 0).any():
        return [f"Expected {name} to be one number per layer, from 0. Received: {name}={costs!r}."]
    return []
