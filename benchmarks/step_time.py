"""Step time of `fit` with a callback ÷ plain `fit`: ResNet-20, batch 128, 32×32.

    python benchmarks/step_time.py [rounds]

Timed from epoch begin to epoch end of warm epochs, variants interleaved; the ratio is taken round by round and given
as median [lowest, highest]. The Python time of our hooks is timed apart, on the bodies alone.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kerasprune as kp

STEPS, BATCH = 8, 128


class EpochTime(keras.callbacks.Callback):
    """Takes the time of every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch, logs=None) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.seconds.append(time.perf_counter() - self.began)


def variants() -> dict:
    """The callbacks to time, each under a name."""
    return {
        "plain": lambda: None,
        "GReg1 filter": lambda: kp.callbacks.GReg1(keep=0.5, stop=False),
        "GReg2 filter": lambda: kp.callbacks.GReg2(keep=0.5, stop=False),
    }


def measure(steps_per_execution: int, rounds: int) -> dict[str, list[float]]:
    """Returns the ratios to plain of every variant, one for each round."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(STEPS * BATCH, 32, 32, 3)).astype("float32")
    y = generator.integers(0, 10, STEPS * BATCH)
    seconds: dict[str, list[float]] = {name: [] for name in variants()}
    for turn in range(rounds):
        for name, make in variants().items():
            keras.utils.set_random_seed(0)
            model = kp.models.get({"name": "resnet_cifar", "depth": 20, "input_shape": (32, 32, 3)})
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            optimizer = keras.optimizers.SGD(1e-3, momentum=0.9)
            model.compile(optimizer, loss, steps_per_execution=steps_per_execution)
            clock, callback = EpochTime(), make()
            model.fit(x, y, batch_size=BATCH, epochs=3, verbose=0, callbacks=[c for c in (callback, clock) if c])
            seconds[name].append(min(clock.seconds[1:]))
        print(f"round {turn + 1}/{rounds}", file=sys.stderr)
    return {name: [a / b for a, b in zip(times, seconds["plain"], strict=True)] for name, times in seconds.items()}


def hook_time() -> float:
    """Returns the Python time of our batch hook per step, in milliseconds."""
    model = kp.models.get({"name": "resnet_cifar", "depth": 20, "input_shape": (32, 32, 3)})
    model.compile("sgd", "mse")
    callback = kp.callbacks.GReg1(keep=0.5, stop=True)
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    began = time.perf_counter()
    for batch in range(1000):
        callback.on_train_batch_begin(batch)
        callback.on_train_batch_end(batch, {"loss": 0.0})
    milliseconds = time.perf_counter() - began
    callback.detach()
    return milliseconds


def main() -> None:
    """Prints the table and writes it beside the results."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    lines = ["| variant | steps_per_execution | ratio to plain fit: median [lowest, highest] |", "|---|---|---|"]
    for steps_per_execution in (1, 8):
        for name, ratios in measure(steps_per_execution, rounds).items():
            if name != "plain":
                middle = statistics.median(ratios)
                row = f"| {name} | {steps_per_execution} | {middle:.3f} [{min(ratios):.3f}, {max(ratios):.3f}] |"
                lines.append(row)
    lines += ["", f"{rounds} rounds. Python time of the batch hooks: {hook_time():.4f} ms per step."]
    text = "\n".join(lines)
    print(text)
    (Path(__file__).parent / "results" / "step_time.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
