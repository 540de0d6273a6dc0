"""int8 after training beside quantization-aware training, with the same help for both, on glyphs.

    python benchmarks/quantization_aware.py run [resnet20] [mobilenet] [--seeds 0 1 2] [--macs 0.25]   # resumable
    python benchmarks/quantization_aware.py table
    python benchmarks/quantization_aware.py after NETWORK MODEL.keras [--relu] [--hard BATCHNORM LAYER]  # no training

A slim network (L1, reconstructed on 1,000 unlabelled images) is fine-tuned for two epochs of `glyphs/small` at a rate
of 0.01, and from there for two more at 0.001: once as it is, then exported with 256 training images to calibrate it;
once by `kp.quantization_aware`, then exported with its own ranges. Rows: test accuracy in per cent, of the two
files, and of the float network that the first was made of; the agreement of the aware model and its file. Rows of
commit 0abadd5 are of a time when the model computed in float numbers in inference, too.

`after` exports a trained network of the recipes `glyphs-base` or `glyphs-mobilenet` as it is, with equalised ranges,
with corrected biases, with both; and as it is in other formats (int4 needs the extra `[quantize]`). With `--relu`
relu takes the place of relu6; with `--hard` a channel of BATCHNORM is a hundred times as large, which LAYER takes back.
Rows: validation accuracy of the float model that is exported and of its file; bytes of the file; how many predictions
of the file are those of MODEL, and the error of its outputs, as `kp.analysis.precision_sensitivity` defines it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import equal_epochs
import greg_schedules as protocol
import numpy as np
import rows
from equal_epochs_grid import BEST, TESTBEDS, replace

ROWS = Path(__file__).parent / "results" / "quantization_aware.csv"
AFTER = ROWS.with_name("int8_after_training.csv")
FIELDS = ("network", "macs", "seed", "float", "after_training", "aware", "agreement", *rows.STAMP)
FORMATS = ("int8", "mixed", "int16x8", "dynamic", "int4")
MACS, EPOCHS, RATE, CALIBRATION = (0.5, 0.25), 2, 1e-3, 256


def train(model, run, rate: float, first_epoch: int) -> None:
    """Trains for two epochs, with the data order of the seed."""
    import keras

    data = equal_epochs.images("train", run, first_epoch=first_epoch)
    protocol.fit(model, data, keras.optimizers.schedules.CosineDecay(rate, EPOCHS * len(data)), EPOCHS, [])


def in_file(model, run, calibration=None, split: str = "test", quantize: str = "int8") -> tuple:
    """Returns the accuracy, the predictions, the outputs and the report of the file of a model."""
    import kerasprune as kp
    from kerasprune.export.tflite_interpreter import open_interpreter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slim.tflite"
        report = kp.export.tflite(model, path, quantize=quantize, data=calibration, size=protocol.SIZE)
        runner = open_interpreter(path).get_signature_runner()
    (name,) = runner.get_input_details()
    images, labels = (np.concatenate(each) for each in zip(*equal_epochs.images(split, run), strict=True))
    outputs = np.array([next(iter(runner(**{name: x[None]}).values()))[0] for x in images])
    return 100 * float(np.mean(outputs.argmax(-1) == labels)), outputs.argmax(-1), outputs, report


def one_run(run) -> dict:
    """Runs one cell and returns its row."""
    import keras

    import kerasprune as kp

    keras.utils.set_random_seed(run.seed)
    model = equal_epochs.dense_model(run, smoke=False)
    plan = equal_epochs.our_plan(kp.trace(model), run)
    slim = equal_epochs.started(model, plan, run, smoke=False)
    train(slim, run, protocol.FINETUNE_RATE, first_epoch=0)
    start, test = slim.get_weights(), equal_epochs.images("test", run)
    train(slim, run, RATE, first_epoch=EPOCHS)
    calibration = np.concatenate(list(equal_epochs.unlabelled_images(run).take(3)))[:CALIBRATION]
    scores = {"float": protocol.accuracy(slim, test), "after_training": in_file(slim, run, calibration)[0]}
    slim.set_weights(start)
    aware = kp.quantization_aware(slim)
    train(aware, run, RATE, first_epoch=EPOCHS)
    scores["aware"], found, *_ = in_file(aware, run)
    expected = np.concatenate([np.asarray(aware(x, training=False)).argmax(-1) for x, _ in test])
    scores["agreement"] = 100 * float(np.mean(found == expected))
    cell = {"network": run.testbed, "macs": run.target, "seed": run.seed}
    return cell | {name: f"{score:.2f}" for name, score in scores.items()} | rows.stamp("ai-edge-litert")


def run_all(networks: list[str], seeds: list[int], targets: list[float]) -> None:
    """Runs every cell that has no row yet."""
    for network in networks:
        for seed in seeds:
            for macs in targets:
                done = {(row["network"], float(row["macs"]), int(row["seed"])) for row in rows.read(ROWS)}
                if (network, macs, seed) not in done:
                    row = one_run(replace(BEST, testbed=network, target=macs, seed=seed))
                    rows.append(ROWS, FIELDS, [row])
                    print(row, flush=True)


def after(network: str, path: str, relu: bool, hard: list[str]) -> None:
    """Adds the rows of one network that is not trained any more."""
    import keras

    import kerasprune as kp
    from kerasprune.surgery.comparison import relative_error

    model = keras.models.load_model(path)
    images, labels = (np.concatenate(each) for each in zip(*equal_epochs.images("validation", BEST), strict=True))
    calibration = np.concatenate(list(equal_epochs.unlabelled_images(BEST).take(3)))[:CALIBRATION]
    wanted = model.predict(images, verbose=0)
    if relu:
        model = keras.models.clone_model(model, clone_function=without_ceiling)
        model.set_weights(keras.models.load_model(path).get_weights())
    if hard:
        norm, reader = map(model.get_layer, hard)
        factors = np.where(np.arange(norm.beta.shape[0]) == 0, 100.0, 1.0)
        for variable in (norm.gamma, norm.beta):
            variable.assign(variable * factors)
        reader.kernel.assign(reader.kernel / factors[:, None])
    ways = {
        "as it is": model,
        "equalised": kp.quantization.equalise(model),
        "corrected": kp.quantization.correct_biases(model, calibration),
    }
    ways["equalised, corrected"] = kp.quantization.correct_biases(ways["equalised"], calibration)
    cells = [("as it is", each) for each in FORMATS] + [(how, "int8") for how in list(ways)[1:]]
    for how, quantize in cells:
        plain = 100 * float(np.mean(ways[how].predict(images, verbose=0).argmax(-1) == labels))
        score, found, outputs, report = in_file(ways[how], BEST, calibration, "validation", quantize)
        scores = {"float": plain, "file": score, "agreement": 100 * float(np.mean(found == wanted.argmax(-1)))}
        row = {"network": f"{network}{', relu' * relu}{', hard' * bool(hard)}", "how": how, "format": quantize}
        row |= {name: f"{score:.2f}" for name, score in scores.items()} | {"bytes": report.bytes}
        row |= {"error": f"{relative_error([[outputs]], [[wanted]]):.2g}"} | rows.stamp("ai-edge-litert")
        rows.append(AFTER, list(row), [row])
        print(row, *report.float_layers, flush=True)


def without_ceiling(layer):
    """Returns a copy of a layer; of a ReLU one without its ceiling."""
    import keras

    plain = type(layer) is keras.layers.ReLU
    return keras.layers.ReLU(name=layer.name) if plain else layer.from_config(layer.get_config())


def table() -> str:
    """Returns means over the seeds, and the paired difference with its standard error."""
    lines = ["| network | MACs | float | int8 after training | int8, aware | aware − after training | agreement |"]
    lines.append("|---|---|---|---|---|---|---|")
    found = rows.read(ROWS)
    for network, macs in dict.fromkeys((row["network"], row["macs"]) for row in found):
        cell = [row for row in found if (row["network"], row["macs"]) == (network, macs)]
        means = [statistics.mean(float(row[name]) for row in cell) for name in FIELDS[3:7]]
        gains = [float(row["aware"]) - float(row["after_training"]) for row in cell]
        error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
        gain = f"{statistics.mean(gains):+.2f} ± {error:.2f} (n={len(gains)})"
        shown = [f"{mean:.2f}" for mean in means]
        lines.append(f"| {network} | {macs} | {' | '.join(shown[:3])} | {gain} | {shown[3]} |")
    return "\n".join(lines)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table", "after"))
    parser.add_argument("networks", nargs="*", default=list(TESTBEDS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--macs", nargs="+", type=float, default=MACS)
    parser.add_argument("--relu", action="store_true")
    parser.add_argument("--hard", nargs=2, default=[], metavar=("BATCHNORM", "LAYER"))
    given = parser.parse_args()
    if given.what == "after":
        after(*given.networks, relu=given.relu, hard=given.hard)
        return
    if given.what == "run":
        run_all(given.networks, given.seeds, given.macs)
    print(table())


if __name__ == "__main__":
    main()
