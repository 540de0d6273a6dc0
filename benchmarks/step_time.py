"""Step time of `fit` with a callback ÷ plain `fit`: ResNet-20, 32×32.

    python benchmarks/step_time.py [--rounds 5] [--executed 1] [--batch 128] [--only polarization …] [--out FILE]

Every registered callback, by name. Timed from epoch begin to epoch end of warm epochs, the fits in turn. The Python
time of the batch hooks is timed apart, on the bodies alone. Writes median, lowest and highest ratio of the rounds to
results/step_time_1.csv, or _8 with `--executed 8`; on another backend than TensorFlow to results/step_time_1_jax.csv.
`python benchmarks/summary.py` makes the sentence of docs/benchmarks.md from the first of them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import epochs  # before TensorFlow, whose threads it counts
import keras
import numpy as np
import rows

import kerasprune as kp

RESULTS = Path(__file__).parent / "results"
FIELDS = (
    "callback",
    *(f"{clock}{which}" for clock in epochs.CLOCKS for which in ("", "_lowest", "_highest")),
    *("hooks_ms", "batch", "executed", "rounds"),
    *rows.STAMP,
)
STEPS, EPOCHS = 8, 6

# What callbacks are given that need something, or whose defaults would end the fit.
MAKE: dict[str, Callable[[], keras.callbacks.Callback]] = {
    "greg1": lambda: kp.callbacks.GReg1(keep=0.5, schedule={"stop": False}),
    "greg2": lambda: kp.callbacks.GReg2(keep=0.5, schedule={"stop": False}),
    "gradual_magnitude": lambda: kp.callbacks.GradualMagnitude(
        kp.schedules.cubic(0.1, end="6ep"), every=4, scope="global"
    ),
    "hold_mask": lambda: kp.callbacks.HoldMask(half_of_the_weights()),
    "increg": lambda: kp.callbacks.IncReg(keep=0.5, schedule={"stop": False}),
    "iterative_magnitude": lambda: kp.callbacks.IterativeMagnitude(2),
    "learning_rate_rewinding": lambda: kp.callbacks.LearningRateRewinding(2),
    "resume": lambda: kp.callbacks.Resume(tempfile.mkdtemp()),
    "shrink_rounds": lambda: kp.callbacks.ShrinkRounds("width", rounds=2, epochs_per_round=3, monitor="loss"),
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
    return [] if name in (epochs.PLAIN, epochs.AGAIN) else [MAKE.get(name, lambda: kp.callbacks.get(name))()]


def fit(name: str, steps_per_execution: int, batch: int) -> keras.callbacks.Callback:
    """Trains with one callback, and returns the timer."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(STEPS * batch, 32, 32, 3)).astype("float32")
    y = generator.integers(0, 10, STEPS * batch)
    model, timer = network(), epochs.timer(keras.callbacks.Callback)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss, steps_per_execution=steps_per_execution)
    model.fit(x, y, batch_size=batch, epochs=EPOCHS, verbose=0, callbacks=[*made(name), timer])
    return timer


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


def row(name: str, columns: dict[str, list[float]]) -> dict[str, str]:
    """Returns the ratios of one callback by each clock, and the milliseconds of its hooks."""
    found = {"callback": name, "hooks_ms": "" if name == epochs.AGAIN else f"{hook_time(name):.4f}"}
    for clock, values in columns.items():
        numbers = {"": statistics.median(values), "_lowest": min(values), "_highest": max(values)}
        found |= {f"{clock}{which}": f"{number:.3f}" for which, number in numbers.items()}
    return found


def main() -> None:
    """Times, and writes the rows in place of those of an earlier run."""
    warnings.simplefilter("ignore")
    backend = keras.backend.backend()
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--executed", type=int, default=1, help="steps per execution")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--only", nargs="+", default=kp.callbacks.names(), choices=kp.callbacks.names())
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    settings = {
        "batch": asked.batch,
        "executed": asked.executed,
        "rounds": asked.rounds,
        **rows.stamp("keras", backend),
    }
    found = epochs.ratios(lambda name: fit(name, asked.executed, asked.batch), asked.only, asked.rounds)
    end = "" if backend == "tensorflow" else f"_{backend}"
    path = asked.out or RESULTS / f"step_time_{asked.executed}{end}.csv"
    rows.write(path, FIELDS, [row(name, columns) | settings for name, columns in found.items()])
    print(path.read_text())


if __name__ == "__main__":
    main()
