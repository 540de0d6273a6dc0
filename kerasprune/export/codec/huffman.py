"""Canonical Huffman codes of limited length: symbols to bits, and back in lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerasprune.errors import PruneError

LIMIT = 12
"""Bits of the longest code, so that a table of 4,096 entries decodes every one."""
BLOCK = 1024
"""Symbols of a block. Blocks are decoded side by side, since it is known at which bit each begins."""
_CHUNK = 1 << 20
_LENGTH = 9  # the place of the length in an entry of a table; the symbol lies below


@dataclass(frozen=True)
class Stream:
    """Symbols as bits.

    Args:
        count: The number of symbols.
        lengths: Bits of the code of every symbol of the alphabet; 0 for those that are absent.
        blocks: Bits of every block of 1,024 symbols; none if only one symbol is there, which needs no bits.
        payload: The bits, filled up to whole bytes.
    """

    count: int
    lengths: np.ndarray
    blocks: np.ndarray
    payload: bytes


def code_lengths(counts: np.ndarray, limit: int = LIMIT) -> np.ndarray:
    """Returns the lengths of the codes with the fewest bits `Σ counts · lengths` among those of at most `limit` bits.

    Package-merge: a code of length l is l coins of one symbol, of the values 1/2, 1/4 … 2^−l.

    Args:
        counts: How often each symbol is there.
        limit: Bits of the longest code. Defaults to 12.

    Returns:
        A length per symbol; 0 for those that are absent, 1 for one that is alone.

    Reference:
        Larmore and Hirschberg, A fast algorithm for optimal length-limited Huffman codes, JACM 37, 1990.
    """
    used = np.flatnonzero(counts)
    lengths = np.zeros(len(counts), np.uint8)
    lengths[used] = used.size == 1
    if used.size < 2:
        return lengths
    used = used[np.argsort(counts[used], kind="stable")]
    coins, packages, levels = counts[used].astype(np.int64), np.zeros(0, np.int64), []
    for _ in range(limit):
        merged = np.concatenate([coins, packages])
        order = np.argsort(merged, kind="stable")
        levels.append(order < coins.size)
        merged = merged[order]
        packages = merged[: merged.size // 2 * 2].reshape(-1, 2).sum(1)
    taken = 2 * used.size - 2
    for single in reversed(levels):
        symbols = int(single[:taken].sum())
        lengths[used[:symbols]] += 1
        taken = 2 * (taken - symbols)
    return lengths


def _table(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the symbols by length and number, the lengths of their codes, and the slots of the table that each has.

    A canonical code is the place of its first slot, so that the lengths say it all.
    """
    order = np.lexsort((np.arange(lengths.size), lengths))
    order = order[lengths[order] > 0]
    sorted_lengths = lengths[order].astype(np.int64)
    if sorted_lengths.size < 2 or sorted_lengths[-1] > LIMIT or (1 << (LIMIT - sorted_lengths)).sum() != 1 << LIMIT:
        raise PruneError("Expected an undamaged file. Received: a table that is not of a Huffman code.")
    return order, sorted_lengths, 1 << (LIMIT - sorted_lengths)


def encode(symbols: np.ndarray, size: int) -> Stream:
    """Returns the stream of some symbols of an alphabet `0 … size − 1`."""
    lengths = code_lengths(np.bincount(symbols, minlength=size))
    if np.count_nonzero(lengths) < 2:
        return Stream(symbols.size, lengths, np.zeros(0, np.uint16), b"")
    each = lengths[symbols]
    blocks = np.add.reduceat(each, np.arange(0, symbols.size, BLOCK), dtype=np.uint32)
    return Stream(symbols.size, lengths, blocks.astype(np.uint16), _bits(symbols, lengths, each, int(blocks.sum())))


def _bits(symbols: np.ndarray, lengths: np.ndarray, each: np.ndarray, total: int) -> bytes:
    """Returns the codes one after the other: each is moved to its place in two words of 32 bits, and added."""
    order, sorted_lengths, slots = _table(lengths)
    codes = np.zeros(lengths.size, np.uint64)
    codes[order] = (np.cumsum(slots) - slots) >> (LIMIT - sorted_lengths)
    words, at = np.zeros(total // 32 + 2, np.uint32), 0
    for begin in range(0, symbols.size, _CHUNK):
        length = each[begin : begin + _CHUNK].astype(np.int64)
        ends = at + np.cumsum(length)
        starts = ends - length
        word = starts >> 5
        placed = codes[symbols[begin : begin + _CHUNK]] << (64 - (starts & 31) - length).astype(np.uint64)
        first = np.flatnonzero(np.concatenate([[True], word[1:] != word[:-1]]))
        sums, where = np.add.reduceat(placed, first), word[first]
        words[where] |= (sums >> np.uint64(32)).astype(np.uint32)
        words[where + 1] |= (sums & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        at = int(ends[-1])
    return words.astype(">u4").tobytes()[: -(-total // 8)]


def decode(streams: Sequence[Stream]) -> list[np.ndarray]:
    """Returns the symbols of streams; all their blocks are decoded step by step in parallel lanes.

    Raises:
        PruneError: A table is no Huffman code, or a block does not end where the next one begins.
    """
    coded = [stream for stream in streams if stream.blocks.size]
    lanes = iter(_decoded(coded) if coded else ())
    found = []
    for stream in streams:
        if stream.blocks.size:
            found.append(next(lanes))
            continue
        if stream.count and np.count_nonzero(stream.lengths) != 1:
            raise PruneError("Expected an undamaged file. Received: symbols without bits, of more than one kind.")
        found.append(np.full(stream.count, stream.lengths.argmax() if stream.count else 0, np.uint16))
    return found


def _decoded(streams: Sequence[Stream]) -> list[np.ndarray]:
    tables, starts, ends, counts, bases, offset = [], [], [], [], [], 0
    for number, stream in enumerate(streams):
        order, lengths, slots = _table(stream.lengths)
        tables.append(np.repeat(order | lengths << _LENGTH, slots).astype(np.uint16))
        end = np.cumsum(stream.blocks, dtype=np.int64)
        starts.append(8 * offset + end - stream.blocks)
        ends.append(8 * offset + end)
        offset += len(stream.payload)
        sizes = np.full(end.size, BLOCK)
        sizes[-1] = stream.count - BLOCK * (end.size - 1)
        counts.append(sizes)
        bases.append(np.full(end.size, number << LIMIT))
    padding = bytes(LIMIT * BLOCK // 8 + 8 + offset % 2)  # for a lane of a damaged file that runs on
    halves = np.frombuffer(b"".join(stream.payload for stream in streams) + padding, ">u2").astype(np.uint32)
    words, table = halves[:-1] << 16 | halves[1:], np.concatenate(tables)
    del halves
    size = np.concatenate(counts)
    longest = np.argsort(-size, kind="stable")
    at, base = np.concatenate(starts)[longest], np.concatenate(bases)[longest]
    active = np.searchsorted(-size[longest], -np.arange(BLOCK), side="left")
    symbols = np.zeros((size.max(), size.size), np.uint16)
    for step in range(len(symbols)):
        now, lanes = at[: active[step]], base[: active[step]]
        window = words[now >> 4] >> (32 - LIMIT - (now & 15)).astype(np.uint32) & ((1 << LIMIT) - 1)
        entry = table[lanes + window]
        symbols[step, : active[step]] = entry & ((1 << _LENGTH) - 1)
        now += entry >> _LENGTH
    if not np.array_equal(at, np.concatenate(ends)[longest]):
        raise PruneError("Expected an undamaged file. Received: blocks that do not end where the next ones begin.")
    return _in_order(symbols, longest, streams)


def _in_order(symbols: np.ndarray, lanes: np.ndarray, streams: Sequence[Stream]) -> list[np.ndarray]:
    """Returns the symbols of every stream, put together from its lanes."""
    place = np.empty_like(lanes)
    place[lanes] = np.arange(lanes.size)
    found, first = [], 0
    for stream in streams:
        own = place[first : first + stream.blocks.size]
        found.append(symbols[:, own].T.reshape(-1)[: stream.count])
        first += own.size
    return found
