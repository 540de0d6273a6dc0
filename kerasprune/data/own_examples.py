"""A user's own examples by their address: a file of arrays, or a function."""

from __future__ import annotations

from pathlib import Path

from kerasprune.data.arrays import arrays
from kerasprune.data.lookup import own
from kerasprune.data.splits import SplitExamples
from kerasprune.data.user_function import user_function


def split_examples(name: str) -> SplitExamples:
    """Returns the examples of a `.npz` or `.npy` file, or of a function `module:function` or `FILE.py:function`.

    Args:
        name: The path or the address. An address imports that code.

    Raises:
        PruneError: There is no such file or function, or it holds something else.
    """
    if own(name) == "function":
        return user_function(name)
    return arrays(Path(name).expanduser())
