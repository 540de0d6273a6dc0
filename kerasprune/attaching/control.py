"""Decisions and loops within a step: traced where the step is traced, Python's own where its numbers are at hand.

Outside of a compiled step JAX would compile a branch or a loop anew whenever it is met: each is made of new functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops


def cond(which: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """Returns `then()` where `which` is true, `otherwise()` where it is not; as `keras.ops.cond`.

    Example:
        >>> from keras import ops
        >>> cond(ops.convert_to_tensor(2) > 1, lambda: "yes", lambda: "no")
        'yes'
    """
    known = at_hand(which)
    if known is None:
        return ops.cond(which, then, otherwise)
    return then() if known else otherwise()


def repeat(times: int, body: Callable[[Any], Any], state: Any) -> Any:
    """Returns `state` after `times` of `state = body(state)`.

    Args:
        times: A number of Python.
        body: From a tuple of tensors to the next.
        state: The tuple to begin with.

    Example:
        >>> from keras import ops
        >>> int(repeat(3, lambda state: (2 * state[0],), (ops.convert_to_tensor(1),))[0])
        8
    """
    if at_hand(state[0]) is None:
        return ops.fori_loop(0, times, lambda _, state: body(state), state)
    for _ in range(times):
        state = body(state)
    return state


def at_hand(value: Any) -> Any:
    """Returns a scalar as an array of NumPy; `None` where it is a symbol of a step that is being traced."""
    try:
        return ops.convert_to_numpy(value)
    except Exception:  # each backend has an error of its own for it
        return None
