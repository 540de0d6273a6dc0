"""Where TensorFlow trains convolutions by oneDNN, whose gradient of a strided 1×1 kernel may end the process."""

from __future__ import annotations

import os
import platform

import keras


def trains_convolutions() -> bool:
    """Returns whether convolutions are trained by oneDNN here: on TensorFlow, on an x86 processor, without a GPU."""
    if keras.backend.backend() != "tensorflow" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    import tensorflow as tf

    switched_off = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() in ("0", "false")
    return not switched_off and not tf.config.get_visible_devices("GPU")
