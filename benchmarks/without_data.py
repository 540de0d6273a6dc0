"""Reconstruction without data: examples drawn from the model beside real images.

    python benchmarks/without_data.py run [resnet20|resnet8|mobilenet]   # resumable
    python benchmarks/without_data.py taught     # the slim model taught on drawn examples
    python benchmarks/without_data.py int8 [resnet20|resnet8]    # calibration on drawn examples
    python benchmarks/without_data.py fold [resnet20|resnet8|mobilenet]   # channels merged instead of picked

The table of `docs/benchmarks.md` is written by `benchmarks/summary.py`.

ResNet-20 is the shipped checkpoint `glyphs-base`; MobileNetV2 the dense model of the recipe `glyphs-mobilenet`, and
ResNet-8 one trained here on digits for 40 epochs. Accuracy is that on validation right after reconstruction (L1, tied),
without a step of training. The settings of `kp.synthesise` were chosen on ResNet-20 with seed 0.
"""

from __future__ import annotations

import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
from rows import append, read

RESULTS = Path(__file__).parent / "results"
ROWS, TAUGHT, INT8, FOLD = (RESULTS / f"without_data{name}.csv" for name in ("", "_taught", "_int8", "_fold"))
FIELDS = ("network", "macs", "examples", "seed", "accuracy", "agreement", "cpu")
SAMPLES, SIZE = 600, 32
RANGE_GIVEN = "statistics, range given"  # that of the real images
TARGETS = {"resnet20": (0.5, 0.3, 0.1), "resnet8": (0.5, 0.3), "mobilenet": (0.5,)}
SEEDS = range(5)
ROOT = Path(__file__).parents[1]


def dense(network: str):
    """Returns the trained network."""
    import keras

    import kerasprune as kp

    if network == "resnet20":
        return keras.models.load_model(
            Path(kp.__file__).parent / "recipes" / "library" / "checkpoints" / "glyphs-base.keras"
        )
    path = ROOT / "runs" / "without_data" / f"{network}.keras"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        if network == "resnet8":
            keras.utils.set_random_seed(0)
            model = kp.models.resnet_cifar(depth=8, classes=10, input_shape=(SIZE, SIZE, 3))
            model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            model.fit(kp.data.load("digits", size=SIZE, batch=64, split="train"), epochs=40, shuffle=False, verbose=0)
        else:
            folder = kp.recipes.run(
                "glyphs-mobilenet", ROOT / "runs" / "without_data" / "glyphs-mobilenet", resume=True
            )
            model = keras.models.load_model(folder / "dense.keras")
        model.save(path)
    return keras.models.load_model(path)


def data_of(network: str) -> str:
    """Returns the name of the data set."""
    return "digits" if network == "resnet8" else "glyphs/small"


def split(network: str, name: str):
    """Returns images and labels of a split."""
    import kerasprune as kp

    data = kp.data.load(data_of(network), size=SIZE, batch=250, split=name)
    parts = [(np.asarray(x), np.asarray(y)) for x, y in data]
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


def examples(kind: str, model, network: str, seed: int):
    """Returns 600 examples and the processor time that they took: drawn, noise, or real."""
    import kerasprune as kp

    began = time.process_time()
    if kind == "real":
        images, _ = split(network, "train")
        found = images[np.random.default_rng(seed).permutation(len(images))[:SAMPLES]]
    else:
        options = {"size": None if model.input_shape[1] else SIZE, "seed": seed, "verbose": 0}
        if kind == RANGE_GIVEN:
            images, _ = split(network, "train")
            options["value_range"] = float(images.min()), float(images.max())
        found = kp.synthesise(model, SAMPLES, method="noise" if kind == "noise" else "statistics", **options)
    return found, round(time.process_time() - began)


def logits(model, images) -> np.ndarray:
    """Returns the outputs of a model."""
    return np.concatenate([np.asarray(model(images[n : n + 500], training=False)) for n in range(0, len(images), 500)])


def run(networks: list[str]) -> None:
    """Runs every cell that has no row yet."""
    for network in networks or TARGETS:
        model, validation = dense(network), split(network, "validation")
        for seed in SEEDS:
            for kind in ("statistics", "noise", "real"):
                cells(model, network, kind, seed, validation)


def cells(model, network: str, kind: str, seed: int, validation) -> None:
    """Runs the cells of a network on one draw of examples."""
    import kerasprune as kp

    done = {(row["network"], float(row["macs"]), row["examples"], int(row["seed"])) for row in read(ROWS)}
    left = [macs for macs in TARGETS[network] if (network, macs, kind, seed) not in done]
    if not left:
        return
    found, cpu = examples(kind, model, network, seed)
    judged = found[: len(found) // 10]  # held back, as kp.prune does
    graph = kp.trace(model, coupling="tied", size=None if model.input_shape[1] else SIZE)
    for macs in left:
        plan = kp.plan(graph, "l1", macs=macs, round_to=1)
        slim = kp.reconstruct(kp.rebuild(model, plan), model, plan, found[len(judged) :])
        right = logits(slim, validation[0]).argmax(-1) == validation[1]
        same = logits(slim, judged).argmax(-1) == logits(model, judged).argmax(-1)
        row = {"accuracy": round(100 * float(right.mean()), 2), "agreement": round(100 * float(same.mean()), 1)}
        row |= {"network": network, "macs": macs, "examples": kind, "seed": seed, "cpu": cpu}
        append(ROWS, FIELDS, [row])
        print(row, flush=True)


STEPS, TAUGHT_ON, TRAIN_BATCH, TAUGHT_TARGETS, TAUGHT_SEEDS = 1250, 2000, 64, (0.28, 0.09), (0, 1, 2)
RATES = {"batch": 0.01, "stored": 0.001}  # with stored statistics the loss is NaN at 0.01
TAUGHT_FIELDS = ("examples", "macs", "norms", "seed", "before", "validation", "test")


def taught(kinds: list[str]) -> None:
    """Teaches slim ResNet-20 models by the dense one on drawn examples or on real images without labels.

    With seed 0, BatchNorm in training uses the statistics of the batch and the stored ones; the way that is better on
    validation is that of the other seeds.
    """
    model = dense("resnet20")
    for seed in TAUGHT_SEEDS:
        for kind in kinds or ("statistics", "real"):
            images, found = None, [row for row in read(TAUGHT) if row["examples"] == kind]
            for macs in TAUGHT_TARGETS:
                first = [row for row in found if float(row["macs"]) == macs and row["seed"] == "0"]
                best = max(first, key=lambda row: float(row["validation"]), default={"norms": ""})["norms"]
                done = {row["norms"] for row in found if float(row["macs"]) == macs and int(row["seed"]) == seed}
                for norms in {"batch", "stored"} - done if seed == 0 else {best} - done:
                    images = _many(kind, model, seed) if images is None else images
                    row = {"examples": kind} | _teach(model, macs, images, norms, seed)
                    append(TAUGHT, TAUGHT_FIELDS, [row])
                    print(row, flush=True)


def _many(kind: str, model, seed: int):
    import kerasprune as kp

    if kind == "real":
        images, _ = split("resnet20", "train")
        return images[np.random.default_rng(seed).permutation(len(images))[:TAUGHT_ON]]
    store = ROOT / "runs" / "without_data" / f"taught_{seed}"
    return kp.synthesise(model, TAUGHT_ON, steps=50, size=SIZE, seed=100 + seed, store=store)


def _teach(model, macs: float, images, norms: str, seed: int) -> dict:
    """Returns the row of one training; `norms`: the statistics that BatchNorm uses in training."""
    import keras
    import tensorflow as tf

    import kerasprune as kp

    plan = kp.plan(kp.trace(model, coupling="tied", size=SIZE), "l1", macs=macs, round_to=1)
    slim = kp.reconstruct(kp.rebuild(model, plan), model, plan, images[:600], slack=0.1)
    before = _accuracy(slim, "test")
    if norms == "stored":
        for layer in slim.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    keras.utils.set_random_seed(seed)
    shift = keras.layers.RandomTranslation(0.125, 0.125, fill_mode="reflect", seed=seed)
    data = tf.data.Dataset.from_tensor_slices(images).shuffle(len(images), seed=seed).repeat().batch(TRAIN_BATCH)
    student = kp.distil(slim, model, weight=1.0)
    rate = keras.optimizers.schedules.CosineDecay(RATES[norms], STEPS)
    student.compile(keras.optimizers.SGD(rate, momentum=0.9))
    student.fit(data.map(lambda x: shift(x, training=True)).take(STEPS), epochs=1, verbose=0)
    after = {name: _accuracy(slim, name) for name in ("validation", "test")}
    return {"macs": macs, "norms": norms, "seed": seed, "before": before} | after


def _accuracy(model, name: str) -> float:
    images, labels = split("resnet20", name)
    return round(100 * float((logits(model, images).argmax(-1) == labels).mean()), 2)


CALIBRATIONS = (("real", 0), ("real", 1), ("statistics", 0), (RANGE_GIVEN, 0), ("noise", 0))
INT8_FIELDS = ("network", "examples", "seed", "accuracy", "ranges", "widest")


def int8(networks: list[str]) -> None:
    """Exports ResNet-8 and ResNet-20 to int8, calibrated on 200 drawn and on 200 real examples.

    Once the range of pixels is given; else it is one of the usual ones. Rows: test accuracy; how far the ranges of the
    activations are from those of the first real examples, in per cent of these, in the median and at most, over all
    tensors of activations. The other real examples show what chance does.
    """
    import tempfile

    import kerasprune as kp
    from kerasprune.export.tflite_interpreter import open_interpreter

    for network in networks or ("resnet8", "resnet20"):
        model, test, real = dense(network), split(network, "test"), None
        done = {(row["network"], row["examples"], row["seed"]) for row in read(INT8)}
        for kind, seed in CALIBRATIONS:
            if real is not None and (network, kind, str(seed)) in done:
                continue
            found, _ = examples(kind, model, network, seed)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.tflite"
                kp.export.tflite(model, path, quantize="int8", data=found[:200], size=SIZE)
                interpreter = open_interpreter(path)
            runner = interpreter.get_signature_runner()
            (name,) = runner.get_input_details()
            outputs = [next(iter(runner(**{name: x[None]}).values())) for x in test[0]]
            right = np.concatenate(outputs).argmax(-1) == test[1]
            ranges = activation_ranges(interpreter)
            real = ranges if real is None else real
            off = [100 * abs(ranges[each] / real[each] - 1) for each in real]
            row = {"network": network, "examples": kind, "seed": seed, "accuracy": 100 * float(right.mean())}
            row |= {"ranges": np.median(off), "widest": max(off)}
            if (network, kind, str(seed)) in done:  # the first, which others are measured against
                continue
            append(INT8, INT8_FIELDS, [{k: round(v, 2) if isinstance(v, float) else v for k, v in row.items()}])
            print(row, len(off), flush=True)


def activation_ranges(interpreter) -> dict[int, float]:
    """Returns the widths of the ranges that the activations of an int8 file are rounded in, by tensor.

    Weights, the only other tensors of eight bits, have zero points of 0 and a scale for each channel, or no operator
    that makes them; equal graphs have equal numbers.
    """
    made = {index for operator in interpreter._get_ops_details() for index in operator["outputs"]}
    details = {each["index"]: each for each in interpreter.get_tensor_details() if each["index"] in made}
    scales = {index: each["quantization"][0] for index, each in details.items() if each["dtype"] is np.int8}
    return {index: 255 * float(scale) for index, scale in scales.items() if scale}


FOLD_SEEDS = (0, 1, 2)
WITHOUT_DRAWS = ("folded", "folded, approximate", "picked")


def fold(networks: list[str]) -> None:
    """Folds networks, and picks their channels by L1; validation accuracy without a step of training, over draws."""
    import kerasprune as kp

    for network, seed in product(networks or TARGETS, FOLD_SEEDS):
        model, (images, labels) = dense(network), split(network, "validation")
        drawn, _ = examples("statistics", model, network, seed)
        done = {tuple(row.values())[:5] for row in read(FOLD)}
        for coupling, macs in product(("tied", "free"), (0.5, 0.3)):
            picked = kp.plan(kp.trace(model, coupling=coupling, size=SIZE), "l1", macs=macs, round_to=1)
            for way, make in folded_and_picked(model, picked, drawn).items():
                known = ("0",) if way in WITHOUT_DRAWS else (str(seed),)
                if (network, coupling, str(macs), way, *known) not in done:
                    accuracy = 100 * float((logits(make(), images).argmax(-1) == labels).mean())
                    row = {"network": network, "coupling": coupling, "macs": macs, "way": way, "seed": seed}
                    append(FOLD, [*row, "accuracy"], [row | {"accuracy": round(accuracy, 2)}])
                    print(row, accuracy, flush=True)


def folded_and_picked(model, picked, drawn) -> dict:
    """Returns functions that make a slim model, by the name of the way."""
    import kerasprune as kp

    def folded(repair, **data):
        return kp.rebuild(*kp.fold(model, picked, repair=repair, **data))

    def solved(plan):
        return kp.reconstruct(kp.rebuild(model, plan), model, plan, drawn)

    return {
        "folded": lambda: folded(None),
        "folded, approximate": lambda: folded("approximate"),
        "folded, examples": lambda: folded("examples", data=drawn),
        "picked": lambda: kp.rebuild(model, picked),
        "picked, examples": lambda: kp.recalibrate(kp.rebuild(model, picked), drawn),
        "picked, reconstructed": lambda: solved(picked),
        "representatives, reconstructed": lambda: solved(kp.fold(model, picked)[1]),
    }


if __name__ == "__main__":
    {"run": run, "taught": taught, "int8": int8, "fold": fold}[sys.argv[1]](sys.argv[2:])
