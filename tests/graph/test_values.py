"""The values of variables, to read: nobody's weights change through them."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerasprune.graph.graph import values

pytestmark = [pytest.mark.quick, pytest.mark.jax]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8", "uint32", "bool"])
def test_values_are_those_of_the_variable(dtype):
    for array in (np.array(1), np.eye(3), np.arange(24).reshape(2, 3, 4) % 2):
        variable = keras.Variable(array, dtype=dtype)
        found = values(variable)
        assert found.dtype == keras.ops.convert_to_numpy(variable).dtype and found.shape == array.shape
        np.testing.assert_array_equal(found.astype("float64"), array)


def test_later_values_do_not_show():
    variable = keras.Variable(np.ones(100_000, "float32"))
    found = values(variable)
    variable.assign_add(np.ones(100_000, "float32"))
    assert (found == 1).all() and (values(variable) == 2).all()


def test_large_ones_are_lent():
    if keras.backend.backend() == "torch":
        pytest.skip("Keras decides")
    variable = keras.Variable(np.ones(100_000, "float32"))
    assert np.shares_memory(values(variable), values(variable))
    with pytest.raises(ValueError, match="read-only"):
        values(variable)[0] = 2
