"""Remedies of exports, recipes, papers and commands that are followed."""

from __future__ import annotations

import os
from pathlib import Path

import keras

import kerasprune as kp
from support.remedies.networks import X, dense, fit, optimizer_of
from support.remedies.places import Case

CASES = [
    Case(
        "export/tflite_export.py",
        "ends in .tflite",
        lambda: kp.export.tflite(dense(), "."),
        lambda: kp.export.tflite(dense(), "model.tflite"),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Pass data=, a few hundred",
        lambda: kp.export.tflite(dense(), "a.tflite", quantize="int8"),
        lambda: kp.export.tflite(dense(), "a.tflite", quantize="dynamic"),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Leave out what does not apply",
        lambda: kp.export.tflite(dense(), "a.tflite", float_layers=["last"]),
        lambda: kp.export.tflite(dense(), "a.tflite"),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Expected a list of names",
        lambda: kp.export.tflite(dense(), "a.tflite", quantize="mixed", data=X, float_layers="last"),
        lambda: kp.export.tflite(dense(), "a.tflite", quantize="mixed", data=X, float_layers=["last"]),
        True,
    ),
    Case(
        "export/destination.py",
        "Name a file in it",
        lambda: (os.mkdir("a.tflite"), kp.export.tflite(dense(), "a.tflite")),
        lambda: kp.export.tflite(dense(), "a.tflite/a.tflite"),
        True,
    ),
    Case(
        "export/destination.py",
        "Make the folder first",
        lambda: kp.export.tflite(dense(), "none/a.tflite"),
        lambda: kp.export.tflite(dense(), "a.tflite"),
        True,
    ),
    Case(
        "export/saved_model_export.py",
        "A SavedModel is a folder",
        lambda: kp.export.saved_model(dense(), "a.keras"),
        lambda: kp.export.saved_model(dense(), "a"),
        True,
    ),
    Case(
        "export/quantization/aware.py",
        "Give aware.plain.",
        lambda: kp.quantization_aware(kp.quantization_aware(dense())),
        lambda: kp.quantization_aware(kp.quantization_aware(dense()).plain),
    ),
    Case(
        "export/quantization/fake_quantize.py",
        "Give aware.plain",
        lambda: keras.models.clone_model(kp.quantization_aware(dense())),
        lambda: keras.models.clone_model(kp.quantization_aware(dense()).plain),
    ),
    Case(
        "export/destination.py",
        "Choose another path, or pass",
        lambda: (Path("a.tflite").write_text(""), kp.export.tflite(dense(), "a.tflite")),
        lambda: kp.export.tflite(dense(), "a.tflite", overwrite=True),
        True,
    ),
    Case(
        "export/codec/packing.py",
        "Load it first",
        lambda: kp.codec.pack("net.keras", "a.kpz"),
        lambda: kp.codec.pack(dense(), "a.kpz"),
    ),
    Case(
        "export/quantization/aware.py",
        "Call aware.fit(",
        lambda: kp.export.tflite(kp.quantization_aware(dense()), "a.tflite", quantize="int8"),
        lambda: kp.export.tflite(
            fit(keras.callbacks.Callback(), optimizer_of(kp.quantization_aware(dense()))), "a.tflite", quantize="int8"
        ),
        True,
    ),
    Case(
        "export/quantization/aware.py",
        "Call aware.plain.quantize",
        lambda: kp.quantization_aware(dense()).quantize("int8"),
        lambda: kp.quantization_aware(dense()).plain.quantize("int8"),
    ),
    Case(
        "export/quantization/aware.py",
        "Call aware.save(path)",
        lambda: kp.quantization_aware(dense()).get_config(),
        lambda: kp.quantization_aware(dense()).plain.save("a.keras"),
    ),
]

CANNOT_BE_RUN = [
    ("export/conversion.py", "KERAS_BACKEND=tensorflow"),  # another backend
    ("export/conversion.py", "crashed in its own process"),  # a crash of the converter
    ("export/latency/profiling.py", "Measure again when the machine is quiet"),
    ("recipes/schema.py", "Install kerasprune with all of its papers"),  # an environment without them
    ("recipes/populations/ray_runner.py", "Give fewer threads"),  # a cluster
    ("recipes/populations/ray_runner.py", "Install kerasprune on every machine"),
]
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
