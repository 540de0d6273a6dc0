"""Step time of tensorflow-model-optimization's `prune_low_magnitude` ÷ plain `fit`, beside `benchmarks/step_time.py`.

    python benchmarks/peers/beside_tfmot.py     # writes results/step_time_tfmot.md

A ResNet-20, batch 128, 32×32, in tf_keras, for it refuses Keras 3. It runs in an environment of its own, made below
`benchmarks/peers/.venv-tfmot` on the first call. Timed in the same way: warm epochs, the fits taking turns.
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
from turns import clock, ratios, spread, take_turns, wait  # noqa: E402

HOME = HERE / ".venv-tfmot"
PACKAGES = ["tensorflow-cpu==2.21.0", "tf_keras==2.21.0", "tensorflow-model-optimization==0.8.0"]
STEPS, BATCH, EPOCHS = 16, 128, 12
PLAIN, PLAIN_TWICE = "plain", "plain fit, once more"
EVERY = {"every step": 1, "every 16 steps": 16, "every 100 steps, its default": 100}


def main() -> None:
    """Makes the environment where there is none, and measures inside it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fit", help="train with this one, in turns; for this script itself")
    asked = parser.parse_args()
    if asked.fit:
        fit(asked.fit)
        return
    python = str(HOME / "bin" / "python")
    if not Path(python).exists():
        venv.create(HOME, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    fits = {name: [python, "-W", "ignore", __file__, "--fit", name] for name in (PLAIN, *EVERY, PLAIN_TWICE)}
    found = ratios(take_turns(fits, EPOCHS), PLAIN)
    lines = ["| prune_low_magnitude | step time ÷ plain |", "|---|---|"]
    lines += [f"| {name} | {spread(many)} |" for name, many in found.items()]
    lines += [
        "",
        f"Median [quartiles] of {EPOCHS - 1} epochs of {STEPS} steps; {', '.join(PACKAGES)}; one thread.",
    ]
    print("\n".join(lines))
    (HERE.parent / "results" / "step_time_tfmot.md").write_text("\n".join(lines) + "\n")


def fit(name: str) -> None:
    """Trains one of them when it is its turn; called inside the environment."""
    wait()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
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

    model, more = network(), []
    if name in EVERY:
        schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, 0.9, 0, EPOCHS * STEPS, frequency=EVERY[name])
        model = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
        more = [tfmot.sparsity.keras.UpdatePruningStep()]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss)
    callbacks = [*more, clock(keras.callbacks.Callback)]
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=callbacks)


def block(keras, x, width: int, stride: int):
    """Returns a convolution, BatchNorm and ReLU."""
    x = keras.layers.Conv2D(width, 3, stride, "same", use_bias=False)(x)
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(x))


if __name__ == "__main__":
    main()
