"""The time of one 3×3 convolution over the number of channels that it makes, as float32 and int8 TFLite files.

    python benchmarks/staircase.py

From 64 channels at 32×32, batch 1, one thread, all files in turn, the median of 200 rounds. Rows:
results/staircase.csv, from which `python benchmarks/summary.py` makes the table of docs/latency.md. Wants quiet cores.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import rows

import kerasprune as kp

OUT = Path(__file__).resolve().parent / "results" / "staircase.csv"
FIELDS = ("precision", "channels", "microseconds", *rows.STAMP)
CHANNELS = (1, 16, 28, 32, 33, 48, 64, 65, 96, 128, 129, 192, 256)
PRECISIONS = {"float32": None, "int8": "int8"}


def exported(channels: int, precision: str, folder: Path) -> Path:
    """Returns the file of a convolution from 64 to `channels` channels."""
    images = keras.Input((32, 32, 64))
    model = keras.Model(images, keras.layers.Conv2D(channels, 3, padding="same")(images))
    data = np.random.default_rng(0).normal(size=(50, *model.input_shape[1:])).astype("float32")
    quantize = PRECISIONS[precision]
    path = folder / f"{channels}-{precision}.tflite"
    kp.export.tflite(model, path, quantize=quantize, data=data if quantize else None)
    return path


def main() -> None:
    """Writes the rows."""
    cells = [(precision, channels) for precision in PRECISIONS for channels in CHANNELS]
    with tempfile.TemporaryDirectory() as folder:
        files = [exported(channels, precision, Path(folder)) for precision, channels in cells]
        times = kp.latency.compare_latency(files, runs=200).latencies
    stamp = rows.stamp("ai-edge-litert")
    rows.write(
        OUT,
        FIELDS,
        [
            {"precision": precision, "channels": channels, "microseconds": f"{1000 * time.median_ms:.1f}", **stamp}
            for (precision, channels), time in zip(cells, times, strict=True)
        ],
    )


if __name__ == "__main__":
    main()
