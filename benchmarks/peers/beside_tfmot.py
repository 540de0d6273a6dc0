"""Step time of tensorflow-model-optimization's `prune_low_magnitude` ÷ plain `fit`, beside `benchmarks/step_time.py`.

    python benchmarks/peers/beside_tfmot.py [--rounds 7]     # writes results/step_time_tfmot.md

A ResNet-20, batch 128, 32×32, in tf_keras, for it refuses Keras 3. It runs in an environment of its own, made below
`benchmarks/peers/.venv-tfmot` on the first call. Timed from epoch begin to epoch end of warm epochs, interleaved.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import time
import venv
from pathlib import Path

HERE = Path(__file__).parent
HOME = HERE / ".venv-tfmot"
PACKAGES = ["tensorflow-cpu==2.21.0", "tf_keras==2.21.0", "tensorflow-model-optimization==0.8.0"]
STEPS, BATCH, EPOCHS = 8, 128, 3


def main() -> None:
    """Makes the environment where there is none, and measures inside it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--inside", action="store_true")
    asked = parser.parse_args()
    if asked.inside:
        measure(asked.rounds)
        return
    python = HOME / "bin" / "python"
    if not python.exists():
        venv.create(HOME, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    command = [python, "-W", "ignore", __file__, "--inside", "--rounds", str(asked.rounds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    (HERE.parent / "results" / "step_time_tfmot.md").write_text(done.stdout)


def measure(rounds: int) -> None:
    """Prints the table; called inside the environment."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import numpy as np
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras as keras

    def network():
        inputs = keras.Input((32, 32, 3))
        x = block(keras, inputs, 16, 1)
        for width, stride in ((16, 1), (32, 2), (64, 2)):
            for number in range(3):
                step = stride if number == 0 else 1
                y = keras.layers.Conv2D(width, 3, 1, "same", use_bias=False)(block(keras, x, width, step))
                y = keras.layers.BatchNormalization()(y)
                if step != 1:
                    x = keras.layers.Conv2D(width, 1, step, use_bias=False)(x)
                x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
        return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))

    class Clock(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seconds = []

        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds.append(time.perf_counter() - self.began)

    generator = np.random.default_rng(0)
    x = generator.normal(size=(STEPS * BATCH, 32, 32, 3)).astype("float32")
    y = generator.integers(0, 10, STEPS * BATCH)
    seconds = {"plain": [], "every step": [], "default (every 100 steps)": []}
    for _ in range(rounds):
        for name, found in seconds.items():
            tf.keras.backend.clear_session()
            model, more = network(), []
            if name != "plain":
                every = 1 if name == "every step" else 100
                schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, 0.9, 0, EPOCHS * STEPS, frequency=every)
                model = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
                more = [tfmot.sparsity.keras.UpdatePruningStep()]
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss)
            clock = Clock()
            model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[*more, clock])
            found.append(min(clock.seconds[1:]))
    print("| prune_low_magnitude | step time ÷ plain |\n|---|---|")
    for name in list(seconds)[1:]:
        ratios = [a / b for a, b in zip(seconds[name], seconds["plain"], strict=True)]
        print(f"| {name} | {statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}] |")
    print(f"\nMedian [lowest, highest] of {rounds} rounds. TensorFlow {tf.__version__}, {os.cpu_count()} cores.")


def block(keras, x, width: int, stride: int):
    """Returns a convolution, BatchNorm and ReLU."""
    x = keras.layers.Conv2D(width, 3, stride, "same", use_bias=False)(x)
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(x))


if __name__ == "__main__":
    main()
