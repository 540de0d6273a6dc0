"""Distances between outputs whose batches differ in length, against one array of all their numbers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from kerasprune.surgery.comparison import relative_error
from kerasprune.surgery.output_distance import LastAxis, distances, error_of_quantities

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shapes", "axes"),
    [
        ([(4, 3), (2, 3)], 0),
        ([(4, 11, 3), (4, 17, 3), (1, 11, 3)], (0, 1)),
        ([(4, 3, 11), (2, 3, 17)], (0, 2)),  # channels first
        ([(4, 11), (4, 17)], (0, 1)),
        ([(1, 5, 7, 3), (1, 9, 7, 3)], (0, 1)),  # the width is one
    ],
)
def test_the_mean_is_over_examples_and_over_axes_that_differ_in_length(shapes, axes):
    wanted, noise = ([RANDOM.normal(2.0, size=shape) for shape in shapes] for _ in range(2))
    made = [a + 0.1 * b for a, b in zip(wanted, noise, strict=True)]
    free = [axis for axis in np.atleast_1d(axes) if axis]
    rows = [np.moveaxis(a, free, range(1, 1 + len(free))).reshape(-1, *np.delete(a.shape, [0, *free])) for a in wanted]
    rows = np.concatenate(rows)
    spread = ((rows - rows.mean(axis=0)) ** 2).sum()
    error = 0.01 * sum((each**2).sum() for each in noise) / spread
    assert relative_error([[a] for a in made], [[a] for a in wanted]) == pytest.approx(error)
    (found,) = distances([([a], [b]) for a, b in zip(wanted, made, strict=True)], {})
    assert (found.spread, found.error) == pytest.approx((spread, error))


@pytest.mark.parametrize("shape", [(5, 4), (5, 6, 4)])
def test_the_divergence_is_that_of_the_probabilities(shape):
    p, q = (RANDOM.dirichlet(np.ones(shape[-1]), size=shape[:-1]) for _ in range(2))
    expected = scipy.stats.entropy(p, q, axis=-1).mean()
    logits = [np.log(each) + RANDOM.normal(size=(*shape[:-1], 1)) for each in (p, q)]
    for a, b in ((p, q), logits):
        (found,) = distances([([a[:2]], [b[:2]]), ([a[2:]], [b[2:]])], {"kinds": LastAxis(classes=True)})
        assert found.divergence == pytest.approx(expected)
    (found,) = distances([([p], [q])], {"numbers": LastAxis()})
    assert found.divergence == 0


def _shares(size: int, lost: slice) -> tuple[np.ndarray, np.ndarray]:
    """Returns outputs of a thousandfold range in the first half of the columns, and others that lose some columns."""
    a = RANDOM.normal(size=(60, 4, size)) * np.where(np.arange(size) < size / 2, 1000.0, 1.0)
    b = a + 1e-3 * RANDOM.normal(size=a.shape)
    b[..., lost] = a[..., lost].mean(axis=0)
    return a, b


@pytest.mark.parametrize(
    ("size", "lost", "axis", "places"),
    [
        (2, slice(1, 2), LastAxis(), ["[1]"]),
        (20, slice(17, 19), LastAxis(), ["[17]", "[18]"]),
        (7, slice(4, 7), LastAxis(widths=(4, 3)), ["[4]", "[5]", "[6]"]),
        (85, slice(45, 85), LastAxis(widths=(4, 41, 40)), ["[45:85]"]),
        (21, slice(20, 21), LastAxis(), []),  # the coordinates of one thing
        (3, slice(2, 3), LastAxis(classes=True), []),
        (1, slice(0, 0), LastAxis(), []),
    ],
)
def test_the_columns_that_are_lost_are_named(size, lost, axis, places):
    a, b = _shares(size, lost)
    (found,) = distances([([a[:7]], [b[:7]]), ([a[7:]], [b[7:]])], {"both": axis})
    assert [place for place, error in found.errors.items() if error > 0.5] == places and found.error < 0.1
    worst, error = found.worst
    assert worst in ([f"both{place}" for place in places] or ["both"]) and worst in str(found)
    assert error == pytest.approx(1.0 if places else found.error)
    share = np.mean([min(each, 1) for each in found.errors.values()])
    assert error_of_quantities([found]) == pytest.approx(max(share, found.error))


def test_columns_that_do_not_vary_are_not_judged():
    a = np.stack([np.linspace(-1, 1, 50), np.full(50, 3.0), np.zeros(50)], axis=-1)
    (found,) = distances([([a], [a + [0, 1e-9, 1e-9]])], {})
    assert set(found.errors) == {"[0]"} and found.worst == ("output_0", found.error)


@pytest.mark.parametrize("kind", ["int64", "int32", "uint8", "bool"])
def test_class_numbers_are_counted_and_not_measured(kind):
    a = np.repeat(np.arange(3), [30, 20, 10]).astype(kind)
    b = a.copy()
    b[0] = 1 - b[0]
    (numbers,) = distances([([a[:25]], [b[:25]]), ([a[25:]], [b[25:]])], {})
    most = np.unique(a, return_counts=True)[1].max()
    assert (numbers.agreement, numbers.error) == (pytest.approx(59 / 60), pytest.approx(1 / (60 - most)))
    values = np.linspace(0, 1, 60)[:, None]
    (alone,) = distances([([values], [values + 0.1])], {})
    both = distances([([values, a], [values + 0.1, b])], {})
    assert error_of_quantities(both) == error_of_quantities([alone])


def test_class_numbers_below_zero_and_large_ones_are_compared():
    a = np.array([-1, 0, 10**9, 2**40] * 10)
    (found,) = distances([([a], [np.where(a == 2**40, 10**9, a)])], {})
    assert found.agreement == 0.75
