"""What a run reports: the same in its folder, on its page, on the terminal and for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from html import unescape
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

from kerasprune import PruneError, cli

RUNNER = CliRunner()
RANDOM = np.random.default_rng(0)


def invoke(*arguments):
    result = RUNNER.invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A classifier of two numbers, with labelled examples and with inputs alone."""
    folder = tmp_path_factory.mktemp("files")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    hidden = layers.Dense(8, "relu", name="hidden")(inputs)
    keras.Model(inputs, layers.Dense(2, name="classes")(hidden)).save(folder / "mine.keras")
    x = RANDOM.normal(size=(400, 2)).astype("float32")
    np.savez(folder / "mine.npz", x=x, y=(x[:, 0] > x[:, 1]).astype("int64"))
    np.save(folder / "inputs.npy", x)
    return folder


@pytest.mark.thorough
def test_warnings_are_the_same_everywhere(files, tmp_path):
    out = tmp_path / "out"
    start = ("prune", files / "mine.keras", "--keep", 0.3, "--round-to", 4, "--out", out)
    shown = invoke(*start, "--json")
    (text,) = json.loads((out / "summary.json").read_text())["warnings"]
    assert text.startswith("With min_keep=1 and round_to=4, 4 channels are kept instead of 2.")
    assert json.loads(shown.stdout)["warnings"] == [text]
    assert (out / "warnings.txt").read_text() == f"warning: {text}\n"
    assert f"Warning: {text}" in unescape((out / "report.html").read_text())
    told = text.replace("min_keep=1 and round_to=4", "--min-keep 1 and --round-to 4")  # keys of the recipe, in options
    assert f"warning: {told.replace('round_to', '--round-to')}" in shown.stderr
    assert json.loads(invoke(*start, "--json", "--resume").stdout)["warnings"] == [text]
    assert json.loads(invoke(*start[:3], 0.5, *start[6:], "--json", "--overwrite").stdout)["warnings"] == []
    assert not (out / "warnings.txt").exists()


@pytest.mark.thorough  # test_runner has the same of one format
@pytest.mark.parametrize("form", ["saved_model", "tflite-dynamic", "tflite-int8"])
def test_files_of_both_models_are_judged_by_labels(form, files, tmp_path):
    start = ("prune", files / "mine.keras", "--keep", 0.5, "--data", files / "mine.npz", "--no-reconstruct")
    shown = invoke(*start, "--export", form, "--out", tmp_path / "out").stdout
    assert ("not measured: latency" in shown) == (form == "saved_model")
    (slim,) = json.loads((tmp_path / "out" / "summary.json").read_text())["exports"]
    for name, found in (("slim", slim), ("dense", slim["dense"])):
        path = tmp_path / "out" / found["file"]
        assert path.stem == f"{name}-{form}" and path.exists()
        assert 0 < found["gzip_bytes"] < found["bytes"]
        assert form == "saved_model" or found["latency_ms"] > 0
        assert found["judged"] == 40 and 0 <= found["accuracy"] <= 1
        row = [f"{form}, {name}", f"{found['bytes']:,}", f"{100 * found['accuracy']:.2f} %"]
        page = (tmp_path / "out" / "report.html").read_text()
        assert all(f"<td>{cell}</td>" in page for cell in row)
        assert any(all(cell in line for cell in row) for line in shown.splitlines())
    assert "<th>test accuracy, 40 examples</th>" in page
    assert ("Did it help?" in page) == (form != "saved_model")


UNLABELLED = "accuracy (the data have no labels)"
WITHOUT = "accuracy (give --data), latency (give --export tflite, or --beside keras)"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("form", "given", "missing", "judged"),
    [("saved_model", False, WITHOUT, (16, "random")), ("tflite-dynamic", True, UNLABELLED, (256, "inputs"))],
)  # fewer than 50 examples of the validation split are followed by those of the training
def test_without_labels_files_are_compared_with_the_dense_model(form, given, missing, judged, files, tmp_path):
    options = ("--data", files / "inputs.npy", "--no-reconstruct") if given else ()
    start = ("prune", files / "mine.keras", "--keep", 0.5, *options)
    shown = invoke(*start, "--export", form, "--out", tmp_path / "out").stdout
    assert f"not measured: {missing}\n" in shown  # a file of TFLite has its latency
    (slim,) = json.loads((tmp_path / "out" / "summary.json").read_text())["exports"]
    assert (slim["judged"], slim["judged_on"]) == judged
    assert slim["dense"]["dense_error"] < 1e-3 < slim["dense_error"]
    assert slim["dense_agreement"] is None  # no loss says that the outputs are classes


def test_a_dense_model_that_cannot_be_exported_does_not_end_the_run(files, tmp_path, monkeypatch):
    from kerasprune.export import formats

    plain = formats.SAVED_MODEL

    def write(model, path, **options):
        if path.name.startswith("dense"):
            raise PruneError("An operation has no counterpart.")
        return plain.write(model, path, **options)

    monkeypatch.setattr(formats, "SAVED_MODEL", replace(plain, write=write))
    start = ("prune", files / "mine.keras", "--keep", 0.5, "--export", "saved_model", "--out", tmp_path / "out")
    found = json.loads(invoke(*start, "--json").stdout)
    assert "dense" not in found["exports"][0]
    assert any("An operation has no counterpart." in text for text in found["warnings"])
