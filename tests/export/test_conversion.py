"""What a conversion needs is said by whatever asks for one."""

from __future__ import annotations

import keras
import pytest

from kerasprune.data.signature import signature_of
from kerasprune.errors import PruneError
from kerasprune.export.conversion import parts_to_tflite, to_tflite


@pytest.mark.parametrize("quantize", [None, "float16"])
def test_no_backend_but_tensorflow_writes_tflite(monkeypatch, quantize):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    signature = signature_of(model)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for write in (
        lambda: parts_to_tflite({"part": model}, quantize),  # as targets of a time and a size do
        lambda: to_tflite(model, signature, quantize, []),
    ):
        with pytest.raises(PruneError, match="written under the TensorFlow backend. Received: backend='jax'"):
            write()
