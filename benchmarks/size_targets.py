"""How near files come to a size that is asked for: random targets on three networks, float32 and int8.

    python benchmarks/size_targets.py

One row for each target: the bytes asked for, and those of the plan's own `.tflite` file.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
import rows

ROWS = Path(__file__).parent / "results" / "size_targets.csv"
FIELDS = ("network", "precision", "asked", "written", "ratio", "told", "seconds", *rows.STAMP)
NETWORKS = {
    "resnet20": {"name": "resnet_cifar", "depth": 20, "input_shape": (32, 32, 3)},
    "mobilenet": {"name": "mobilenet_v2", "input_shape": (96, 96, 3)},
    "lenet": {"name": "lenet_300_100", "input_shape": (28, 28, 1)},
}
TARGETS = 20


def main() -> None:
    """Draws the targets in turn over networks and precisions, from a fifth to nine tenths of the dense file."""
    import keras

    import kerasprune as kp
    from kerasprune.export.latency.whole_networks import file_of

    generator, found = np.random.default_rng(0), []
    for number in range(TARGETS):
        network = list(NETWORKS)[number % len(NETWORKS)]
        precision = ("float32", "int8")[number // len(NETWORKS) % 2]
        keras.utils.set_random_seed(0)
        graph = kp.trace(kp.models.get(NETWORKS[network]))
        dense = len(file_of(graph, kp.Plan({}, coupling=graph.coupling), precision))
        asked = int(dense * generator.uniform(0.2, 0.9))
        began = time.perf_counter()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            plan = kp.plan(graph, target=kp.targets.Size(asked, precision), round_to=1)
        seconds = round(time.perf_counter() - began, 1)
        written = len(file_of(graph, plan, precision))
        said = any("The file has" in str(each.message) for each in told)
        row = {"network": network, "precision": precision, "asked": asked, "written": written, "told": said}
        found.append(row | {"ratio": f"{written / asked:.4f}", "seconds": seconds, **rows.stamp("tensorflow")})
        print(found[-1], flush=True)
    rows.append(ROWS, FIELDS, found)


if __name__ == "__main__":
    main()
