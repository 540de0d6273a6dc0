"""TensorFlow where it reads data and files: without GPUs, if they belong to another backend of Keras."""

from __future__ import annotations

from contextlib import suppress

import keras
import tensorflow as tf

if keras.backend.backend() != "tensorflow":
    with suppress(RuntimeError):  # the user's own code has begun to use it
        tf.config.set_visible_devices([], "GPU")
