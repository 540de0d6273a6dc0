"""Is the first line of `kp.advise` right? All commands that it names are run, on twelve trained networks.

    python benchmarks/advice.py [NETWORK …]     # resumable: networks that have a row are not run again

Right is the command whose file has the least time among those whose outputs differ from the dense model's by an error
of at most .05; where times differ by less than 3 %, the fewest bytes. Times are those of one thread, all files in turn.
Networks that run for less than .05 ms were measured again once short runs were timed several at once.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import rows

RESULTS = Path(__file__).parent / "results"
ROWS, TABLE = RESULTS / "advice.csv", RESULTS / "advice.md"
FIELDS = ("network", "advised", "best", "right", "advised_time", "best_time", "measured", *rows.STAMP)
ALLOWED, NEAR, SECONDS, JUDGED = 0.05, 0.03, 60, 256


def digits() -> tuple[Any, Any]:
    """Returns standardised digits of 8×8, and their classes."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return ((x - x.mean()) / x.std()).reshape(-1, 8, 8, 1).astype("float32"), y


def lines() -> tuple[Any, Any]:
    """Returns images of a line in noise, and the sine and cosine of twice its tilt."""
    from smallest import tilts

    return tilts(0)[0]


def glyphs() -> tuple[Any, Any]:
    """Returns images of single glyphs, and their classes."""
    from smallest import glyph_images

    return glyph_images("train", 0, 3000)


def network(make: Callable[[Any], Any], shape: tuple[int, ...] | None = None) -> Callable[[tuple[Any, Any]], Any]:
    """Returns a function that trains a network on data; its inputs have a shape, or that of the data."""

    def trained(data: tuple[Any, Any]) -> Any:
        import keras

        keras.utils.set_random_seed(0)
        x, y = data
        inputs = keras.Input(x.shape[1:], name="inputs")  # the name in files
        outputs = make(inputs if shape is None else keras.layers.Reshape(shape)(inputs))
        classes = y.ndim == 1
        outputs = keras.layers.Dense(int(y.max()) + 1 if classes else y.shape[1])(outputs)
        model = keras.Model(inputs, outputs)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classes else "mse"
        model.compile(keras.optimizers.Adam(2e-3), loss)
        model.fit(x, y, epochs=15, batch_size=64, verbose=0)
        return model

    return trained


def dense(*widths: int, activation: str = "relu", norm: bool = False) -> Callable[[Any], Any]:
    """Returns a function that adds dense layers."""

    def make(x: Any) -> Any:
        from keras import layers

        x = layers.Flatten()(x)
        for width in widths:
            x = layers.Dense(width, activation)(layers.LayerNormalization()(x) if norm else x)
        return x

    return make


def convolutions(*widths: int, separable: bool = False) -> Callable[[Any], Any]:
    """Returns a function that adds convolutions, each followed by a pooling."""

    def make(x: Any) -> Any:
        from keras import layers

        for width in widths:
            kind = layers.SeparableConv2D if separable else layers.Conv2D
            x = layers.ReLU()(layers.BatchNormalization()(kind(width, 3, padding="same")(x)))
            x = layers.MaxPooling2D(padding="same")(x)
        return layers.GlobalAveragePooling2D()(x)

    return make


def attention(width: int) -> Callable[[Any], Any]:
    """Returns a function that adds a transformer of two blocks on rows."""

    def make(x: Any) -> Any:
        from keras import layers

        x = layers.Dense(width)(x)
        for _ in range(2):
            y = layers.LayerNormalization()(x)
            x = layers.Add()([x, layers.MultiHeadAttention(4, width // 4)(y, y)])
            y = layers.Dense(2 * width, "relu")(layers.LayerNormalization()(x))
            x = layers.Add()([x, layers.Dense(width)(y)])
        return layers.GlobalAveragePooling1D()(x)

    return make


def recurrent(kind: str, units: int) -> Callable[[Any], Any]:
    """Returns a function that adds a recurrent layer."""

    def make(x: Any) -> Any:
        import keras

        return getattr(keras.layers, kind)(units)(x)

    return make


def shipped(data: tuple[Any, Any]) -> Any:
    """Returns the ResNet-20 that the package brings."""
    from smallest import resnet20

    return resnet20()


NETWORKS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "resnet20": (glyphs, shipped),
    "wide convolutions": (digits, network(convolutions(192, 192))),
    "wide dense": (digits, network(dense(1024, 1024))),
    "dense on glyphs": (glyphs, network(dense(256, 256))),
    "convolutions on glyphs": (glyphs, network(convolutions(16, 32, 64))),
    "separable on glyphs": (glyphs, network(convolutions(32, 64, 128, separable=True))),
    "regressor": (lines, network(convolutions(32, 64, 64))),
    "narrow convolutions": (digits, network(convolutions(8, 12))),
    "tiny dense": (digits, network(dense(16))),
    "gru": (digits, network(recurrent("GRU", 48), (8, 8))),
    "lstm": (digits, network(recurrent("LSTM", 32), (8, 8))),
    "transformer": (digits, network(attention(64), (8, 8))),
}


def run(name: str) -> None:
    """Asks for advice, runs all that it names, and writes the row."""
    import numpy as np

    import kerasprune as kp
    from kerasprune import cli
    from kerasprune.data.signature import signature_of
    from kerasprune.export.latency import compare_latency
    from kerasprune.export.parity import interpreted_function

    load, make = NETWORKS[name]
    x, y = load()
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    held, given = x[:JUDGED], (x[JUDGED:], y[JUDGED:])
    model = make(given)
    found = kp.advise(model, given[0], seconds=SECONDS)
    print(f"== {name}\n{found}", flush=True)
    wanted = model.predict(held, verbose=0)
    spread = float(((wanted - wanted.mean(0)) ** 2).sum())
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        model.save(here / "mine.keras")
        np.savez(here / "mine.npz", x=given[0], y=given[1])
        files, errors = [], []
        for number, offer in enumerate(found.offers):
            files_given = (str(here / "mine.keras"), str(here / "mine.npz"))
            words = shlex.split(offer.command(*files_given, found.size))[1:]
            out = words.index("--out") + 1
            words[out] = str(here / f"{number}{Path(words[out]).suffix}")
            words += ["--scale", "none", "--overwrite"] if "--data" in words else ["--overwrite"]
            cli.app(words, standalone_mode=False)
            place = Path(words[out])
            path = place if place.is_file() else next(place.glob("exports/slim-*.tflite"))
            made = keras_of(place, model)
            function = interpreted_function(path, made, signature_of(made))
            outputs = np.concatenate([np.asarray(function([each])[0]) for each in np.split(held, JUDGED // 8)])
            files.append(path)
            errors.append(float(((outputs - wanted) ** 2).sum()) / spread)
        kp.export.tflite(model, here / "dense.tflite", data=held)
        ratios = compare_latency([here / "dense.tflite", *files], runs=60).ratios[1:]
        sizes = [path.stat().st_size for path in files]
    allowed = [at for at, error in enumerate(errors) if error <= ALLOWED]
    fastest = min((ratios[at] for at in allowed), default=float("inf"))
    best = min((at for at in allowed if ratios[at] <= (1 + NEAR) * fastest), key=sizes.__getitem__, default=0)
    right = best == 0 or ratios[0] <= (1 + NEAR) * fastest and errors[0] <= ALLOWED
    measured = "; ".join(
        f"{offer.name}: ×{ratio:.2f}, {size:,} bytes, error {error:.3f}"
        for offer, ratio, size, error in zip(found.offers, ratios, sizes, errors, strict=True)
    )
    row = {
        "network": name,
        "advised": found.offers[0].name,
        "best": found.offers[best].name,
        "right": int(right),
        "advised_time": round(ratios[0], 3),
        "best_time": round(ratios[best], 3),
        "measured": measured,
    }
    rows.append(ROWS, FIELDS, [row | rows.stamp("keras", "tensorflow")])
    print(row, flush=True)


def keras_of(place: Path, model: Any) -> Any:
    """Returns the Keras model that a command wrote, or the one that it read."""
    import keras

    return keras.models.load_model(place / "slim.keras") if place.is_dir() else model


def table() -> None:
    """Writes the table of the rows."""
    found = rows.read(ROWS)
    lines = ["| network | advised | best | right | all that was measured |", "|---|---|---|---|---|"]
    for row in found:
        cells = (row["network"], row["advised"], row["best"], "yes" if row["right"] == "1" else "no", row["measured"])
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Right on {sum(row['right'] == '1' for row in found)} of {len(found)}."]
    TABLE.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Runs the networks that are named, or all."""
    for name in sys.argv[1:] or NETWORKS:
        if not any(row["network"] == name for row in rows.read(ROWS)):
            run(name)
    table()


if __name__ == "__main__":
    main()
