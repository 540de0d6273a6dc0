"""The planner of tflite-micro: where each tensor lies in the arena, the largest first, in the first gap that fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_ALIGNED = 16  # bytes, of which each size is a multiple


class Buffer(NamedTuple):
    """A stretch of memory.

    Args:
        bytes: Its size.
        first: The step from which it is needed.
        last: The step until which it is needed.
    """

    bytes: int
    first: int
    last: int


def offsets(buffers: Sequence[Buffer]) -> list[int]:
    """Returns where each buffer begins, as tflite-micro's `GreedyMemoryPlanner` places them.

    Of equal sizes the last comes first.

    Args:
        buffers: The tensors in the order of the file, then what operators ask for.

    Example:
        >>> offsets([Buffer(32, 0, 1), Buffer(16, 1, 2), Buffer(32, 2, 3)])
        [0, 32, 0]
    """
    sizes = [aligned_size(each.bytes) for each in buffers]
    placed: list[tuple[int, int]] = []  # offset and number, by offset
    found = [0] * len(buffers)
    for number in sorted(range(len(buffers)), key=lambda each: (-sizes[each], -each)):
        _, first, last = buffers[number]
        offset = 0
        for other, taken in placed:
            if buffers[taken].first <= last and buffers[taken].last >= first:
                if other - offset >= sizes[number]:
                    break
                offset = max(offset, other + sizes[taken])
        found[number] = offset
        place = next((at for at, (other, _) in enumerate(placed) if other > offset), len(placed))
        placed.insert(place, (offset, number))
    return found


def arena_bytes(buffers: Sequence[Buffer], found: Sequence[int]) -> int:
    """Returns the size of the arena.

    Args:
        buffers: The buffers.
        found: Where each begins.
    """
    return max((offset + aligned_size(each.bytes) for each, offset in zip(buffers, found, strict=True)), default=0)


def holding_up(buffers: Sequence[Buffer], found: Sequence[int]) -> list[int]:
    """Returns the numbers of the buffers that make the arena as large as it is.

    These are the one that ends highest, and those below it, down to the ground.

    Args:
        buffers: The buffers.
        found: Where each begins.
    """
    ends = [offset + aligned_size(each.bytes) for each, offset in zip(buffers, found, strict=True)]
    if not ends:
        return []
    chain = [max(range(len(ends)), key=ends.__getitem__)]
    while found[chain[-1]] > 0:
        top = chain[-1]
        below = (
            number
            for number, each in enumerate(buffers)
            if ends[number] == found[top] and each.first <= buffers[top].last and each.last >= buffers[top].first
        )
        chain.append(next(below))
    return chain


def aligned_size(size: int) -> int:
    """Returns a size, rounded up to what the arena gives out.

    Example:
        >>> aligned_size(17)
        32
    """
    return -(-size // _ALIGNED) * _ALIGNED
