"""Rounding against integers computed in NumPy, and its gradients against those of a clip."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerasprune.backend.derivatives import gradient
from kerasprune.export.quantization.rounding import (
    grid,
    kernel_codes,
    round_activations,
    rounded_constant,
    rounded_kernel,
)

pytestmark = pytest.mark.jax
RANGES = ((-1.0, 2.0), (0.0, 6.0), (-0.3, 0.0), (-3.7, 0.013), (-1e-3, 2e-3))


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def by_integers(x, low, high):
    """TFLite's scale and zero point in double precision, one number at a time."""
    scale = (high - low) / 255
    zero = round(-128 - low / scale)
    codes = [min(127, max(-128, int(np.floor(value / scale + 0.5)) + zero)) for value in x.astype("float64")]
    return scale * (np.array(codes) - zero)


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_activations_are_those_of_the_integers(low, high):
    x = np.random.default_rng(0).uniform(1.3 * low - 0.1, 1.3 * high + 0.1, 500).astype("float32")
    expected, found = by_integers(x, low, high), numbers(round_activations(x, np.float32(low), np.float32(high)))
    step = (high - low) / 255
    ties = np.abs((x / step) % 1 - 0.5) < 1e-3
    np.testing.assert_allclose(found[~ties], expected[~ties], atol=1e-2 * step)  # the step has 16 bits
    assert len(np.unique(found)) <= 256


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_every_level_is_exact_in_float32(low, high):
    """So that the converter and LiteRT, which compute scales again, find the same bits."""
    x = np.random.default_rng(0).uniform(low, high, 500).astype("float32")
    levels = numbers(round_activations(x, np.float32(low), np.float32(high))).astype("float64")
    levels /= float(grid(np.float32(low), np.float32(high))[2])
    assert (levels == np.round(levels)).all()
    codes, scale = (numbers(each).astype("float64") for each in kernel_codes(x[:, None], (1,)))
    assert (numbers(rounded_kernel(x[:, None], (1,))) == codes * scale).all() and np.abs(codes).max() == 127


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_zero_stays_zero(low, high):
    assert numbers(round_activations(np.zeros(3, "float32"), np.float32(low), np.float32(high))).tolist() == [0, 0, 0]


def test_the_gradient_is_that_of_a_clip():
    variable = keras.Variable(np.array([-2.0, -0.9, 0.0, 0.4, 1.9, 2.5], "float32"))
    weights = np.arange(1.0, 7.0, dtype="float32")

    def total(function):
        return gradient(
            lambda: keras.ops.sum(weights * function(keras.ops.convert_to_tensor(variable.value))), [variable]
        )

    _, (found,) = total(lambda x: round_activations(x, np.float32(-1.0), np.float32(2.0)))()
    x, h = numbers(variable), 1e-3
    clip = (np.clip(x + h, -1, 2) - np.clip(x - h, -1, 2)) / (2 * h)  # finite differences of what is not rounded
    np.testing.assert_allclose(numbers(found), weights * clip, rtol=1e-3)
    assert numbers(found).tolist() == [0, 2, 3, 4, 5, 0]


def test_kernels_have_a_scale_for_each_channel():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype("float32")
    kernel[..., 1] *= 100
    kernel[..., 2] = 0  # a channel without weights
    kernel[0, 0, 0] = 0
    found = numbers(rounded_kernel(kernel, (3,)))
    for c in (0, 1, 3, 4):
        scale = np.abs(kernel[..., c]).max() / 127
        codes = found[..., c] / scale
        np.testing.assert_allclose(codes, np.round(kernel[..., c] / scale), atol=2e-3)  # the scale has 16 bits
        assert np.abs(codes).max() == pytest.approx(127, rel=2e-5)
    assert not found[..., 2].any() and not found[0, 0, 0].any()


def test_factors_of_channels_pass_through():
    generator = np.random.default_rng(0)
    kernel, factor = (
        generator.normal(size=(3, 3, 4, 2)).astype("float32"),
        generator.normal(size=(4, 2)).astype("float32"),
    )
    found = numbers(rounded_kernel(kernel * factor, (2, 3)))
    np.testing.assert_allclose(found, factor * numbers(rounded_kernel(kernel, (2, 3))), rtol=4e-5)


def test_every_weight_has_a_gradient():
    """The largest of a channel too, which is at the end of its range."""
    for function in (lambda x: rounded_kernel(x, (1,)), rounded_constant):
        variable = keras.Variable(np.random.default_rng(0).normal(size=(20, 30)).astype("float32"))
        _, (found,) = gradient(
            lambda f=function, v=variable: keras.ops.sum(f(keras.ops.convert_to_tensor(v.value))), [variable]
        )()
        assert (numbers(found) == 1).all()
