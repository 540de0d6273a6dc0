"""The time of two models by kind of operator: where it fell with the multiply–adds, and where it did not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from kerasprune.costs.cost import cost
from kerasprune.graph.graph import ChannelGraph
from kerasprune.latency.alone import IN_A_FILE, Pair, times_alone
from kerasprune.latency.operators import Operator, Widths, by_key, operators


@dataclass(frozen=True)
class KindTimes:
    """The operators of one kind in the dense and in the slim model, each timed alone.

    Args:
        kind: The class of the layer that does the work, e.g. `"Conv2D"`, with what is fused into it.
        count: Number of operators.
        milliseconds: The sum of their times.
        at_one_channel: The sum if each read and made one channel: what no width saves.
        macs: Their multiply–adds.
    """

    kind: str
    count: tuple[int, int]
    milliseconds: tuple[float, float]
    at_one_channel: tuple[float, float]
    macs: tuple[int, int]


def times_by_kind(dense: ChannelGraph, slim: ChannelGraph, precision: str, threads: int = 1) -> tuple[KindTimes, ...]:
    """Returns the times of the operators of two models, by kind, the slowest of the slim model first.

    LiteRT's interpreter for Python does not profile the operators of a file.

    Args:
        dense: The dense model.
        slim: The slim model.
        precision: As for `profile`.
        threads: Threads of the interpreter. Defaults to 1.
    """
    found = [operators(graph) for graph in (dense, slim)]
    alike = by_key([*found[0], *found[1]])
    wanted = {(each.key, widths) for each in (*found[0], *found[1]) for widths in (each.widths(len), _one(each))}
    ordered = sorted(wanted, key=lambda pair: (pair[1] != alike[pair[0]].most, pair))
    times: dict[Pair, float] = {}
    for at in range(0, len(ordered), IN_A_FILE):
        times |= times_alone(ordered[at : at + IN_A_FILE], alike, precision, threads)
    macs = [_macs_by_kind(graph) for graph in (dense, slim)]
    sums: dict[str, list[list[float]]] = defaultdict(lambda: [[0, 0], [0, 0], [0, 0]])
    for side, each in enumerate(found):
        for one in each:
            time = times.get((one.key, one.widths(len)), 0.0)
            values = (1, time, min(time, times.get((one.key, _one(one)), time)))
            for total, value in zip(sums[_kind(one, macs[0])], values, strict=True):
                total[side] += value
    rows = [
        KindTimes(kind, *map(tuple, each), (macs[0][kind], macs[1][kind]))  # type: ignore[arg-type]
        for kind, each in sums.items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.milliseconds[1]))


def _one(operator: Operator) -> Widths:
    """Returns the narrowest widths that a plan may give an operator."""
    whole = operator.widths(len)
    return tuple(1 if free else width for free, width in zip(operator.free(), whole, strict=True))  # type: ignore[return-value]


def _macs_by_kind(graph: ChannelGraph) -> Counter[str]:
    found: Counter[str] = Counter()
    for layer in cost(graph).layers:
        found[layer.kind] += layer.macs
    return found


def _kind(operator: Operator, macs: Collection[str]) -> str:
    """Returns the class of the layer of an operator that has multiply–adds, else of its first layer."""
    names = [type(call.operation).__name__ for call in operator.calls]
    return next((name for name in names if name in macs), names[0])
