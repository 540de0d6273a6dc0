"""int8 after training: as it is, with equalised ranges, with corrected biases, with both; without training, on glyphs.

    python benchmarks/int8_after_training.py NETWORK MODEL.keras [--relu]

MODEL is a trained network of the recipes `glyphs-base` or `glyphs-mobilenet`. Rows: accuracy in per cent on the 2,000
validation images of `glyphs/small`, of the float model that is exported and of its file; how many predictions of the
file are those of MODEL. 256 training images calibrate, and correct. `--relu` puts relu in place of relu6 first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import equal_epochs
import numpy as np
import rows
from equal_epochs_grid import BEST
from quantization_aware import CALIBRATION, in_file

ROWS = Path(__file__).parent / "results" / "int8_after_training.csv"
FIELDS = ("network", "how", "float", "int8", "agreement", *rows.STAMP)


def main() -> None:
    """Reads the command line, and adds rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("model")
    parser.add_argument("--relu", action="store_true")
    given = parser.parse_args()
    import keras

    import kerasprune as kp

    model = keras.models.load_model(given.model)
    images, labels = (np.concatenate(each) for each in zip(*equal_epochs.images("validation", BEST), strict=True))
    calibration = np.concatenate(list(equal_epochs.unlabelled(BEST).take(3)))[:CALIBRATION]
    wanted = model.predict(images, verbose=0).argmax(-1)
    if given.relu:
        model = keras.models.clone_model(model, clone_function=without_ceiling)
        model.set_weights(keras.models.load_model(given.model).get_weights())
    equalised = kp.equalise(model)
    ways = {
        "as it is": model,
        "equalised": equalised,
        "corrected": kp.correct_biases(model, calibration),
        "equalised, corrected": kp.correct_biases(equalised, calibration),
    }
    for how, each in ways.items():
        plain = 100 * float(np.mean(each.predict(images, verbose=0).argmax(-1) == labels))
        score, found = in_file(each, BEST, calibration, "validation")
        row = {
            "network": f"{given.network}{', relu' if given.relu else ''}",
            "how": how,
            "float": f"{plain:.2f}",
            "int8": f"{score:.2f}",
            "agreement": f"{100 * float(np.mean(found == wanted)):.2f}",
        } | rows.stamp("ai-edge-litert")
        rows.append(ROWS, FIELDS, [row])
        print(row, flush=True)


def without_ceiling(layer):
    """Returns a copy of a layer; of a ReLU one without its ceiling."""
    import keras

    return (
        keras.layers.ReLU(name=layer.name)
        if type(layer) is keras.layers.ReLU
        else layer.from_config(layer.get_config())
    )


if __name__ == "__main__":
    main()
