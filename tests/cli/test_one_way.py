"""`kp.prune` and `kerasprune prune` are the same steps: the same weights to the last bit, and the same report."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune.cli import app

GENERATOR = np.random.default_rng(0)


def dense() -> keras.Model:
    """A network with what draws at random while it is trained, what has statistics, and a residual sum."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    trunk = layers.Conv2D(12, 3, padding="same", activation="relu", name="first")(inputs)
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(12, 3, padding="same", name="inner")(trunk))
    x = layers.Dropout(0.3, name="dropped")(layers.Add(name="sum")([trunk, layers.ReLU(name="relu")(x)]))
    x = layers.GaussianNoise(0.1, name="noise")(layers.GlobalAveragePooling2D(name="pool")(x))
    model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss, metrics=["accuracy"])
    return model


def part(count: int) -> tuple[np.ndarray, np.ndarray]:
    y = GENERATOR.integers(0, 3, count)
    x = GENERATOR.normal(size=(count, 8, 8, 3)).astype("float32") * 0.3
    x[np.arange(count), :, :, y] += 1.0
    return x, y


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one-way")
    splits = {"train": part(150), "val": part(60), "test": part(60)}
    model = dense()
    model.fit(*splits["train"], epochs=8, verbose=0)
    model.save(folder / "dense.keras")
    arrays = {f"{axis}_{name}": each for name, pair in splits.items() for axis, each in zip("xy", pair, strict=True)}
    np.savez(folder / "data.npz", **arrays)
    return folder, splits


def by_command(folder, out, *options):
    words = ["prune", folder / "dense.keras", "--data", folder / "data.npz", "--out", folder / out, *options]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return keras.models.load_model(folder / out / "slim.keras"), result.output


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({"macs": 0.4}, ("--macs", 0.4)),
        ({"keep": 0.5, "optimizer": "adam", "batch": 32, "seed": 3, "plan": {"round_to": 2, "min_keep": 4}}, None),
        ({"params": 0.5, "criterion": "taylor_fo", "budget": "global", "distil": False}, None),
    ],
)
def test_weights_and_reports_are_the_same(files, arguments, options):
    folder, splits = files
    out = "-".join(map(str, arguments))
    if options is None:
        named = {"distil": ("--no-distil",)}
        spelled = {**arguments, **arguments.get("plan", {})}
        spelled.pop("plan", None)
        options = [w for k, v in spelled.items() for w in named.get(k, (f"--{k.replace('_', '-')}", v))]
    model = keras.models.load_model(folder / "dense.keras")
    slim, plan, report = kp.prune(model, data=splits["train"], validation=splits["val"], epochs=2, **arguments)
    other, said = by_command(folder, out, "--finetune-epochs", 2, *options)
    assert kp.Plan.load(folder / out / "plan.json").keep == plan.keep
    for a, b in zip(slim.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)
    assert report.verified is not None and str(report) in said
    assert [step.name for step in report.steps][-1] == "fine-tuned"


@pytest.mark.thorough
def test_two_targets_are_refused_by_both(files):
    folder, _ = files
    model = keras.models.load_model(folder / "dense.keras")
    with pytest.raises(kp.PruneError, match="macs=0.1, keep=0.9"):
        kp.prune(model, macs=0.1, keep=0.9)
    words = ["prune", folder / "dense.keras", "--macs", 0.1, "--keep", 0.9, "--out", folder / "two"]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 2 and "Received: --keep 0.9 and --macs 0.1" in " ".join(result.stderr.split())


@pytest.mark.thorough
def test_the_seed_decides_what_is_random(files):
    folder, splits = files
    tuned = [
        kp.prune(keras.models.load_model(folder / "dense.keras"), 0.5, splits["train"], 1, deliver="last", seed=seed)
        for seed in (0, 0, 1)
    ]
    tuned = [each.slim.get_weights() for each in tuned]
    assert all(map(np.array_equal, tuned[0], tuned[1])) and not all(map(np.array_equal, tuned[0], tuned[2]))
