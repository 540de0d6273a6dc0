"""Step time of `fit` with a callback ÷ plain `fit`: ResNet-20, batch 128, 32×32.

    python benchmarks/step_time.py [--executed 1 8] [--only polarization network_slimming …]

Every registered callback, by name. Timed from epoch begin to epoch end of warm epochs; the fits take turns, an epoch
each, and the ratio is taken turn by turn. A second plain fit among them shows what the machine alone does to a ratio.
The Python time of the batch hooks is timed apart, on the bodies alone.
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
from turns import clock, ratios, spread, take_turns, wait

import kerasprune as kp

STEPS, BATCH, EPOCHS = 16, 128, 12  # the first epoch compiles, the others are timed
PLAIN, PLAIN_TWICE = "plain", "plain fit, once more"

# What callbacks are given that need something, or whose defaults would end the fit.
MAKE: dict[str, Callable[[], keras.callbacks.Callback]] = {
    "greg1": lambda: kp.callbacks.GReg1(keep=0.5, stop=False),
    "greg2": lambda: kp.callbacks.GReg2(keep=0.5, stop=False),
    "gradual_magnitude": lambda: kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.1, end="12ep"), every=4),
    "hold_mask": lambda: kp.callbacks.HoldMask(half_of_the_weights()),
    "increg": lambda: kp.callbacks.IncReg(keep=0.5, stop=False),
    "iterative_magnitude": lambda: kp.callbacks.IterativeMagnitude(2),
    "learning_rate_rewinding": lambda: kp.callbacks.LearningRateRewinding(2),
    "resume": lambda: kp.callbacks.Resume(tempfile.mkdtemp()),
    "shrink_rounds": lambda: kp.callbacks.ShrinkRounds("width", rounds=3, epochs_per_round=4, monitor="loss"),
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
    return [] if name in (PLAIN, PLAIN_TWICE) else [MAKE.get(name, lambda: kp.callbacks.get(name))()]


def measure(names: list[str], steps_per_execution: int) -> dict[str, list[float]]:
    """Returns the ratios to plain of every callback, one for each warm epoch."""
    command = [sys.executable, "-W", "ignore", __file__, "--fit"]
    fits = {name: [*command, name, "--executed", str(steps_per_execution)] for name in (PLAIN, *names, PLAIN_TWICE)}
    return ratios(take_turns(fits, EPOCHS), PLAIN)


def fit(name: str, steps_per_execution: int) -> None:
    """Trains with one callback when it is its turn."""
    wait()
    generator = np.random.default_rng(0)
    x = generator.normal(size=(STEPS * BATCH, 32, 32, 3)).astype("float32")
    y = generator.integers(0, 10, STEPS * BATCH)
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss, steps_per_execution=steps_per_execution)
    callbacks = [*made(name), clock(keras.callbacks.Callback)]
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=callbacks)


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
    parser.add_argument("--executed", nargs="+", type=int, default=[1, 8], help="steps per execution")
    parser.add_argument("--only", nargs="+", default=kp.callbacks.names(), choices=kp.callbacks.names())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "step_time.md")
    parser.add_argument("--fit", help="train with this one, in turns; for this script itself")
    asked = parser.parse_args()
    if asked.fit:
        fit(asked.fit, *asked.executed)
        return
    hooks = {name: hook_time(name) for name in asked.only}
    found = {steps: measure(asked.only, steps) for steps in asked.executed}
    heads = [f"steps_per_execution = {steps}" for steps in found]
    lines = [f"| callback | {' | '.join(heads)} | batch hooks, ms per step |", "|---|" + "---|" * (len(heads) + 1)]
    for name in (*asked.only, PLAIN_TWICE):
        cells = [spread(found[steps][name]) for steps in found]
        lines.append(f"| {name} | {' | '.join(cells)} | {format(hooks[name], '.4f') if name in hooks else '–'} |")
    versions = f"TensorFlow backend of Keras {keras.__version__}, one thread"
    lines += ["", f"Ratio to plain `fit`: median [quartiles] of {EPOCHS - 1} epochs of {STEPS} steps. {versions}."]
    print("\n".join(lines))
    asked.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
