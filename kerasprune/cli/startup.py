"""Starts Keras and its backend without their start-up lines."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

STANDARD_ERROR = 2  # its descriptor: C++ code writes there past `sys.stderr`


def start(*, verbose: bool = False) -> None:
    """Imports Keras; what TensorFlow and absl print at that is held back.

    Args:
        verbose: Whether it is shown. Defaults to `False`; where the import fails it is shown in any case.
    """
    if "keras" in sys.modules:
        return
    if verbose:
        importlib.import_module("keras")
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # Every stage traces its own step, which TensorFlow warns of.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with _held_back():
        importlib.import_module("keras")


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Keeps what is written to standard error within the block; shows it where the block fails."""
    try:
        saved = os.dup(STANDARD_ERROR)
    except OSError:  # the process runs without a standard error: nothing can be written to it
        yield
        return
    with tempfile.TemporaryFile() as kept:
        sys.stderr.flush()
        os.dup2(kept.fileno(), STANDARD_ERROR)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(saved, kept.read())
            raise
        finally:
            os.dup2(saved, STANDARD_ERROR)
            os.close(saved)
