"""Is `compare_latency(device="keras")` right, and is a time met by `Time(device="keras")`? On the device at hand.

    KERAS_BACKEND=jax python benchmarks/device_latency.py [--batch 32] [--runs 60] [--targets 0.7 0.5] [--out FILE]

ResNet-20 for images of 32×32, compiled by XLA, TensorFlow or JAX. `equal`: the ratio to an equal model, which is 1.
`keep 0.3`: the ratio of the model that keeps .3 of its channels, by `compare_latency` and by the loop of this file,
which shares no code with it. `time F`: the ratio of the plan for a fraction F of the time, measured again by that loop,
and the candidates that were measured for it. Writes results/device_latency_BACKEND.csv. Wants a quiet device.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import rows

import kerasprune as kp
from kerasprune.graph.graph import ChannelGraph
from kerasprune.planning.targets.device_time import DeviceMeter

RESULTS = Path(__file__).resolve().parent / "results"
FIELDS = ("case", "ratio", "loop", "candidates", "batch", "runs", *rows.STAMP)


def network() -> keras.Model:
    """Returns ResNet-20, compiled by XLA."""
    keras.utils.set_random_seed(0)
    model = kp.models.resnet_cifar(20, input_shape=(32, 32, 3))
    model.compile(jit_compile=True)
    return model


def function_of(model: keras.Model, batch: int) -> Callable[[], Any]:
    """Returns a function that computes the outputs of a model on random images, and reads the first of them."""
    images = np.random.default_rng(1).normal(size=(batch, 32, 32, 3)).astype("float32")
    if keras.backend.backend() == "jax":
        import jax

        weights, images = [each.value for each in model.variables], jax.device_put(images)

        def outputs(weights: list[Any], images: Any) -> Any:
            with keras.StatelessScope(list(zip(model.variables, weights, strict=True))):
                return model(images, training=False)

        compiled = jax.jit(outputs)
        return lambda: np.asarray(compiled(weights, images))
    import tensorflow as tf

    images = tf.constant(images)
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=True)
    return lambda: compiled(images).numpy()


def ratio_by_loop(dense: keras.Model, slim: keras.Model, batch: int, runs: int) -> float:
    """Returns the time of a slim model ÷ that of the dense one, run in the order A B B A."""
    functions = [function_of(each, batch) for each in (dense, slim)]
    ratios = []
    for number in range(runs + 5):
        taken = [0.0, 0.0]
        for side in (0, 1, 1, 0):
            begun = time.monotonic()
            functions[side]()
            taken[side] += time.monotonic() - begun
        ratios += [taken[1] / taken[0]] if number >= 5 else []
    return statistics.median(ratios)


class _Noted(kp.targets.Time):
    """The target, with the meters that it made."""

    meters: ClassVar[list[DeviceMeter]] = []

    def meter(self, graph: ChannelGraph) -> DeviceMeter:
        self.meters.append(super().meter(graph))
        return self.meters[-1]


def planned(dense: keras.Model, fraction: float, batch: int) -> tuple[kp.Plan, float, int]:
    """Returns the plan for a fraction of the time, its measured ratio, and the number of candidates."""
    target = _Noted(fraction=fraction, device="keras", batch=batch)
    plan = kp.plan(dense, target=target)
    return plan, target.meters[-1].exact(plan, 1.0), len(target.meters[-1].measured)


def main() -> None:
    """Measures, and writes the rows in place of those of an earlier run."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--targets", type=float, nargs="*", default=[0.7, 0.5])
    parser.add_argument("--out", type=Path, default=RESULTS / f"device_latency_{keras.backend.backend()}.csv")
    asked = parser.parse_args()
    dense = network()
    slim = kp.rebuild(dense, kp.plan(dense, keep=0.3), compile="same")
    how = {"device": "keras", "batch": asked.batch, "runs": asked.runs}
    settings = {"batch": asked.batch, "runs": asked.runs, **rows.stamp("keras", keras.backend.backend())}
    found = kp.latency.compare_latency([dense, network(), slim], **how)
    print(found, flush=True)
    made = [{"case": "equal", "ratio": f"{found.ratios[1]:.3f}"}]
    loop = ratio_by_loop(dense, slim, asked.batch, asked.runs)
    made.append({"case": "keep 0.3", "ratio": f"{found.ratios[2]:.3f}", "loop": f"{loop:.3f}"})
    for fraction in asked.targets:
        print(made[-1], flush=True)
        plan, ratio, number = planned(dense, fraction, asked.batch)
        again = ratio_by_loop(dense, kp.rebuild(dense, plan), asked.batch, asked.runs)
        made.append({"case": f"time {fraction}", "ratio": f"{ratio:.3f}", "loop": f"{again:.3f}", "candidates": number})
    rows.write(asked.out, FIELDS, [row | settings for row in made])
    print(asked.out.read_text())


if __name__ == "__main__":
    main()
