"""How much of a gain in multiply–adds arrives as a gain in time: LiteRT, networks at ¾, ½ and ¼ of their width, and at
½ of their multiply–adds with the channels that cost no time by a measured table (`round_to=table`).

    python benchmarks/latency.py [--rounds 5] [--runs 20] [--networks ResNet-20 MobileNetV2 …] [--out FILE]

Every network, width and precision is a `.tflite` file; one process opens all of them and times them in turn, batch 1,
one thread, so that whatever slows the machine slows all alike. Of every round the medians give
(t₀ ÷ t) ÷ (m₀ ÷ m), t and m time and multiply–adds, with index 0 those of the whole network: 1 would mean that time
falls as the multiply–adds do. Writes median, lowest and highest of the rounds to results/latency.csv, from which
`python benchmarks/summary.py` makes the table of docs/latency.md. Latency tables are measured first, 5 to 25 minutes in
all, and kept in runs/latency. Wants quiet cores.
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

HERE = Path(__file__).resolve().parent
OUT, TABLES = HERE / "results" / "latency.csv", HERE.parent / "runs" / "latency"
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
BY_TABLE = "table"  # in place of a width
PRECISIONS = {"float32": None, "int8": "int8"}
CALIBRATED = 50  # random images; fewer are warned of
Cell = tuple[str, float | str, str]


def slimmed(model: keras.Model, name: str, width: float | str, precision: str) -> keras.Model:
    """Returns a network of a width, or of half of the multiply–adds by a table."""
    if width == 1:
        return model
    if width != BY_TABLE:
        return kp.rebuild(model, kp.plan(model, "l1", keep=width))
    TABLES.mkdir(parents=True, exist_ok=True)
    table = kp.latency.profile(model, precision=precision, store=TABLES / f"{name}-{precision}.csv")
    return kp.rebuild(model, kp.plan(model, "l1", macs=0.5, round_to=table))


def exported(names: list[str], folder: Path) -> tuple[dict[Cell, Path], dict[Cell, int]]:
    """Returns the files of all networks, widths and precisions, and their multiply–adds."""
    files, macs = {}, {}
    for name in names:
        keras.utils.set_random_seed(0)
        model = kp.models.get(NETWORKS[name])
        data = np.random.default_rng(0).normal(size=(CALIBRATED, *model.input_shape[1:])).astype("float32")
        for width in (*WIDTHS, BY_TABLE):
            for precision, quantize in PRECISIONS.items():
                slim = slimmed(model, name, width, precision)
                macs[name, width, precision] = kp.cost(slim).macs
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
    found: dict[Cell, list[float]], macs: dict[Cell, int], settings: dict[str, object]
) -> list[dict[str, object]]:
    """Returns the rows: milliseconds of every cell, and of the slim ones the gain in time ÷ that in multiply–adds."""
    made = []
    for (network, width, precision), times in found.items():
        fewer = macs[network, 1.0, precision] / macs[network, width, precision]
        whole = found[network, 1.0, precision]
        gains = [before / now / fewer for before, now in zip(whole, times, strict=True)]
        values = (statistics.median(gains), min(gains), max(gains))
        made.append(
            {"network": network, "width": width, "precision": precision, "macs": macs[network, width, precision]}
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
