"""Checks of values: what their faults say."""

from __future__ import annotations

import numpy as np

from kerasprune.checks import whole_number_faults


def test_a_number_of_numpy_that_is_refused_is_called_one():
    (fault,) = whole_number_faults(0, seed=np.int64(1))
    assert "Received: seed=1 as int64 of NumPy" in fault and ".item()" in fault
    assert not whole_number_faults(0, seed=1)
