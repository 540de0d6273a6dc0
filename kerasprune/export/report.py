"""The facts of an export: the file, its size, and its distance from the model it was written from."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kerasprune.surgery.output_distance import OutputDistance
from kerasprune.tables import Part, Shown


@dataclass(frozen=True)
class ExportReport(Shown):
    """The measurements of one exported file or folder, taken after reloading it from disk.

    `max_error` is absolute, in the unit of an output; `error` is a share of squares, whose root is the typical
    difference over the standard deviation: 1e-4 is 1 % of it.

    Args:
        path: The path of the file or folder.
        format: `"saved_model"`, or `"tflite"` and the quantization, e.g. `"tflite float32"`, `"tflite int8"`;
            with `io="int8"`, `"tflite int8, int8 in and out"`.
        bytes: Size on disk; of a folder, the sum of its files.
        gzip_bytes: The same after gzip: the size of a download, which zeros reduce.
        max_error: Largest absolute difference from the Keras model over all outputs.
        agreement: Fraction of the samples on which the largest entry of an output is at the same place as the Keras
            model's; of several outputs of classes, of that which is worst. `None` if no output is classes: a softmax,
            or logits if the model is compiled with a loss of classes.
        latency_ms: Median milliseconds of one invocation: one thread, batch 1. `None` for a SavedModel, whose threads
            belong to the process.
        inputs: Inputs of the comparison: the `"data"` given, which for formats whose ranges they set are those of the
            `"calibration"`, or seeded `"random"` numbers.
        samples: Number of samples compared.
        operators: Names of the TFLite operators in the file, sorted. Empty for a SavedModel.
        float_layers: In formats with integer activations: names of the layers that compute in float, or of operators
            where the file does not tell the layer; with `quantize="mixed"`, of those that were to.
        error: Error of the outputs relative to their spread, `Σ ‖file − model‖² / Σ ‖model − mean(model)‖²`, of the
            worst output, or of the worst column in it: 0 = the same, 1 = no better than a constant.
        balanced: As `agreement`, but the mean over the classes that the Keras model chooses, so that a frequent one
            does not hide a rare one.
        outputs: All this for each output.
    """

    path: Path
    format: str
    bytes: int
    gzip_bytes: int
    max_error: float
    agreement: float | None
    latency_ms: float | None
    inputs: Literal["data", "calibration", "random"]
    samples: int
    operators: tuple[str, ...] = ()
    float_layers: tuple[str, ...] = ()
    error: float | None = None
    balanced: float | None = None
    outputs: tuple[OutputDistance, ...] = ()

    @property
    def ram(self) -> int | None:
        """Bytes of RAM that a microcontroller needs for the file, see `kp.export.memory`; `None` of a SavedModel."""
        if not self.format.startswith("tflite"):
            return None
        from kerasprune.export.arena.memory_report import memory  # where somebody asks

        return memory(self.path).ram

    def __str__(self) -> str:
        return f"{self.path} ({self.format}): {', '.join(self._facts())}"

    def _shown(self) -> list[Part]:
        return [f"{self.path} ({self.format})", *self._facts()]

    def _facts(self) -> list[str]:
        facts = [
            f"{self.bytes / 1e3:.1f} kB",
            f"{self.gzip_bytes / 1e3:.1f} kB in gzip",
            f"max error {self.max_error:.2g}",
        ]
        facts += map(str, self.outputs)
        facts[-1] += f" on {self.samples} {self.inputs} samples"
        if self.latency_ms is not None:
            facts.append(f"{self.latency_ms:.3g} ms")
        if self.float_layers:
            facts.append(f"in float: {', '.join(self.float_layers)}")
        return facts


def gzip_size(paths: Iterable[Path]) -> int:
    """Returns the size of some files, each compressed as `gzip -9` does it.

    Args:
        paths: The files.
    """
    # 31: with the header and the checksum of a .gz file
    return sum(len(zlib.compress(path.read_bytes(), 9, wbits=31)) for path in paths)
