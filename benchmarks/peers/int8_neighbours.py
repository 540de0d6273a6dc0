"""int8 of one slim network by us, tensorflow-model-optimization and Sony's Model Compression Toolkit (MCT).

    python benchmarks/peers/int8_neighbours.py run [--seeds 0 1 2] [--macs 0.5 0.25]  # resumable
    python benchmarks/peers/int8_neighbours.py table

The slim network, its start, the two epochs at a rate of 0.001, their images and order are those of
`../quantization_aware.py`, with whose rows these are compared. Neither neighbour takes Keras 3, so the slim network is
copied into Keras 2, in a process of its own for each: layers, weights, and outputs to 1e-4. There
tensorflow-model-optimization trains it with its `quantize_model`, and MCT quantizes the trained one after training, on
the 256 images that calibrate ours, with the defaults of either. ResNet-20 pads channels, which MCT refuses. Rows: test
accuracy in per cent, bytes, and the time of the int8 file over that of ours after training, in turn, one thread.
`MCT_PYTHON` names a Python 3.11 with tensorflow-cpu 2.15.1 and model-compression-toolkit 2.6.1; the other is that of
`tfmot_equal_epochs.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import numpy as np  # noqa: E402

ROWS = HERE.parent / "results" / "int8_neighbours.csv"
OURS, TFMOT, MCT = ("kerasprune, after training", "kerasprune, aware"), "tfmot, aware", "MCT, after training"
EPOCHS, RATE, MOMENTUM, L2, CALIBRATION = 2, 1e-3, 0.9, 1e-4, 256


def one_run(run) -> list[dict]:
    """Runs one cell and returns its rows."""
    import equal_epochs
    import keras
    import quantization_aware as protocol
    import rows
    import tfmot_equal_epochs

    import kerasprune as kp

    keras.utils.set_random_seed(run.seed)
    model = equal_epochs.dense_model(run, smoke=False)
    plan = equal_epochs.our_plan(kp.trace(model), run)
    slim = equal_epochs.started(model, plan, run, smoke=False)
    protocol.train(slim, run, protocol.protocol.FINETUNE_RATE, first_epoch=0)
    start = slim.get_weights()
    protocol.train(slim, run, RATE, first_epoch=EPOCHS)
    calibration = np.concatenate(list(equal_epochs.unlabelled_images(run).take(3)))[:CALIBRATION]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        files = {name: home / f"{number}.tflite" for number, name in enumerate((*OURS, TFMOT, MCT))}
        kp.export.tflite(slim, files[OURS[0]], quantize="int8", data=calibration, size=protocol.protocol.SIZE)
        hand_over(home, slim, start, calibration, equal_epochs.images("train", run, first_epoch=EPOCHS))
        slim.set_weights(start)
        aware = kp.quantization_aware(slim)
        protocol.train(aware, run, RATE, first_epoch=EPOCHS)
        kp.export.tflite(aware, files[OURS[1]], quantize="int8", size=protocol.protocol.SIZE)
        for way, theirs in ((TFMOT, tfmot_equal_epochs.python()), (MCT, os.environ["MCT_PYTHON"])):
            command = [theirs, "-W", "ignore", __file__, "inside", "--home", folder, "--way", way]
            keras_2 = {"PYTHONPATH": "", "TF_USE_LEGACY_KERAS": "1" if way == TFMOT else "0"}  # MCT's TensorFlow has it
            subprocess.run(command, env={**os.environ, **keras_2}, check=True)
        images, labels = (np.concatenate(each) for each in zip(*equal_epochs.images("test", run), strict=True))
        times = kp.latency.compare_latency(list(files.values()), threads=1).ratios
        cell = {"network": run.testbed, "macs": run.target, "seed": run.seed}
        found = []
        for (name, path), ratio in zip(files.items(), times, strict=True):
            accuracy = 100 * float(np.mean(predictions(path, images) == labels))
            figures = {"accuracy": f"{accuracy:.2f}", "bytes": path.stat().st_size, "time": f"{ratio:.3f}"}
            found.append(cell | {"way": name} | figures | rows.stamp("ai-edge-litert"))
            print(found[-1], flush=True)
    return found


def hand_over(home: Path, slim, start: list, calibration: np.ndarray, train) -> None:
    """Writes the network, both sets of weights, outputs and the images of training to a folder."""
    (home / "network.json").write_text(slim.to_json())
    np.savez(home / "start.npz", *start)
    np.savez(home / "trained.npz", *slim.get_weights())
    images, labels = zip(*((x, y) for _ in range(EPOCHS) for x, y in train), strict=True)
    np.savez(home / "train.npz", images=np.concatenate(images), labels=np.concatenate(labels))
    outputs = slim.predict(calibration, verbose=0)
    np.savez(home / "calibration.npz", images=calibration, outputs=outputs)


def predictions(path: Path, images: np.ndarray) -> np.ndarray:
    """Returns the class that a file finds for every image, with its numbers made as its input asks."""
    from kerasprune.export.tflite_interpreter import open_interpreter

    interpreter = open_interpreter(path)
    given, wanted = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(given["index"], (1, *images.shape[1:]))
    interpreter.allocate_tensors()
    scale, zero = given["quantization"]
    if scale:
        limits = np.iinfo(given["dtype"])
        images = np.clip(np.round(images / scale) + zero, limits.min, limits.max)
    found = []
    for image in images.astype(given["dtype"]):
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(wanted["index"])[0].argmax())
    return np.array(found)


def inside(home: Path, way: str) -> None:
    """Quantizes one way; called inside the other environment, whose Keras 2 has another name for each."""
    calibration = dict(np.load(home / "calibration.npz"))
    if way == MCT:
        from tensorflow import keras

        after_training(twin_of(keras, home, "trained", calibration), calibration["images"], home / "3.tflite")
    else:
        import tf_keras as keras

        aware(keras, twin_of(keras, home, "start", calibration), dict(np.load(home / "train.npz")), home / "2.tflite")


def after_training(twin, images: np.ndarray, path: Path) -> None:
    """Writes the file of MCT. Its platform "qnnpack" has the steps of LiteRT; 2.6.1 refuses its own "tflite"."""
    import model_compression_toolkit as mct

    def representative():
        for at in range(0, len(images), 32):
            yield [images[at : at + 32]]

    platform = mct.get_target_platform_capabilities("1.0", "qnnpack")
    quantized, _ = mct.ptq.keras_post_training_quantization(twin, representative, target_platform_capabilities=platform)
    mct.exporter.keras_export_model(
        quantized,
        str(path),
        serialization_format=mct.exporter.KerasExportSerializationFormat.TFLITE,
        quantization_format=mct.exporter.QuantizationFormat.INT8,
    )


def aware(keras, twin, train: dict[str, np.ndarray], path: Path) -> None:
    """Writes the file of tensorflow-model-optimization."""
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot

    model = tfmot.quantization.keras.quantize_model(twin)
    batches = tf.data.Dataset.from_tensor_slices((train["images"], train["labels"])).batch(32)
    rate = keras.optimizers.schedules.CosineDecay(RATE, len(batches))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=MOMENTUM), loss)
    model.fit(batches, epochs=1, shuffle=False, verbose=0)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    path.write_bytes(converter.convert())


def twin_of(keras, home: Path, weights: str, calibration: dict[str, np.ndarray]):
    """Returns the network in Keras 2, with the L2 term of the protocol; its layers have one output each."""
    network, tensors = json.loads((home / "network.json").read_text()), {}
    for layer in network["config"]["layers"]:
        kind, config = layer["class_name"], dict(layer["config"])
        if kind == "InputLayer":
            tensors[config["name"]] = keras.Input(calibration["images"].shape[1:], name=config["name"])
            continue
        objects = [name for name, value in config.items() if isinstance(value, dict)]  # initializers and policies
        for name in (*objects, "dtype", "quantization_config", "synchronized", "renorm"):
            config.pop(name, None)
        made = getattr(keras.layers, kind)(**config)
        for kernel in {"kernel", "depthwise"} if kind in {"Conv2D", "Dense", "DepthwiseConv2D"} else ():
            setattr(made, f"{kernel}_regularizer", keras.regularizers.L2(L2 / 2))
        arguments = layer["inbound_nodes"][0]["args"][0]
        names = [each["config"]["keras_history"][0] for each in np.atleast_1d(arguments)]
        tensors[config["name"]] = made([tensors[name] for name in names] if len(names) > 1 else tensors[names[0]])
    (first,), (last,) = network["config"]["input_layers"][:1], network["config"]["output_layers"][:1]
    twin = keras.Model(tensors[first], tensors[last])
    twin.set_weights(list(np.load(home / "trained.npz").values()))
    error = np.abs(twin.predict(calibration["images"], verbose=0) - calibration["outputs"]).max()
    assert error < 1e-4 * np.abs(calibration["outputs"]).max(), error
    twin.set_weights(list(np.load(home / f"{weights}.npz").values()))
    return twin


def table() -> str:
    """Returns means over the seeds, and what each way gains minus ours after training."""
    import rows

    found = rows.read(ROWS)
    lines = ["| network | MACs | way | int8 accuracy | minus ours after training | kB | time |", "|---" * 7 + "|"]
    for network, macs in dict.fromkeys((row["network"], row["macs"]) for row in found):
        cell = [row for row in found if (row["network"], row["macs"]) == (network, macs)]
        base = {row["seed"]: float(row["accuracy"]) for row in cell if row["way"] == OURS[0]}
        for way in dict.fromkeys(row["way"] for row in cell):
            mine = [row for row in cell if row["way"] == way]
            gains = [float(row["accuracy"]) - base[row["seed"]] for row in mine]
            error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
            size = statistics.mean(float(row["bytes"]) for row in mine) / 1000
            time = statistics.median(float(row["time"]) for row in mine)
            mean = statistics.mean(float(row["accuracy"]) for row in mine)
            gain = f"{statistics.mean(gains):+.2f} ± {error:.2f} (n={len(gains)})"
            lines.append(f"| {network} | {macs} | {way} | {mean:.2f} | {gain} | {size:.0f} | {time:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Reads the command line; runs every cell that has no rows yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table", "inside"))
    parser.add_argument("networks", nargs="*", default=["mobilenet"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--macs", nargs="+", type=float, default=[0.5, 0.25])
    parser.add_argument("--home", type=Path)
    parser.add_argument("--way")
    given = parser.parse_args()
    if given.what == "inside":
        inside(given.home, given.way)
        return
    import rows
    from equal_epochs_grid import BEST, replace

    for network in given.networks if given.what == "run" else ():
        for seed in given.seeds:
            for macs in given.macs:
                done = {(row["network"], float(row["macs"]), int(row["seed"])) for row in rows.read(ROWS)}
                if (network, macs, seed) not in done:
                    found = one_run(replace(BEST, testbed=network, target=macs, seed=seed))
                    rows.append(ROWS, list(found[0]), found)
    print(table())


if __name__ == "__main__":
    main()
