"""The time of a slim model's operators next to the dense model's, and why it falls less than the multiply–adds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kerasprune.export.latency.operators import Alike, Operator, Widths, by_key, operators
from kerasprune.export.latency.single_operators import IN_A_FILE, Pair, times_alone
from kerasprune.graph.graph import ChannelGraph
from kerasprune.surgery.costs.cost import cost

BLOCK = 16  # channels: kernels work in blocks of 8, 16 or 32


@dataclass(frozen=True)
class OperatorTimes:
    """One operator of both models, timed alone.

    Args:
        layer: The layer that multiplies, or else the first of those that are fused into it.
        kind: The class of that layer.
        dense_ms: Its milliseconds in the dense model.
        slim_ms: Its milliseconds in the slim model; 0 if it was removed.
        one_ms: The same if it read and made one channel.
        even_ms: The part of its milliseconds with a multiple of 16 channels that belongs to the channels it has.
        macs_kept: Multiply–adds of the layer, slim ÷ dense; `None` if it has none.
    """

    layer: str
    kind: str
    dense_ms: float
    slim_ms: float
    one_ms: float
    even_ms: float
    macs_kept: float | None

    def beyond(self, kept: float) -> dict[str, float]:
        """Returns the milliseconds beyond `kept · dense_ms` by cause; their sum is `slim_ms − kept · dense_ms`.

        Args:
            kept: Multiply–adds of the whole model, slim ÷ dense.
        """
        if self.macs_kept is None:
            return {"without": self.slim_ms - kept * self.dense_ms}
        line = self.one_ms + (self.dense_ms - self.one_ms) * self.macs_kept
        return {
            "start": (1 - self.macs_kept) * self.one_ms,
            "uneven": self.slim_ms - self.even_ms,
            "narrow": self.even_ms - line,
            "cheap": (self.macs_kept - kept) * self.dense_ms,
        }


def times_of_operators(
    dense: ChannelGraph, slim: ChannelGraph, precision: str, threads: int = 1
) -> list[OperatorTimes]:
    """Returns the operators of two models, in the order of the dense one; layers are paired by their names.

    Each is converted and timed alone, since LiteRT has no profiler for Python. Operators without multiply–adds that the
    slim model alone has, and those that cannot be built alone, are left out; if a layer that multiplies has another
    name in the dense model, all are.

    Args:
        dense: The dense model.
        slim: The slim model.
        precision: As for `profile`.
        threads: Threads of the interpreter. Defaults to 1.
    """
    macs = [cost(graph).macs_by_name for graph in (dense, slim)]
    if not macs[1].keys() <= macs[0].keys():
        return []
    before, after = (dict(_named(operators(graph), macs[0])) for graph in (dense, slim))
    alike = by_key([*before.values(), *after.values()])
    pairs = [(each, after.get(name)) for name, each in before.items()]
    wanted = {pair for one, other in pairs for pair in _wanted(one, other, alike)}
    times: dict[Pair, float] = {}
    ordered = sorted(wanted)
    for at in range(0, len(ordered), IN_A_FILE):
        times |= times_alone(ordered[at : at + IN_A_FILE], alike, precision, threads)
    found = []
    for (name, _), (one, other) in zip(before, pairs, strict=True):
        if times.keys() >= {*_wanted(one, other, alike)}:
            kept = macs[1].get(name, 0) / macs[0][name] if name in macs[0] else None
            found.append(_row(name, one, other, kept, alike, times))
    return found


def milliseconds_lost(
    rows: Iterable[OperatorTimes], milliseconds: tuple[float, float], kept: float
) -> dict[str, float]:
    """Returns by cause the milliseconds that a slim model takes beyond its share of the multiply–adds.

    The sum is `t − kept · t₀`, with the slim model's time t and the dense model's t₀. Operators multiply for the time
    beyond that of one channel, on a line from one channel to the dense width:

    - `"without"`: operators without multiply–adds;
    - `"start"`: what an operator takes with one channel, which no plan saves;
    - `"uneven"`: a number of channels that 16 does not divide, compared with the next one that it does;
    - `"narrow"`: fewer channels take longer per multiply–add: memory, other kernels;
    - `"cheap"`: multiply–adds were removed where they take less time than elsewhere;
    - `"rest"`: between operators, and what cannot be timed alone.

    Args:
        rows: The operators.
        milliseconds: t₀ and t.
        kept: Multiply–adds, slim ÷ dense.
    """
    found = dict.fromkeys(("without", "start", "uneven", "narrow", "cheap"), 0.0)
    for row in rows:
        for cause, time in row.beyond(kept).items():
            found[cause] += time
    return found | {"rest": milliseconds[1] - kept * milliseconds[0] - sum(found.values())}


def _named(found: Iterable[Operator], macs: Mapping[str, int]) -> Iterator[tuple[tuple[str, int], Operator]]:
    """Yields operators under the name of the layer that multiplies, else of the first, and the number of its call."""
    calls: Counter[str] = Counter()
    for each in found:
        names = [call.operation.name for call in each.calls]
        name = next((name for name in names if name in macs), names[0])
        calls[name] += 1
        yield (name, calls[name]), each


def _wanted(one: Operator, other: Operator | None, alike: Mapping[str, Alike]) -> list[Pair]:
    """Returns the operators to time: the dense one; the slim one as it is, with one channel, with a multiple of 16."""
    found = [(one.key, one.widths(len))]
    if other is not None:
        own, free = other.widths(len), alike[other.key].free
        narrowest = tuple(1 if change else width for change, width in zip(free, own, strict=True))
        found += [(other.key, widths) for widths in (own, narrowest, _even(own, alike[other.key]))]
    return found


def _even(widths: Widths, alike: Alike) -> Widths:
    """Returns widths with those that a plan may change rounded up, at most to the dense ones."""
    zipped = zip(widths, alike.free, alike.most, strict=True)
    return tuple(min(-(-width // BLOCK) * BLOCK, most) if free else width for width, free, most in zipped)


def _row(
    name: str, one: Operator, other: Operator | None, kept: float | None, alike: Mapping[str, Alike],
    times: Mapping[Pair, float],
) -> OperatorTimes:  # fmt: skip
    kind = next(type(call.operation).__name__ for call in one.calls if call.operation.name == name)
    whole, *rest = (times[pair] for pair in _wanted(one, other, alike))
    if not rest:
        return OperatorTimes(name, kind, whole, 0.0, 0.0, 0.0, kept)
    own, narrowest, rounded = rest
    widths = other.widths(len)
    share = 1.0
    for width, even in zip(widths, _even(widths, alike[other.key]), strict=True):
        share *= width / even if even else 1.0
    even = own if share == 1 else min(own, narrowest + (rounded - narrowest) * share)
    return OperatorTimes(name, kind, whole, own, narrowest, even, kept)
