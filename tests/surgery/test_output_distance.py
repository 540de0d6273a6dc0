"""Distances between outputs whose batches differ in length, against one array of all their numbers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from kerasprune.surgery.comparison import relative_error
from kerasprune.surgery.output_distance import distances

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
    (found,) = distances([[a] for a in wanted], [[a] for a in made], {})
    assert (found.spread, found.error) == pytest.approx((spread, error))


@pytest.mark.parametrize("shape", [(5, 4), (5, 6, 4)])
def test_the_divergence_is_that_of_the_probabilities(shape):
    p, q = (RANDOM.dirichlet(np.ones(shape[-1]), size=shape[:-1]) for _ in range(2))
    expected = scipy.stats.entropy(p, q, axis=-1).mean()
    logits = [np.log(each) + RANDOM.normal(size=(*shape[:-1], 1)) for each in (p, q)]
    for a, b in ((p, q), logits):
        (found,) = distances([[a[:2]], [a[2:]]], [[b[:2]], [b[2:]]], {"kinds": True})
        assert found.divergence == pytest.approx(expected)
    (found,) = distances([[p]], [[q]], {"numbers": False})
    assert found.divergence == 0
