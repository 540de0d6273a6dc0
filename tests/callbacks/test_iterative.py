"""Phases of a fit, against counting them out."""

from __future__ import annotations

import re
from itertools import product

import pytest

import kerasprune as kp
from kerasprune.callbacks._iterative import Phases

FITS = list(product((0, 1, 3, 6), (1, 2, 4), (2, 3, 5), range(1, 9)))


def dividing(rewind, rounds, steps):
    """Returns the numbers of epochs of which, after the first steps, equal phases are left."""
    return [n for n in range(1, 99) if n * steps > rewind and (n * steps - rewind) % (rounds + 1) == 0]


@pytest.mark.parametrize("rewind, rounds, steps", {fit[:3] for fit in FITS})
def test_phases_are_equal_or_the_nearest_numbers_of_epochs_are_named(rewind, rounds, steps):
    right = dividing(rewind, rounds, steps)
    for epochs in {fit[3] for fit in FITS}:
        if epochs in right:
            phases = Phases.of(rewind, rounds, steps, epochs)
            points = [rewind, *phases.ends, epochs * steps]
            assert {b - a for a, b in zip(points, points[1:], strict=False)} == {phases.length}
            assert len(phases.ends) == rounds
        elif epochs * steps > rewind:
            with pytest.raises(kp.PruneError) as error:
                Phases.of(rewind, rounds, steps, epochs)
            named = re.search("epochs that do: (.*)[.]", str(error.value))
            nearest = [*[n for n in right if n < epochs][-1:], *[n for n in right if n > epochs][:1]]
            assert (named[1] if named else "") == " and ".join(map(str, nearest))


def test_a_fit_must_go_on_after_the_point_that_is_rewound_to():
    with pytest.raises(kp.PruneError, match="inside the fit of 10 steps"):
        Phases.of(rewind=10, rounds=1, steps_per_epoch=5, epochs=2)
    assert Phases.of(rewind=8, rounds=1, steps_per_epoch=5, epochs=2).length == 1


@pytest.mark.parametrize("rewind, together, torn", [(0, 5, []), (0, 3, [5]), (2, 6, [2]), (2, 4, [2, 6])])
def test_phases_end_where_executions_end(rewind, together, torn):
    if not torn:
        assert Phases.of(rewind, 1, 10, 1, together).ends == (5,)
        return
    after = re.escape(f"steps {torn} with 10 steps")
    with pytest.raises(kp.PruneError, match=f"execution of {together} steps.*{after}"):
        Phases.of(rewind, 1, 10, 1, together)
