"""The threads of NumPy's and SciPy's linear algebra."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

from threadpoolctl import ThreadpoolController

_SMALL = 2**34  # multiplications, a second of one core


def one_thread_if_small(multiplications: int) -> AbstractContextManager:
    """Returns a block within which a small problem is solved by one thread.

    OpenBLAS's threads wait for each other by spinning: many small products cost several times their processor time,
    and three times more than that beside another process.

    Args:
        multiplications: Of the largest product of the problem.

    Example:
        >>> with one_thread_if_small(1000):
        ...     pass
    """
    return nullcontext() if multiplications > _SMALL else _pools().limit(limits=1, user_api="blas")


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()
