"""Codes of symbols: the shortest, by brute force, and symbols that come back."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasprune import PruneError
from kerasprune.export.codec.huffman import BLOCK, Stream, code_lengths, decode, encode


def cheapest(counts, limit):
    """Returns the fewest bits of any prefix code: all lengths within Kraft's inequality are tried."""
    used = [count for count in counts if count]
    possible = (each for each in product(range(1, limit + 1), repeat=len(used)) if sum(2.0**-n for n in each) <= 1)
    return min(sum(n * count for n, count in zip(each, used, strict=True)) for each in possible)


@pytest.mark.parametrize("limit", [3, 5])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(counts=st.lists(st.sampled_from([0, 1, 2, 3, 5, 8, 13, 100]), min_size=2, max_size=5))
def test_no_code_is_shorter(limit, counts):
    if np.count_nonzero(counts) < 2:
        return
    lengths = code_lengths(np.array(counts), limit)
    assert all(lengths[np.array(counts) == 0] == 0) and lengths.max() <= limit
    assert sum(2.0 ** -int(n) for n in lengths if n) == 1
    assert int((lengths * counts).sum()) == cheapest(counts, limit)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 99),
    size=st.sampled_from([1, 2, 3, 16, 257]),
    number=st.sampled_from([0, 1, 5, BLOCK - 1, BLOCK, BLOCK + 1, 5000]),
    power=st.floats(1, 8),
)
def test_symbols_return_in_one_bit_a_symbol_of_entropy(seed, size, number, power):
    draw = np.random.default_rng(seed)
    symbols = (size * draw.random(number) ** power).astype(np.uint16)
    stream = encode(symbols, size)
    assert np.array_equal(decode([stream])[0], symbols)
    shares = np.bincount(symbols)[np.bincount(symbols) > 0] / max(number, 1)
    assert int(stream.blocks.sum(dtype=int)) <= number * (1 - (shares * np.log2(shares)).sum())


def test_streams_are_decoded_beside_one_another():
    draw = np.random.default_rng(0)
    symbols = [
        draw.integers(0, size, number).astype(np.uint16) for size, number in ((9, 3000), (2, 7), (1, 9), (40, 0))
    ]
    streams = [encode(each, size) for each, size in zip(symbols, (9, 2, 1, 40), strict=True)]
    for found, expected in zip(decode(streams), symbols, strict=True):
        assert np.array_equal(found, expected)


def test_canonical_codes_are_the_order_of_lengths():
    assert encode(np.array([0, 1, 2, 3, 3, 3, 3, 1, 1], np.uint16), 4).lengths.tolist() == [3, 2, 3, 1]
    stream = encode(np.array([3, 1, 0, 2, 3, 3, 3, 1], np.uint16), 4)  # 0 10 110 111 0 0 0 10
    assert stream.payload == bytes([0b01011011, 0b10001000]) and stream.blocks.tolist() == [14]


def test_what_is_no_code_is_refused():
    good = encode(np.arange(5000, dtype=np.uint16) % 7, 7)
    for bad in (
        replace(good, lengths=good.lengths + 1),
        replace(good, lengths=np.full(7, 15, np.uint8)),
        replace(good, blocks=good.blocks[::-1].copy()),
        replace(good, payload=good.payload[::-1]),
        Stream(3, good.lengths, good.blocks[:0], b""),
    ):
        with pytest.raises(PruneError, match="undamaged file"):
            decode([bad])
