"""Is there a curve of low loss between two ResNet-8 that were trained independently? Digits of 16×16.

    python benchmarks/low_curves.py    # prints, for training and test images, what the curve rises beside the segment

Two networks from different weights, 20 epochs of SGD at 0.1 that falls as a cosine; a Bézier curve of 40 epochs of Adam
at 0.01 on the same images. The ratio is (largest loss on the curve − largest of the ends) over the same on the segment.
"""

from __future__ import annotations

import os
import time

from rows import stamp

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

EPOCHS, CURVE_EPOCHS, POINTS = 20, 40, 21


def trained(seed: int):
    """Returns a network trained from its own weights in its own order."""
    import keras

    import kerasprune as kp

    keras.utils.set_random_seed(seed)
    data = kp.data.load("digits", size=16, batch=64, augment="crop", seed=seed)
    model = kp.models.resnet_cifar(8, input_shape=(16, 16, 3), seed=seed)
    rate = keras.optimizers.schedules.CosineDecay(0.1, EPOCHS * len(data))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4), loss, metrics=["accuracy"])
    model.fit(data, epochs=EPOCHS, verbose=0, shuffle=False)
    return model


def rise(found) -> float:
    """Returns the largest loss less the larger one of the ends."""
    return float(found.losses.max() - found.losses[[0, -1]].max())


def main() -> None:
    """Prints the figures."""
    import kerasprune as kp
    from kerasprune.analysis.between_models import along
    from kerasprune.analysis.judged_weights import WeightsJudge

    began = time.time()
    a, b = trained(1), trained(2)
    training = list(kp.data.load("digits", size=16, batch=64))
    test = list(kp.data.load("digits", size=16, batch=256, split="test"))
    print("trained", round(time.time() - began), "s", flush=True)
    common = {"recalibrate": training, "points": POINTS}
    curve = kp.analysis.curve(a, b, training, epochs=CURVE_EPOCHS, **common)
    print("curve", round(time.time() - began), "s", flush=True)
    for name, data in (("training", training), ("test", test)):
        line = kp.analysis.line(a, b, data, **common)
        path = [curve.weights(t) for t in curve.alphas]
        losses, errors = along(WeightsJudge(a, data, None, training), path)
        own = type(line)(curve.alphas, losses, errors)
        print(
            f"{name}: segment {rise(line):.4f}, curve {rise(own):.4f}, ratio {rise(own) / rise(line):.4f}; "
            f"largest error {line.errors.max():.4f} and {own.errors.max():.4f}, ends "
            f"{line.errors[0]:.4f}, {line.errors[-1]:.4f}, losses {line.losses[0]:.4f}, {line.losses[-1]:.4f}",
            flush=True,
        )
    print(stamp("keras", "tensorflow"), round(time.time() - began), "s")


if __name__ == "__main__":
    main()
