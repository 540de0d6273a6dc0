"""Step time of tensorflow-model-optimization's `prune_low_magnitude` ÷ plain `fit`, beside `benchmarks/step_time.py`.

    python benchmarks/peers/beside_tfmot.py [--rounds 5]     # writes results/step_time_tfmot.md

A ResNet-20, batch 128, 32×32, in tf_keras, for it refuses Keras 3. It runs in an environment of its own, made below
`benchmarks/peers/.venv-tfmot` on the first call. Timed in the same way.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import epochs  # noqa: E402

HOME = HERE / ".venv-tfmot"
PACKAGES = ["tensorflow-cpu==2.21.0", "tf_keras==2.21.0", "tensorflow-model-optimization==0.8.0"]
STEPS, BATCH, EPOCHS = 8, 128, 6
EVERY = {"every step": 1, "every 100 steps, its default": 100}


def main() -> None:
    """Makes the environment where there is none, and measures inside it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--inside", action="store_true", help="this is the environment's Python")
    asked = parser.parse_args()
    if asked.inside:
        measure(asked.rounds)
        return
    python = HOME / "bin" / "python"
    if not python.exists():
        venv.create(HOME, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    command = [python, "-W", "ignore", __file__, "--inside", "--rounds", str(asked.rounds)]
    subprocess.run(command, check=True)


def measure(rounds: int) -> None:
    """Prints the table and writes it beside the results; called inside the environment."""
    found = epochs.cells(epochs.ratios(fit, EVERY, rounds))
    lines = [f"| prune_low_magnitude | {epochs.HEAD} |", "|---|---|---|"]
    lines += [f"| {name} | {cells} |" for name, cells in found.items()]
    lines += ["", f"One thread; median [lowest, highest] of {rounds} rounds; {', '.join(PACKAGES)}."]
    print("\n".join(lines))
    (HERE.parent / "results" / "step_time_tfmot.md").write_text("\n".join(lines) + "\n")


def fit(name: str):
    """Trains one of them, and returns the timer."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import numpy as np
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

    generator = np.random.default_rng(0)
    x = generator.normal(size=(STEPS * BATCH, 32, 32, 3)).astype("float32")
    y = generator.integers(0, 10, STEPS * BATCH)

    model, more, timer = network(), [], epochs.timer(keras.callbacks.Callback)
    if name in EVERY:
        schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, 0.9, 0, EPOCHS * STEPS, frequency=EVERY[name])
        model = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
        more = [tfmot.sparsity.keras.UpdatePruningStep()]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss)
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[*more, timer])
    return timer


def block(keras, x, width: int, stride: int):
    """Returns a convolution, BatchNorm and ReLU."""
    x = keras.layers.Conv2D(width, 3, stride, "same", use_bias=False)(x)
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(x))


if __name__ == "__main__":
    main()
