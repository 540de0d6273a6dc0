"""Networks exported on two backends, and the files of one: `python -m support.both_backends FOLDER [NAME …]`."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

import kerasprune as kp
from kerasprune.data.signature import signature_of
from support.architectures import unet

FORMS = (None, "float16", "int8", "saved_model")


def two_inputs() -> keras.Model:
    """Returns a network of dicts."""
    left, right = keras.Input((6,), name="b_left"), keras.Input((3,), name="a_right")
    x = layers.Concatenate()([layers.Dense(40, "relu")(left), right])
    return keras.Model({"b_left": left, "a_right": right}, {"z": layers.Dense(5)(x), "y": layers.Dense(2)(x)})


def vit() -> keras.Model:
    """Returns a vision transformer of one block."""
    x = layers.Reshape((16, 16))(layers.Conv2D(16, 4, 4)(images := keras.Input((16, 16, 3))))
    y = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, 8)(y, y)
    x = x + layers.Dense(16)(layers.Dense(32, "gelu")(layers.LayerNormalization()(x)))
    return keras.Model(images, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def in_bfloat16() -> keras.Model:
    """Returns a network that computes in bfloat16, with weights in float32."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(8, 3, activation="relu"), *_end()])
    finally:
        keras.config.set_dtype_policy("float32")


def _end() -> list[layers.Layer]:
    return [layers.GlobalAveragePooling2D(), layers.Dense(5, dtype="float32")]


NETWORKS = {
    "resnet20": lambda: kp.models.resnet_cifar(20, input_shape=(32, 32, 3)),
    "unet": unet,
    "vit": vit,
    "lstm": lambda: kp.models.lstm_rows(8, input_shape=(6, 4, 1)),
    "two_inputs": two_inputs,
    "in_bfloat16": in_bfloat16,
}


def saved(name: str, folder: Path) -> tuple[keras.Model, Any]:
    """Returns a network as its file in a folder has it, written if there is none, and inputs for it."""
    generator = np.random.default_rng(0)
    if not (file := folder / f"{name}.keras").exists():
        keras.utils.set_random_seed(0)
        model = NETWORKS[name]()
        model.set_weights([generator.uniform(0.2, 1, w.shape) if w.ndim == 1 else w for w in model.get_weights()])
        model.save(file)
    model = keras.saving.load_model(file, compile=False)
    nest, generator = signature_of(model).structure, np.random.default_rng(1)
    drawn = [generator.normal(size=(64, *x.shape[1:])).astype("f") for x in keras.tree.flatten(nest)]
    return model, keras.tree.pack_sequence_as(nest, drawn)  # map_structure goes in another order on torch


def write(name: str, folder: Path) -> None:
    """Writes a network of a folder in every form, to a folder in it that is named for the backend."""
    (place := folder / keras.backend.backend()).mkdir(exist_ok=True)
    model, data = saved(name, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few samples of random numbers
        for form in FORMS[:-1]:
            path = place / f"{name}-{form}.tflite"
            kp.export.tflite(model, path, quantize=form, data=data, overwrite=True, force=True)
        kp.export.saved_model(model, place / f"{name}-saved_model", data=data, overwrite=True)


if __name__ == "__main__":
    for each in sys.argv[2:] or NETWORKS:
        write(each, Path(sys.argv[1]))
