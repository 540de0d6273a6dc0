"""Opens exported files as functions from flat inputs to flat outputs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import keras
import numpy as np

from kerasprune.data.batches import FlatInputs
from kerasprune.data.signature import Signature
from kerasprune.export.conversion import output_names
from kerasprune.export.parity import Function
from kerasprune.export.quiet_logs import quiet
from kerasprune.export.tflite_interpreter import open_interpreter, single_runner


def opened(path: Path, model: keras.Model, signature: Signature) -> Function:
    """Returns a function that runs an exported model on batches.

    Args:
        path: A `.tflite` file with a batch axis of 1, or the folder of a SavedModel.
        model: The model that was exported, for the names of its outputs.
        signature: Its inputs.
    """
    if path.is_dir():
        return _served(path, signature)
    return single_runner(open_interpreter(path), signature.names, partial(output_names, model))


def _served(folder: Path, signature: Signature) -> Function:
    import tensorflow as tf

    with quiet():
        loaded = tf.saved_model.load(str(folder))

    def run(batch: FlatInputs) -> list[np.ndarray]:
        outputs = loaded.serve(signature.pack([tf.convert_to_tensor(array) for array in batch]))
        return [output.numpy() for output in keras.tree.flatten(outputs)]

    return run
