"""What a GPU makes of it, on JAX: the checks pass, and half of the multiply–adds takes less time than all.

    python benchmarks/gpu.py [--small] [--rounds 5] [--runs 20] [--widths 1 8 auto] [--out FILE]

1. `kp.prune(model, macs=0.5, data=x)` of a ResNet-20, README's first example, ends, and its check passes.
2. `kp.verify` of a ResNet-50 with half of its multiply–adds, in float32 and mixed_bfloat16, passes.
3. A ResNet-50 in bfloat16, compiled by `jax.jit`: milliseconds per batch of 128 and of 1, whole, and with half of the
   multiply–adds, their widths rounded to `--widths`. Within a round the models take turns, batch by batch; ratios are
   to the whole model in the same round, their median, lowest and highest those of the rounds.

Networks have random weights, with statistics of BatchNorm as those after training. Takes a few minutes on a card; needs
no TensorFlow. Without a card, or with `--small`: images of 64×64 and batches of 4 and 1. Writes results/gpu.csv, or
results/gpu_small.csv.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import numpy as np
import rows

import kerasprune as kp

RESULTS = Path(__file__).parent / "results"
FIELDS = (
    *("what", "network", "precision", "round_to", "batch", "macs", "passed", "error"),
    *("milliseconds", "ratio", "lowest", "highest", "rounds", "runs", "device"),
    *rows.STAMP,
)
WHOLE = "all"  # in place of a multiple
Row = dict[str, Any]


class Sizes(NamedTuple):
    """How large the images and batches of ResNet-50 are, and how many examples ResNet-20 is pruned with."""

    side: int = 224
    batch: int = 128
    examples: int = 512


SMALL = Sizes(64, 4, 64)


def resnet50(side: int, precision: str) -> keras.Model:
    """Returns a ResNet-50 with random weights, in a precision."""
    keras.config.set_dtype_policy(precision)
    model = keras.applications.ResNet50(weights=None, input_shape=(side, side, 3), classifier_activation=None)
    return kp.testing.randomise(model)


def checked(check: Callable[[], tuple[bool, float]]) -> Row:
    """Returns whether a check passes, and its error; the message in place of an error if the library refuses."""
    try:
        passed, error = check()
    except kp.PruneError as refused:
        return {"passed": False, "error": str(refused)}
    return {"passed": passed, "error": f"{error:.2g}"}


def pruned(sizes: Sizes) -> Row:
    """Prunes a ResNet-20 as README does."""
    keras.config.set_dtype_policy("float32")
    model = kp.testing.randomise(kp.models.get({"name": "resnet_cifar", "depth": 20, "input_shape": (32, 32, 3)}))
    x = np.random.default_rng(0).normal(size=(sizes.examples, 32, 32, 3)).astype("float32")

    def check() -> tuple[bool, float]:
        return True, kp.prune(model, macs=0.5, data=x, verbose=0).report.verified  # raises if its check fails

    return {"what": "prune", "network": "ResNet-20", "precision": "float32", **checked(check)}


def verified(sizes: Sizes, precision: str) -> Row:
    """Verifies a ResNet-50 with half of its multiply–adds."""
    model = resnet50(sizes.side, precision)

    def check() -> tuple[bool, float]:
        plan = kp.plan(model, macs=0.5)
        verdict = kp.verify(model, kp.rebuild(model, plan, absorb=False), plan)  # equal but for rounding
        return verdict.passed, verdict.error

    return {"what": "verify", "network": "ResNet-50", "precision": precision, **checked(check)}


def step(model: keras.Model, x: Any) -> Callable[[], None]:
    """Returns a function that computes the outputs of one batch, compiled, and waits for them."""

    @jax.jit
    def outputs(trained: list[Any], others: list[Any], batch: Any) -> Any:
        return model.stateless_call(trained, others, batch, training=False)[0]

    values = [
        [variable.value for variable in each] for each in (model.trainable_variables, model.non_trainable_variables)
    ]

    def once() -> None:
        outputs(*values, x).block_until_ready()

    once()  # compiles
    return once


def round_of(steps: list[Callable[[], None]], runs: int) -> list[float]:
    """Returns the median milliseconds of every step; they take turns."""
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(runs):
        for once, found in zip(steps, times, strict=True):
            began = time.perf_counter()
            once()
            found.append(1e3 * (time.perf_counter() - began))
    return [statistics.median(found) for found in times]


def timed(sizes: Sizes, widths: list[str], rounds: int, runs: int) -> list[Row]:
    """Times a ResNet-50, whole and with half of its multiply–adds in several widths, at two batches."""
    dense = resnet50(sizes.side, "bfloat16")
    models = {WHOLE: dense}
    for width in widths:
        plan = kp.plan(dense, macs=0.5, round_to=int(width) if width.isdigit() else width)
        models[width] = kp.rebuild(dense, plan)
    made = []
    for batch in (sizes.batch, 1):
        x = jax.random.normal(jax.random.key(0), (batch, sizes.side, sizes.side, 3), "bfloat16")
        steps = [step(model, x) for model in models.values()]
        found = np.array([round_of(steps, runs) for _ in range(rounds)])  # rounds × models
        ratios = found / found[:, :1]
        for index, (width, model) in enumerate(models.items()):
            values = statistics.median(ratios[:, index]), ratios[:, index].min(), ratios[:, index].max()
            made.append(
                {"what": "step", "network": "ResNet-50", "precision": "bfloat16", "round_to": width, "batch": batch}
                | {"macs": kp.cost(model).macs, "milliseconds": f"{statistics.median(found[:, index]):.4g}"}
                | dict(zip(("ratio", "lowest", "highest"), (f"{value:.3f}" for value in values), strict=True))
                | {"rounds": rounds, "runs": runs}
            )
    return made


def main() -> None:
    """Checks and times, and writes the rows in place of those of an earlier run."""
    device = jax.devices()[0]
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true", help="small images and batches, as without a card")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20, help="timed batches of every model in a round")
    parser.add_argument("--widths", nargs="+", default=["1", "8", "auto"], help="values of round_to=")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    small = asked.small or device.platform == "cpu"
    sizes = SMALL if small else Sizes()
    made = []
    for part in (
        lambda: [pruned(sizes)],
        *(lambda precision=precision: [verified(sizes, precision)] for precision in ("float32", "mixed_bfloat16")),
        lambda: timed(sizes, asked.widths, asked.rounds, asked.runs),
    ):
        began = time.perf_counter()
        for row in part():
            made.append(row | {"device": device.device_kind} | rows.stamp("jax", "keras"))
            print(*(row.get(name, "") for name in FIELDS[:12]), sep="\t", flush=True)
        print(f"{time.perf_counter() - began:.0f} s", flush=True)
    rows.write(asked.out or RESULTS / f"gpu{'_small' * small}.csv", FIELDS, made)


if __name__ == "__main__":
    main()
