"""JAX on a processor, rounding products as an accelerator does that is not asked for the highest precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

TF32, BFLOAT16 = 10, 7  # bits of mantissa: GPUs by default, and TPUs


@contextmanager
def short_products(bits: int) -> Iterator[None]:
    """Cuts the mantissa of what products and convolutions of float32 and float16 read, within the block."""

    def cutting(primitive: Any) -> Any:
        bind = primitive.bind

        def cut(x: Any, full: bool) -> Any:
            if full or x.dtype not in ("float32", "float16"):
                return x
            return lax.reduce_precision(x, exponent_bits=jnp.finfo(x.dtype).nexp, mantissa_bits=bits)

        def bound(left: Any, right: Any, *, precision: Any, **parameters: Any) -> Any:
            full = precision == (lax.Precision.HIGHEST, lax.Precision.HIGHEST)
            return bind(cut(left, full), cut(right, full), precision=precision, **parameters)

        return bound

    with jax.default_matmul_precision("default"), pytest.MonkeyPatch.context() as patch:
        for primitive in (lax.dot_general_p, lax.conv_general_dilated_p):
            patch.setattr(primitive, "bind", cutting(primitive))
        jax.clear_caches()  # of programs with whole products
        try:
            yield
        finally:
            jax.clear_caches()
