"""What each criterion costs: its seconds on some batches, compared with those of training steps on as many.

    python benchmarks/criteria_cost.py run                          # ResNet-50, 224², batches of 32
    python benchmarks/criteria_cost.py run --side 64 --batch 8      # the same network on smaller images
    python benchmarks/criteria_cost.py table                        # writes results/criteria_cost.md

Every registered criterion, and OBD also with Gauss–Newton curvature. Finished rows are kept: a run that was
killed goes on where it was. Seconds are those of the clock for one call of `score`, tracing and compiling included, as
a user waits for them; a training step is the median of three after the first.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import rows

import kerasprune as kp

RESULTS = Path(__file__).resolve().parent / "results"
ROWS, PAGE = RESULTS / "criteria_cost.csv", RESULTS / "criteria_cost.md"
FIELDS = ("criterion", "side", "batch", "batches", "seconds", "step", "ratio", "load", "backend", "machine", "date")
MORE = {"obd (gauss_newton)": {"name": "obd", "curvature": "gauss_newton"}}
LIMIT = 20
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
Data = list[tuple[np.ndarray, np.ndarray]]


def network(side: int) -> keras.Model:
    """Returns an untrained ResNet-50."""
    return kp.models.resnet_imagenet(depth=50, classes=1000, input_shape=(side, side, 3), seed=0)


def examples(side: int, batch: int, batches: int) -> Data:
    """Returns random images and labels."""
    generator = np.random.default_rng(0)
    shape = (batch, side, side, 3)
    return [
        (generator.normal(size=shape).astype("float32"), generator.integers(0, 1000, batch)) for _ in range(batches)
    ]


def step_seconds(side: int, batch: int) -> float:
    """Returns how long a training step takes."""
    model = network(side)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), LOSS)
    ((x, y),) = examples(side, batch, 1)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        model.train_on_batch(x, y)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def measured(side: int, batch: int, batches: int) -> Iterator[dict[str, Any]]:
    """Yields a row for every criterion that has none yet."""
    sizes = {"side": side, "batch": batch, "batches": batches}
    done = {row["criterion"] for row in rows.read(ROWS) if all(row[name] == str(size) for name, size in sizes.items())}
    missing = [name for name in (*kp.criteria.names(), *MORE) if name not in done]
    if not missing:
        return
    graph, data, step = kp.trace(network(side)), examples(side, batch, batches), step_seconds(side, batch)
    for name in missing:
        start = time.perf_counter()
        kp.criteria.score(kp.criteria.get(MORE.get(name, name)), graph, data, LOSS)
        seconds = time.perf_counter() - start
        yield {
            **sizes,
            "criterion": name,
            "seconds": f"{seconds:.2f}",
            "step": f"{step:.2f}",
            "ratio": f"{seconds / (step * batches):.2f}",
            "load": f"{os.getloadavg()[0]:.1f}",
            "backend": f"{keras.backend.backend()} {version(keras.backend.backend())}",
            "machine": f"{os.cpu_count()} × {platform.machine()}",
            "date": date.today().isoformat(),
        }


def run(side: int, batch: int, batches: int) -> None:
    """Measures what is missing."""
    for row in measured(side, batch, batches):
        rows.append(ROWS, FIELDS, [row])
        print(*row.values(), flush=True)


def table() -> str:
    """Returns the page."""
    found = rows.read(ROWS)
    lines = ["# What criteria cost", "", *__doc__.splitlines()[6:], ""]
    for sizes in dict.fromkeys((row["side"], row["batch"], row["batches"]) for row in found):
        some = [row for row in found if (row["side"], row["batch"], row["batches"]) == sizes]
        first = some[0]
        lines += [
            f"ResNet-50 at {sizes[0]}², batches of {sizes[1]}: {sizes[2]}; {first['machine']}, {first['backend']}, "
            f"{first['date']}, load {first['load']}. A training step takes {first['step']} s.",
            "",
            f"| Criterion | seconds | training steps for each batch (limit {LIMIT}) |",
            "|---|---|---|",
            *(f"| `{row['criterion']}` | {row['seconds']} | {row['ratio']} |" for row in some),
            "",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--batches", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.what == "run":
        run(arguments.side, arguments.batch, arguments.batches)
    else:
        PAGE.write_text(table(), encoding="utf-8")
