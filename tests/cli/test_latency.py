"""`kerasprune latency`: what is timed with what, and what it prints; no time is asserted."""

from __future__ import annotations

import json

import keras
import pytest
from typer.testing import CliRunner

import kerasprune as kp
import kerasprune.export.latency.timing as measure
from kerasprune import cli


def invoke(*arguments):
    return CliRunner().invoke(cli.app, ["latency", *map(str, arguments)])


def refused(*arguments) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 2 and result.stdout == "", (result.output, result.exception)
    return " ".join(result.stderr.split())


def network(width: int, side: int | None) -> keras.Model:
    image = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(width, 3, padding="same")(image)
    return keras.Model(image, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("latency")
    network(4, 8).save(folder / "dense.keras")
    network(4, None).save(folder / "free.keras")
    kp.export.tflite(network(2, 8), folder / "slim.tflite")
    return folder


def test_files_of_both_kinds_are_timed_in_turn(folder, monkeypatch):
    """Rounds are counted on a clock that each inference moves by the number of its turn: A 1, B 2, A 3, B 4, …"""
    turns, threads = [], []

    def timed(interpreter):
        turns.append(id(interpreter))
        return float(len(turns))

    opened = measure.open_interpreter
    monkeypatch.setattr(measure, "open_interpreter", lambda path, **how: (threads.append(how), opened(path, **how))[1])
    monkeypatch.setattr(measure, "time_invocation", timed)
    paths = [folder / "dense.keras", folder / "slim.tflite"]
    result = invoke(*paths, "--runs", 3, "--warmup", 1, "--threads", 2, "--json")
    assert result.exit_code == 0, result.output
    assert threads == [{"threads": 2}] * 2 and turns == turns[:2] * 4 and len({*turns}) == 2
    first, second = json.loads(result.stdout)
    assert (first["model"], second["model"]) == tuple(map(str, paths))
    assert first["median_ms"] == 5 and second["median_ms"] == 6  # rounds 3 5 7 and 4 6 8, after 1 2
    assert first["ratio"] == 1 and second["ratio"] == 6 / 5 and first["runs"] == 3


def test_keras_files_are_timed_on_the_device_of_keras(folder):
    options = ("--device", "keras", "--batch", 4, "--runs", 2, "--warmup", 0)
    printed = invoke(folder / "dense.keras", folder / "free.keras", *options, "--size", 8)
    assert printed.exit_code == 0, printed.output
    assert "×1.000" in printed.stdout and "batch 4, 2 runs in turn" in printed.stdout
    assert f"on {keras.backend.backend()}" in " ".join(printed.stdout.split())
    (row,) = json.loads(invoke(folder / "dense.keras", *options, "--json").stdout)
    assert row["memory"] is None and row["ratio"] == 1
    for arguments, words in (
        ((folder / "slim.tflite", *options), "or take --device litert for a .tflite file"),
        ((folder / "dense.keras", "--batch", 4), "--batch 4. Leave it out, or take --device keras"),
        ((folder / "dense.keras", "--device", "gpu", "--batch", 0), "Expected --device to be"),
    ):
        assert words in refused(*arguments), refused(*arguments)


def test_a_table_of_one_or_more(folder):
    printed = invoke(folder / "free.keras", folder / "slim.tflite", "--size", 8, "--runs", 2, "--warmup", 0)
    assert printed.exit_code == 0, printed.output
    assert "×1.000" in printed.stdout and "slim.tflite" in printed.stdout and "2 runs" in printed.stdout
    assert invoke(folder / "slim.tflite", "--runs", 1, "--warmup", 0).stdout.count("×") == 1


def test_what_cannot_be_timed_is_told(folder):
    (folder / "text.tflite").write_text("no model")
    slim = folder / "slim.tflite"
    for arguments, words in (
        ((folder / "free.keras",), "fixed sides, but these inputs have free ones"),
        ((folder / "free.keras",), "Give --size=32"),
        ((slim, "--size", 8), "slim.tflite with --size=8. Leave it out"),
        ((folder / "no.tflite",), "no.tflite', which is not a file"),
        ((slim, folder / "no.keras"), "no.keras', which is not a file"),
        ((slim, folder / "text.tflite"), "text.tflite'. It reports"),
        ((slim, "--runs", 0, "--threads", 0), "--threads=0. - Expected --runs to be an integer ≥ 1"),
        ((slim, "--warmup", -1), "Expected --warmup to be an integer ≥ 0"),
    ):
        assert words in refused(*arguments), refused(*arguments)
