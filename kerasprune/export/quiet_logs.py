"""Silences converters: output of Python, of the loggers, and of C++."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator

# Descriptors 1 and 2 belong to the process: two threads redirecting them at once would restore wrong ones.
_descriptors = threading.RLock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences standard output, standard error, warnings and the TensorFlow loggers within the block.

    Errors of the block carry their own message, so nothing is lost if a conversion fails. Output of
    other threads of the process is held back as well while the block runs.

    Example:
        >>> with quiet():
        ...     print("noise")
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for name in ("absl", "tensorflow"):
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        stack.enter_context(_closed_descriptors())
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        yield


@contextlib.contextmanager
def _closed_descriptors() -> Iterator[None]:
    """Points descriptors 1 and 2 at the null device; C++ code writes there past `sys.stderr`."""
    with _descriptors, contextlib.ExitStack() as stack:
        sink = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, sink)
        for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # a closed or absent stream
                stream.flush()
            try:
                saved = os.dup(descriptor)
            except OSError:  # the process runs without this descriptor: nothing can be written to it
                continue
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            os.dup2(sink, descriptor)
        yield
