"""Thresholds against the definition, loop by loop, and cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import kerasprune as kp
from kerasprune.training import thresholds
from kerasprune.training.thresholds import Fixed, Otsu, Valley, gap

SCALES = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1))


@settings(max_examples=100, deadline=None)
@given(SCALES, st.sampled_from([3, 10, 100]))
def test_valley_is_the_first_bin_behind_which_counts_stop_falling(scales, bins):
    counts, edges = np.histogram(scales, bins=bins, range=(0, 1))
    expected = 0.01
    for i in range(bins - 2):
        if counts[i + 1] - counts[i] <= 0 <= counts[i + 2] - counts[i + 1]:
            expected = edges[i + 1]
            break
    assert Valley(bins=bins).at(scales, 1.0) == expected


def test_valley_by_hand():
    two_heaps = np.concatenate([np.full(9, 0.05), np.full(4, 0.15), np.full(2, 0.25), np.full(7, 0.95)])
    assert Valley(bins=10).at(two_heaps, 1.0) == pytest.approx(0.3)  # 9 4 2 [0] 0 0 0 0 0 7
    assert Valley(bins=10).at(2 * two_heaps, 2.0) == pytest.approx(0.6)


def test_without_a_valley_the_fallback_counts():
    """Counts that only rise, and counts that only fall."""
    rising = np.repeat([0.2, 0.5, 0.9], [1, 2, 3])
    falling = np.repeat([0.2, 0.5, 0.9], [3, 2, 1])
    for scales in (rising, falling):
        assert Valley(bins=3).at(scales, 1.0) == 0.01
        assert Valley(bins=3, fallback=0.2).at(2 * scales, 2.0) == pytest.approx(0.4)


@settings(max_examples=100, deadline=None)
@given(SCALES)
def test_otsu_by_brute_force(scales):
    found = Otsu().at(scales, 1.0)
    best = 0.0
    for cut in scales:
        low, high = scales[scales <= cut], scales[scales > cut]
        if high.size:
            best = max(best, low.size * high.size * (low.mean() - high.mean()) ** 2)
    low, high = scales[scales <= found], scales[scales > found]
    reached = low.size * high.size * (low.mean() - high.mean()) ** 2 if low.size and high.size else 0.0
    assert reached == pytest.approx(best, rel=1e-6, abs=1e-12)


def test_scope():
    scales = {"a": np.array([0.0, 0.4]), "b": np.array([0.8, 0.9])}
    assert Otsu().each(scales) == {"a": pytest.approx(0.2), "b": pytest.approx(0.85)}
    assert Otsu(scope="network").each(scales) == {"a": pytest.approx(0.6), "b": pytest.approx(0.6)}
    assert Fixed(value=0.1).each(scales, 2.0) == {"a": 0.2, "b": 0.2}


def test_gap():
    assert gap(np.array([0.5, 0.1, 0.9]), 0.1) == (0.1, 0.5)  # what is not greater goes
    assert np.isnan(gap(np.array([0.5]), 0.1)[0]) and gap(np.array([0.5]), 0.1)[1] == 0.5
    assert gap(np.array([0.5]), 0.6)[0] == 0.5 and np.isnan(gap(np.array([0.5]), 0.6)[1])


def test_get():
    assert thresholds.get("valley") == Valley()
    assert thresholds.get({"name": "otsu", "scope": "network"}) == Otsu("network")
    assert thresholds.get(0.25) == Fixed(value=0.25)
    assert thresholds.get(Otsu) == Otsu()
    assert thresholds.names() == ["fixed", "otsu", "valley"]
    assert kp.callbacks.thresholds is thresholds


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: thresholds.get("vally"), "Did you mean 'valley'"),
        (lambda: thresholds.get(None), "threshold=None"),
        (lambda: thresholds.get(1.5), "value=1.5"),
        (lambda: Valley(bins=2), "bins=2"),
        (lambda: Valley(fallback=-1), "fallback=-1"),
        (lambda: Valley(scope="layers"), "Did you mean 'layer'"),
        (lambda: thresholds.get({"name": "valley", "bin": 3}), "'bin'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(kp.PruneError, match=message):
        make()
