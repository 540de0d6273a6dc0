"""Step time of `fit` with a callback ÷ plain `fit`: ResNet-20, batch 128, 32×32.

    python benchmarks/step_time.py [--rounds 7] [--executed 1 8] [--only polarization network_slimming …]

Every registered callback, by name. Timed from epoch begin to epoch end of warm epochs, variants interleaved; the ratio
is taken round by round and given as median [lowest, highest]. The Python time of the batch hooks is timed apart, on the
bodies alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kerasprune as kp

STEPS, BATCH, EPOCHS = 8, 128, 3
PLAIN = "plain"

# What callbacks are given that need something, or whose defaults would end the fit.
MAKE: dict[str, Callable[[], keras.callbacks.Callback]] = {
    "greg1": lambda: kp.callbacks.GReg1(keep=0.5, stop=False),
    "greg2": lambda: kp.callbacks.GReg2(keep=0.5, stop=False),
    "gradual_magnitude": lambda: kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.1, end="3ep"), every=4),
    "hold_mask": lambda: kp.callbacks.HoldMask(half_of_the_weights()),
    "increg": lambda: kp.callbacks.IncReg(keep=0.5, stop=False),
    "iterative_magnitude": lambda: kp.callbacks.IterativeMagnitude(2),
    "learning_rate_rewinding": lambda: kp.callbacks.LearningRateRewinding(2),
    "resume": lambda: kp.callbacks.Resume(tempfile.mkdtemp()),
    "shrink_rounds": lambda: kp.callbacks.ShrinkRounds("width", rounds=3, epochs_per_round=1, monitor="loss"),
    "soft_filter_pruning": lambda: kp.callbacks.SoftFilterPruning(keep=0.5),
}


def network() -> keras.Model:
    """Returns the network that is timed."""
    keras.utils.set_random_seed(0)
    return kp.models.get({"name": "resnet_cifar", "depth": 20, "input_shape": (32, 32, 3)})


def half_of_the_weights() -> dict[str, np.ndarray]:
    """Returns masks that keep every other weight of every kernel."""
    kernels = [variable for variable in network().trainable_variables if variable.path.endswith("kernel")]
    return {kernel.path: np.arange(np.prod(kernel.shape)).reshape(kernel.shape) % 2 == 0 for kernel in kernels}


def made(name: str) -> list[keras.callbacks.Callback]:
    """Returns a callback by its name, in a list; none for plain `fit`."""
    return [] if name == PLAIN else [MAKE.get(name, lambda: kp.callbacks.get(name))()]


class EpochTime(keras.callbacks.Callback):
    """Takes the time of every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch, logs=None) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.seconds.append(time.perf_counter() - self.began)


def measure(names: list[str], steps_per_execution: int, rounds: int) -> dict[str, list[float]]:
    """Returns the ratios to plain of every callback, one for each round."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(STEPS * BATCH, 32, 32, 3)).astype("float32")
    y = generator.integers(0, 10, STEPS * BATCH)
    seconds: dict[str, list[float]] = {name: [] for name in (PLAIN, *names)}
    for turn in range(rounds):
        for name in seconds:
            model = network()
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            optimizer = keras.optimizers.SGD(1e-3, momentum=0.9)
            model.compile(optimizer, loss, steps_per_execution=steps_per_execution)
            clock = EpochTime()
            model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[*made(name), clock])
            seconds[name].append(min(clock.seconds[1:]))
        print(f"round {turn + 1}/{rounds}", file=sys.stderr)
    return {name: [a / b for a, b in zip(seconds[name], seconds[PLAIN], strict=True)] for name in names}


def hook_time(name: str) -> float:
    """Returns the Python time of a callback's batch hooks per step, in milliseconds."""
    spent: list[float] = []
    callback = made(name)[0]
    hooks = [callback.on_train_batch_begin, callback.on_train_batch_end]

    class Around(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None) -> None:
            began = time.perf_counter()
            hooks[0](batch, logs)
            hooks[1](batch, logs)
            spent.append(time.perf_counter() - began)

    model = network()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = np.zeros((64, 32, 32, 3), "float32"), np.zeros(64, int)
    model.fit(x, y, batch_size=4, epochs=EPOCHS, verbose=0, callbacks=[callback, Around()])
    return 1000 * statistics.median(spent)


def main() -> None:
    """Prints the table and writes it beside the results."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--executed", nargs="+", type=int, default=[1, 8], help="steps per execution")
    parser.add_argument("--only", nargs="+", default=kp.callbacks.names(), choices=kp.callbacks.names())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "step_time.md")
    asked = parser.parse_args()
    hooks = {name: hook_time(name) for name in asked.only}
    found = {steps: measure(asked.only, steps, asked.rounds) for steps in asked.executed}
    heads = [f"steps_per_execution = {steps}" for steps in found]
    lines = [f"| callback | {' | '.join(heads)} | batch hooks, ms per step |", "|---|" + "---|" * (len(heads) + 1)]
    for name in asked.only:
        ratios = [found[steps][name] for steps in found]
        cells = [f"{statistics.median(r):.3f} [{min(r):.3f}, {max(r):.3f}]" for r in ratios]
        lines.append(f"| {name} | {' | '.join(cells)} | {hooks[name]:.4f} |")
    versions = f"TensorFlow backend of Keras {keras.__version__}, {os.cpu_count()} cores"
    lines += ["", f"Ratio to plain `fit`: median [lowest, highest] of {asked.rounds} rounds. {versions}."]
    print("\n".join(lines))
    asked.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
