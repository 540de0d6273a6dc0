"""Components of tied ids, one tie after the other or all at once."""

from __future__ import annotations

import numpy as np
import pytest

from kerasprune.graph.groups import Components, components, distinct

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("numbers", [[], [3], [5, 1, 5, 2, 1], [[2, 0], [0, 2]], [-1, -1, 4]])
def test_distinct_numbers_are_those_of_numpy(numbers):
    assert distinct(np.array(numbers, int)).tolist() == np.unique(np.array(numbers, int)).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_growing_components_are_pinned_as_those_that_are_found_anew(seed):
    """After every tie and every pin: an id is pinned if any id of its component is."""
    generator = np.random.default_rng(seed)
    total, ties, pins = 40, [], []

    def some(number):
        return generator.integers(0, total, number)

    for _ in range(generator.integers(0, 3)):
        ties.append((some(4), some(4)))
        pins.append(some(2))
    growing = Components(total, ties, pins)
    for _ in range(12):
        if generator.random() < 0.6:
            number = generator.integers(1, 6)
            ties.append((some(number), some(number)))
            growing.tie(*ties[-1])
        else:
            pins.append(some(1))
            growing.pin(pins[-1])
        classes = components(total, ties)
        pinned = np.isin(classes, classes[np.concatenate([np.zeros(0, int), *pins])])
        assert [growing.free(np.array([one])) for one in range(total)] == (~pinned).tolist()
        few = some(3)
        assert growing.free(few) == (not pinned[few].any())
