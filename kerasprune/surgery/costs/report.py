"""`report`: the channels and costs that a plan keeps."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras

from kerasprune.errors import raise_faults
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size
from kerasprune.surgery.absorb import fold
from kerasprune.surgery.costs.cost import macs_of_faults, not_counted
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.graphs import graph_at
from kerasprune.tables import Part, Shown, Table


class PlanReport(Shown, str):
    """The report of `kp.report`: its text, and the figures in it.

    Args:
        text: The text.
        groups: `{group name: (channels, channels kept)}`. Defaults to none.
        costs: `{cost: (before, after)}`, such as `"params"` and `"macs"`. Defaults to none.
        removed: Blocks that are removed. Defaults to none.
        shown: What the text says, as tables and lines, for a notebook. Defaults to the text.
    """

    groups: Mapping[str, tuple[int, int]]
    costs: Mapping[str, tuple[int, int]]
    removed: tuple[str, ...]

    def __new__(
        cls,
        text: str,
        groups: Mapping[str, tuple[int, int]] = MappingProxyType({}),
        costs: Mapping[str, tuple[int, int]] = MappingProxyType({}),
        removed: tuple[str, ...] = (),
        shown: tuple[Part, ...] = (),
    ) -> PlanReport:
        """Returns the text with the figures as attributes."""
        self = super().__new__(cls, text)
        self.groups, self.costs, self.removed, self._parts = groups, costs, removed, shown
        return self

    def _shown(self) -> tuple[Part, ...]:
        return self._parts or (str(self),)

    @property
    def macs(self) -> float:
        """Fraction of the multiply–adds kept."""
        return _share(self.costs["macs"])

    @property
    def params(self) -> float:
        """Fraction of the parameters kept."""
        return _share(self.costs["params"])

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures as plain data: `groups`, `costs` and `removed`."""
        return {
            "groups": {name: {"channels": size, "kept": kept} for name, (size, kept) in self.groups.items()},
            "costs": {
                name: {"before": pair[0], "after": pair[1], "kept": _share(pair)} for name, pair in self.costs.items()
            },
            "removed": list(self.removed),
        }


def _share(pair: tuple[int, int]) -> float:
    return pair[1] / max(pair[0], 1)


def report(
    model: keras.Model, plan: Plan, *, size: Size | None = None, macs_of: Mapping[str, int] = MappingProxyType({})
) -> PlanReport:
    """Returns a table of the channels that a plan keeps in every group, and of the costs before and after.

    Removed are `Prr = 1 − params_slim / params_dense` and `Frr = 1 − MACs_slim / MACs_dense`.

    Args:
        model: The dense model.
        plan: The plan.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to the plan's, else the model's.
        macs_of: Multiply–adds per sample of layers without a rule, by name. Defaults to none: they are estimated, on a
            separate line.

    Returns:
        The table as text, with its figures as attributes: `macs` and `params`, the fractions kept; `groups`,
        `{group name: (channels, channels kept)}`; and `to_dict()` for all of them as plain data.

    Raises:
        PruneError: The plan does not fit the model, or the size of a free input side is missing.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> found = kp.report(model, kp.plan(model, keep=0.5))
        >>> "hidden" in found, found.groups["hidden"], round(found.params, 3)
        (True, (8, 4), 0.517)

    Reference:
        Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021, Eq. 9.
    """
    graph = graph_at(model, plan, size)
    cut = Cut.of(graph, plan)
    folded = fold(cut)
    raise_faults("Invalid arguments for report:", macs_of_faults(graph, macs_of))
    dense, slim = cut.dense_cost(macs_of), cut.cost(macs_of, folded.added)
    groups = {
        name: (group.size, len(plan.keep.get(name, range(group.size)))) for name, group in cut.graph.groups.items()
    }
    keys = ("params", "macs", *(("products",) if dense.products else ()), "activations", "bytes")
    costs = {key: (getattr(dense, key), getattr(slim, key)) for key in keys}
    shares = {key: _share(pair) for key, pair in costs.items()}
    pinned = ("" if group.prunable else "pinned" for group in cut.graph.groups.values())
    rows = [(name, *map(str, pair), state) for (name, pair), state in zip(groups.items(), pinned, strict=True)]
    kept = Table(("group", "channels", "kept", ""), rows, left=(0, 3), bars={2: [b / a for a, b in groups.values()]})
    rows = [(key, f"{before:,}", f"{after:,}", f"{shares[key]:.1%}") for key, (before, after) in costs.items()]
    before_after = Table(("", "before", "after", "kept"), rows, bars={3: [*shares.values()]})
    named = (("params", "parameters"), ("macs", "multiply–adds"))
    gone = (f"{1 - shares[key]:.1%} of the {name}" for key, name in named)
    lines = [f"removed: {', '.join(gone)}"]
    if plan.removed:
        lines.append(f"blocks dropped whole: {', '.join(plan.removed)}")
    if dense.estimated:
        lines.append(f"{not_counted(dense)}. Give the right numbers with macs_of=")
    if folded.biases or folded.means:
        lines.append(f"constants of removed channels: folded into {len(folded.biases) + len(folded.means)} layers")
    if folded.padded:
        lines.append("  approximate at the border of padded layers: " + ", ".join(folded.padded))
    if folded.lost:
        lines.append("  not foldable, dropped: " + ", ".join(folded.lost))
    text = "\n".join([f"{kept}\n", str(before_after), *lines])
    return PlanReport(text, groups, costs, plan.removed, (kept, before_after, *lines))
