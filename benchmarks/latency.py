"""How much of a gain in multiply–adds arrives as a gain in time: LiteRT, networks at ¾, ½ and ¼ of their width.

    python benchmarks/latency.py [--rounds 5] [--runs 20] [--networks ResNet-20 MobileNetV2 …] [--out FILE]

Every network, width and precision is a `.tflite` file; one process opens all of them and times them in turn, batch 1,
one thread, so that whatever slows the machine slows all alike. Of every round the medians give
(t₀ ÷ t) ÷ (m₀ ÷ m), t and m time and multiply–adds, with index 0 those of the whole network: 1 would mean that time
falls as the multiply–adds do. Writes median, lowest and highest of the rounds to results/latency.csv, from which
`python benchmarks/summary.py` makes the table of docs/latency.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import rows

import kerasprune as kp

OUT = Path(__file__).resolve().parent / "results" / "latency.csv"
FIELDS = (
    *("network", "width", "precision", "macs", "milliseconds", "ratio", "lowest", "highest", "rounds", "runs"),
    *rows.STAMP,
)
NETWORKS = {
    "ResNet-20": {"name": "resnet_cifar", "depth": 20, "input_shape": (32, 32, 3)},
    "MobileNetV2": {"name": "mobilenet_v2", "input_shape": (224, 224, 3)},
    "ResNet-50": {"name": "resnet_imagenet", "depth": 50, "input_shape": (224, 224, 3)},
}
WIDTHS = (1.0, 0.75, 0.5, 0.25)
PRECISIONS = {"float32": None, "int8": "int8"}
CALIBRATED = 50  # random images; fewer are warned of
Cell = tuple[str, float, str]


def exported(names: list[str], folder: Path) -> tuple[dict[Cell, Path], dict[tuple[str, float], int]]:
    """Returns the file of every network, width and precision, and the multiply–adds of every network and width."""
    files, macs = {}, {}
    for name in names:
        keras.utils.set_random_seed(0)
        model = kp.models.get(NETWORKS[name])
        data = np.random.default_rng(0).normal(size=(CALIBRATED, *model.input_shape[1:])).astype("float32")
        for width in WIDTHS:
            slim = model if width == 1 else kp.rebuild(model, kp.plan(model, "l1", keep=width))
            macs[name, width] = kp.cost(slim).macs
            for precision, quantize in PRECISIONS.items():
                files[name, width, precision] = path = folder / f"{name}_{width}_{precision}.tflite"
                kp.export.tflite(slim, path, quantize=quantize, data=data)
    return files, macs


def measured(files: dict[Cell, Path], rounds: int, runs: int) -> dict[Cell, list[float]]:
    """Returns the median milliseconds of every file in every round; within one the files take turns, run by run."""
    found: dict[Cell, list[float]] = {cell: [] for cell in files}
    for number in range(rounds):
        compared = kp.latency.compare_latency([*files.values()], runs=runs)
        for times, latency in zip(found.values(), compared.latencies, strict=True):
            times.append(latency.median_ms)
        print(f"round {number + 1} of {rounds}", flush=True)
    return found


def table(
    found: dict[Cell, list[float]], macs: dict[tuple[str, float], int], settings: dict[str, object]
) -> list[dict[str, object]]:
    """Returns the rows: milliseconds of every cell, and of the slim ones the gain in time ÷ that in multiply–adds."""
    made = []
    for (network, width, precision), times in found.items():
        fewer = macs[network, 1.0] / macs[network, width]
        whole = found[network, 1.0, precision]
        gains = [before / now / fewer for before, now in zip(whole, times, strict=True)]
        values = (statistics.median(gains), min(gains), max(gains))
        made.append(
            {"network": network, "width": width, "precision": precision, "macs": macs[network, width]}
            | {"milliseconds": f"{statistics.median(times):.4g}"}
            | dict(zip(("ratio", "lowest", "highest"), (f"{value:.3f}" for value in values), strict=True))
            | settings
        )
    return made


def main() -> None:
    """Times, and writes the rows in place of those of an earlier run."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20, help="timed inferences of every file in a round")
    parser.add_argument("--networks", nargs="+", default=[*NETWORKS], choices=[*NETWORKS])
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    settings = {"rounds": asked.rounds, "runs": asked.runs, **rows.stamp("ai-edge-litert")}
    with tempfile.TemporaryDirectory() as folder:
        files, macs = exported(asked.networks, Path(folder))
        found = measured(files, asked.rounds, asked.runs)
    made = table(found, macs, settings)
    rows.write(asked.out, FIELDS, made)
    for row in made:
        print(*(row[name] for name in FIELDS[:8]), sep="\t")


if __name__ == "__main__":
    main()
