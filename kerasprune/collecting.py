"""Building many objects without looking for dead ones among them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Pauses Python's search for dead cycles, unless somebody else has paused it.

    A model is thousands of objects that live on. Making them sets off searches through everything the process holds,
    TensorFlow included, which find nothing and can take longer than the work itself.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
