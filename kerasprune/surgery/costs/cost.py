"""Costs of a model, or of the slim model a plan would give, without building it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import keras

from kerasprune.checks import kind_faults, whole_number_faults
from kerasprune.errors import PruneError, nearest, raise_faults, warn
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size
from kerasprune.surgery.costs.counts import Cost, cost_of_what_stays
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.graphs import graph_at

UNCOUNTED = 0.05  # share of estimated multiply–adds above which a target in multiply–adds is refused
_RIGHT = "Give the right numbers with macs_of=, which kp.plan and kp.report take"


def cost(
    model: keras.Model | ChannelGraph,
    plan: Plan | None = None,
    *,
    size: Size | None = None,
    absorb: bool = False,
    macs_of: Mapping[str, int] = MappingProxyType({}),
) -> Cost:
    """Returns the cost of a model, or of the slim model that a plan describes.

    `macs = Σ_kernels |kernel| · output positions`.

    Args:
        model: The model, or its graph.
        plan: The plan. Defaults to `None`: the dense model.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to the plan's, else the model's.
        absorb: Count the biases that `rebuild(model, plan, absorb=True)` adds. Defaults to `False`.
        macs_of: Multiply–adds per sample of layers without a rule, by name, to count them. Defaults to none.

    Returns:
        The cost.

    Raises:
        PruneError: The input side is free and no size is given, the plan is of another model, or `macs_of` names
            other layers.

    Example:
        >>> import keras
        >>> inputs = keras.Input((8, 8, 3))
        >>> model = keras.Model(inputs, keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs))
        >>> cost(model).macs  # 3·3·3·4 weights, 64 positions
        6912
    """
    graph = graph_at(model, plan, size)
    cut = None if plan is None else Cut.of(graph, plan)
    raise_faults("Invalid arguments for cost:", macs_of_faults(graph, macs_of))
    if cut is None:
        return cost_of_what_stays(graph, {}, macs_of)
    if not absorb:
        return cut.cost(macs_of)
    from kerasprune.surgery.absorb import fold  # a plan alone needs none of it

    return cut.cost(macs_of, fold(cut).added)


def macs_of_faults(graph: ChannelGraph, macs_of: Mapping[str, int]) -> list[str]:
    """Returns the faults of a user's `macs_of`."""
    if not isinstance(macs_of, Mapping):
        return kind_faults(Mapping, "Write {layer name: number}.", macs_of=macs_of)
    unknown = [each.name for each in graph.unknown]
    return [
        *whole_number_faults(0, **{f"macs_of[{name!r}]": number for name, number in macs_of.items()}),
        *(
            f"Expected macs_of to name layers without a rule. Received: {name!r}.{nearest(name, unknown)}"
            for name in macs_of
            if name not in unknown
        ),
    ]


def not_counted(found: Cost) -> str:
    """Returns a sentence on the layers whose multiply–adds are estimated rather than counted."""
    names = ", ".join(f"{layer.name} ({layer.kind}) {layer.estimated:,}" for layer in found.layers if layer.estimated)
    return (
        f"not counted: some {found.estimated:,} multiply–adds, {found.uncounted:.1%} of all, of layers without a rule, "
        f"whose kernels are taken at every output position: {names}"
    )


def check_counted(found: Cost, wanted: str, instead: str = "params=") -> None:
    """Warns of multiply–adds that are not counted; raises if they are too many for a target.

    Args:
        found: The cost of the dense model.
        wanted: The target, e.g. `"macs="`.
        instead: The alternative. Defaults to `"params="`.

    Raises:
        PruneError: More than a twentieth is estimated rather than counted.
    """
    if found.uncounted > UNCOUNTED:
        raise PruneError(
            f"Expected a model whose multiply–adds are known, to meet {wanted}. Received: {not_counted(found)}. "
            f"{_RIGHT}, or ask for {instead}."
        )
    if found.estimated:
        warn(f"The target is met by the counted multiply–adds alone; {not_counted(found)}. {_RIGHT}.")
