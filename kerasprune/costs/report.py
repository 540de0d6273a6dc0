"""`report`: the channels and costs that a plan keeps."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import keras

from kerasprune.costs.cost import Cost, cost, cost_of_applied, graph_at, not_counted, shares_of
from kerasprune.graph.graph import ChannelGraph
from kerasprune.plans import Plan
from kerasprune.surgery.absorb import fold
from kerasprune.surgery.applied_plan import cut


def report(
    model: keras.Model, plan: Plan, *, resolution: int | None = None, macs_of: Mapping[str, int] = MappingProxyType({})
) -> str:
    """Returns a table of the channels that a plan keeps in every group, and the costs before and after.

    `Prr = 1 − params_slim / params_dense` and `Frr = 1 − MACs_slim / MACs_dense`.

    Args:
        model: The dense model.
        plan: The plan.
        resolution: Input side, in pixels, of a model whose side is free. Defaults to the plan's, else the model's.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none: they are estimated, on a
            separate line.

    Returns:
        The table as text.

    Raises:
        PruneError: The plan does not fit the model, or the resolution of a free input side is missing.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> text = kp.report(model, kp.plan(model, keep=0.5))
        >>> "hidden" in text
        True

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021, Eq. 9.
    """
    graph = graph_at(model, plan, resolution)
    applied = cut(graph, plan)
    folded = fold(applied)
    dense, slim = cost(graph, macs_of=macs_of), cost_of_applied(applied, macs_of, folded.added)
    lines = [_groups(applied.graph, plan), "", _costs(dense, slim)]
    if plan.removed:
        lines.append(f"blocks dropped whole: {', '.join(plan.removed)}")
    if dense.estimated:
        lines.append(not_counted(dense))
    if folded.biases or folded.means:
        lines.append(f"constants of removed channels: folded into {len(folded.biases) + len(folded.means)} layers")
    if folded.padded:
        lines.append("  approximate at the border of padded layers: " + ", ".join(folded.padded))
    if folded.lost:
        lines.append("  not foldable, dropped: " + ", ".join(folded.lost))
    return "\n".join(lines)


def _groups(graph: ChannelGraph, plan: Plan) -> str:
    width = max([len("group"), *map(len, graph.groups)])
    rows = [f"{'group':<{width}}  channels  kept"]
    for name, group in graph.groups.items():
        kept = len(plan.keep.get(name, range(group.size)))
        rows.append(f"{name:<{width}}  {group.size:>8}  {kept:>4}{'' if group.prunable else '  pinned'}")
    return "\n".join(rows)


def _costs(dense: Cost, slim: Cost) -> str:
    rows = [f"{'':<12}{'before':>15}{'after':>15}{'kept':>9}"]
    products = ("products",) if dense.products else ()
    shares = shares_of(slim, dense, ("params", "macs", *products, "activations", "bytes"))
    rows += [f"{key:<12}{getattr(dense, key):>15,}{getattr(slim, key):>15,}{shares[key]:>9.1%}" for key in shares]
    rows.append(f"Prr {1 - shares['params']:.1%}   Frr {1 - shares['macs']:.1%}")
    return "\n".join(rows)
