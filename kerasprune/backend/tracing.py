"""TensorFlow's advice against tracing one function repeatedly, which several models of Keras cause."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

ADVICE = "triggered tf.function retracing"


@contextmanager
def traced_for_each_model() -> Iterator[None]:
    """Hides TensorFlow's advice against repeated tracing within the block.

    TensorFlow counts traces by the lines of code of the function. Those of Keras are the same for all models, so the
    advice is given after a few models, though each of them is traced once. All other messages are shown.
    """
    logger = logging.getLogger("tensorflow")

    def other(record: logging.LogRecord) -> bool:
        return ADVICE not in record.getMessage()

    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)
