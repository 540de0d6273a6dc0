"""tensorflow-model-optimization's `prune_low_magnitude` at equal parameters and equal epochs, in a process of its own.

    python benchmarks/peers/tfmot_equal_epochs.py [--params 0.095,0.284,0.515] [--seeds 0,1,2] [--smoke]

The twin of the shipped ResNet-20 in tf_keras has the same weights (the logits of both are compared first), the data,
their order, the epochs, the rate and the optimizer are those of `../equal_epochs.py`. As many weights stay as a slim
model of ours has parameters; what is left is a dense file with zeros, and as many multiply–adds as before. The schedule
is its polynomial decay from 0, over the first half of the steps, masks updated every 100, its defaults otherwise.
Rows: `../results/equal_parameters_tfmot.csv`. Its Python is made below `.venv-tfmot`, or `TFMOT_PYTHON` names it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from rows import append, read  # noqa: E402

ROWS = HERE.parent / "results" / "equal_parameters_tfmot.csv"
FIELDS = ("params", "seed", "removed", "validation", "test", "nonzero", "seconds")
HOME = HERE / ".venv-tfmot"
PACKAGES = ["tensorflow-cpu==2.21.0", "tf_keras==2.21.0", "tensorflow-model-optimization==0.8.1", "keras==3.15.1"]
PACKAGES += ["tensorflow-datasets>=4.9.10", "importlib_resources>=6", "pillow>=10"]  # of the images
EPOCHS, RATE, L2, BATCH, SIZE = 4, 1e-2, 1e-4, 32, 32


def python() -> Path:
    """Returns the Python of the other side; makes its environment where there is none."""
    if given := os.environ.get("TFMOT_PYTHON"):
        return Path(given)
    found = HOME / "bin" / "python"
    if not found.exists():
        venv.create(HOME, with_pip=True)
    subprocess.run([found, "-m", "pip", "install", "-q", *PACKAGES, str(HERE.parents[1])], check=True)
    return found


def measure(options: argparse.Namespace) -> None:
    """Runs what has no row yet; called inside the environment."""
    for seed in map(int, options.seeds.split(",")):
        for params in map(float, options.params.split(",")):
            if not options.smoke and (str(params), str(seed)) in {(r["params"], r["seed"]) for r in read(ROWS)}:
                continue
            row = one_run(params, seed, options.smoke)
            if not options.smoke:
                append(ROWS, FIELDS, [row])
            print(row, flush=True)


def one_run(params: float, seed: int, smoke: bool) -> dict:
    """Prunes and fine-tunes once."""
    import keras as keras_3
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras as keras

    import kerasprune as kp

    began = time.process_time()
    for framework in (keras, keras_3):
        framework.utils.set_random_seed(seed)
    shipped = Path(kp.__file__).parent / "recipes" / "library" / "checkpoints" / "glyphs-base.keras"
    dense = keras_3.models.load_model(shipped)
    judged = {
        split: kp.data.load("glyphs/small", size=SIZE, batch=500, split=split) for split in ("validation", "test")
    }
    train = kp.data.load("glyphs/small", size=SIZE, batch=BATCH, augment="crop", seed=seed)
    if smoke:
        train, judged = train.take(2), {split: data.take(1) for split, data in judged.items()}
    steps = EPOCHS * len(train)
    twin = twin_of(keras, dense)
    images = next(iter(judged["validation"]))[0]
    error = float(tf.reduce_max(tf.abs(twin(images) - dense(images))) / tf.reduce_max(tf.abs(dense(images))))
    assert error < 1e-4, error
    half = max(steps // 2, 1)
    every = min(100, max(half // 4, 1))  # 100 is its default; a smoke run has fewer steps
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, sparsity(twin, params), 0, half, frequency=every)
    pruned = tfmot.sparsity.keras.prune_low_magnitude(twin, pruning_schedule=schedule)
    removed = cut_at_once(keras, twin, sparsity(twin, params), judged["validation"])
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    pruned.compile(keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"])
    pruned.fit(train, epochs=EPOCHS, verbose=0, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()])
    stripped = tfmot.sparsity.keras.strip_pruning(pruned)
    left = sum(int(tf.math.count_nonzero(weight)) for weight in stripped.trainable_weights)
    scores = {split: accuracy(keras, stripped, data) for split, data in judged.items()}
    nonzero = round(left / sum(int(tf.size(weight)) for weight in stripped.trainable_weights), 4)
    more = {"nonzero": nonzero, "seconds": round(time.process_time() - began)}
    return {"params": params, "seed": seed, "removed": removed} | scores | more


def twin_of(keras, dense):
    """Returns the twin in tf_keras, with the L2 term of `equal_epochs.py` and the weights of the dense model."""
    layers, l2 = keras.layers, keras.regularizers.L2(L2 / 2)

    def convolution(x, filters: int, strides: int, name: str):
        if strides > 1:
            x = layers.ZeroPadding2D(1)(x)
        padding = "valid" if strides > 1 else "same"
        options = {"use_bias": False, "kernel_regularizer": l2, "name": name}
        return layers.Conv2D(filters, 3, strides, padding, **options)(x)

    def normal(x, name: str):
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)

    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.ReLU()(normal(convolution(inputs, 16, 1, "stem_conv"), "stem_bn"))
    for stage, filters in enumerate((16, 32, 64), start=1):
        for number in range(1, 4):
            name, strides = f"stage{stage}_block{number}", 2 if stage > 1 and number == 1 else 1
            y = layers.ReLU()(normal(convolution(x, filters, strides, f"{name}_conv1"), f"{name}_bn1"))
            y = normal(convolution(y, filters, 1, f"{name}_conv2"), f"{name}_bn2")
            if strides > 1:
                half = filters // 4  # half of the new channels, before and after the old ones
                x = layers.MaxPooling2D(1, strides)(x)
                x = layers.ZeroPadding2D(((0, 0), (half, half)), data_format="channels_first")(x)
            x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    twin = keras.Model(inputs, layers.Dense(36, kernel_regularizer=l2, name="logits")(x))
    for layer in twin.layers:
        if layer.weights:
            layer.set_weights(dense.get_layer(layer.name).get_weights())
    return twin


def sparsity(twin, params: float) -> float:
    """Returns the share of zeros in the kernels at which so many of all parameters stay."""
    kernels = sum(weight.shape.num_elements() for weight in twin.trainable_weights if "kernel" in weight.name)
    everything = twin.count_params()
    return min(max((1 - params) * everything / kernels, 0.0), 0.999)


def cut_at_once(keras, twin, share: float, data) -> float:
    """Returns the accuracy where the same share of every kernel is zeroed at once, without training."""
    import numpy as np

    cut = keras.models.clone_model(twin)
    cut.set_weights(twin.get_weights())
    for layer in cut.layers:
        if hasattr(layer, "kernel"):
            kernel = layer.kernel.numpy()
            layer.kernel.assign(np.where(abs(kernel) > np.quantile(abs(kernel), share), kernel, 0))
    return accuracy(keras, cut, data)


def accuracy(keras, model, data) -> float:
    """Returns the accuracy in percent."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["accuracy"])
    return 100 * model.evaluate(data, verbose=0, return_dict=True)["accuracy"]


def main() -> None:
    """Reads the command line; hands on to the other environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", default="0.095,0.284,0.515")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--inside", action="store_true", help="this is the environment's Python")
    options = parser.parse_args()
    if options.inside:
        measure(options)
        return
    paths = os.pathsep.join(filter(None, (str(HERE.parents[1]), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [python(), "-W", "ignore", __file__, "--inside", *sys.argv[1:]]
    subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
