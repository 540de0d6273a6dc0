"""A command that is refused for what it is given leaves nothing behind, and the corrected one is not in its own way."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from kerasprune import PruneError, cli
from kerasprune.papers.pruning_spaces.explore import Draw, explore
from kerasprune.recipes.comparison import compare
from kerasprune.recipes.grid import seeds_and_grid

RECIPE = "name: mine\nwhy: a test\nmodel: {start: net.keras}\ndata: {name: empty.npz}\nprune: {plan: {macs: 0.5}}\n"
EMPTY = ("--data", "empty.npz")
UNLABELLED = ("--criterion", "taylor_fo", "--macs", "0.5", "--out", "out")
FEW = ("--data", "few.npz")
LATE = ("--data", "data.py:late", "--trust")
CASES = {
    "prune": [
        *[(*each, "--macs", "0.5", "--out", "out") for each in (EMPTY, FEW, LATE)],
        ("--keep", "0.5", "--out", "out", "--log-file", "none/log.txt"),  # also if there is no warning yet
        *[(*each, *UNLABELLED) for each in (("--data", "inputs.npy"), ("--examples", "20"))],
    ],
    "precrop": [("--params", "0.0000001", "--out", "out")],
    "search": [(*each, "--macs", "0.5", "--out", "out") for each in (EMPTY, FEW)],
    "compare": [(*EMPTY, "--macs", "0.5,2", "--out", "out"), (*FEW, "--criteria", "none", "--out", "out")],
    "space": [
        (*EMPTY, "--params", "0.3", "--ranked-by", "removed", "--out", "out"),
        ("--params", "1e-9", "--out", "out"),
    ],
    "export": [("--format", "tflite-int8", *EMPTY, "--out", "out.tflite"), ("--format", "none", "--out", "out")],
    "inspect": [("--sort", "none")],
    "latency": [("none.tflite",), ("--runs", "0")],
    "pack": [("--out", "out.zip"), ("--bits", "conv=x", "--out", "out.kpz"), ("--bits", "9", "--out", "out.kpz")],
    "unpack": [("--out", "out.keras"), ("--out", "out.h5")],
    "profile": [
        ("--out", "out.txt"),
        ("--precision", "int3", "--out", "out.csv"),
        ("--threads", "0", "--out", "out.csv"),
        ("--phone", "phone", "--out", "note.csv"),
        ("--phone", "phone", "--out", "out.txt"),
    ],
    "run": [("--out", "out"), ("--grid", "none", "--out", "out")],
    "validate": [("--set", "none=1")],
    "resume": [()],
    "report": [("--out", "out.csv")],
    "reproduce": [()],
    "init": [()],
    "show": [()],
    "ls": [()],
}
GIVEN = {"run": "mine.yaml", "validate": "mine.yaml"} | dict.fromkeys(
    ("resume", "report", "reproduce", "init", "show", "ls"), "none"
)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dense = keras.layers.Dense
    keras.Sequential([keras.Input((4,)), dense(8), dense(8), dense(2)]).save("net.keras")
    np.savez("empty.npz", x=np.zeros((0, 4)), y=np.zeros(0, int))
    np.savez("few.npz", x=np.zeros((20, 4)), y=np.zeros(5, int))
    np.save("inputs.npy", np.random.default_rng(0).normal(size=(40, 4)))
    np.savez("mine.npz", x=np.random.default_rng(0).normal(size=(40, 4)), y=np.arange(40) % 2)
    (tmp_path / "mine.yaml").write_text(RECIPE)
    (tmp_path / "note.csv").write_text("a,b\n1,2\n")
    (tmp_path / "data.py").write_text(LATE_DATA)
    return tmp_path


LATE_DATA = """
import numpy as np
import tensorflow as tf

def broken():
    raise RuntimeError("the camera is off")

def late(split):
    def read():
        yield np.zeros(4, "float32"), 0
        broken()
    kinds = (tf.TensorSpec((4,), tf.float32), tf.TensorSpec((), tf.int64))
    return tf.data.Dataset.from_generator(read, output_signature=kinds).batch(1)
"""


def test_every_command_is_tried():
    assert {"schema", *CASES} == set(cli.application.Commands().commands)


@pytest.mark.parametrize("command", CASES)
def test_a_refused_command_leaves_nothing(place, command):
    before = {path.name for path in place.iterdir()}
    for options in CASES[command]:
        result = CliRunner().invoke(cli.app, [command, GIVEN.get(command, "net.keras"), *options])
        assert result.exit_code == 2, (result.output, result.exception)
        assert {path.name for path in place.iterdir()} - {"__pycache__"} == before


@pytest.mark.thorough
def test_a_comparison_and_a_space_that_are_refused_by_their_first_run_leave_nothing(place):
    before = {path.name for path in place.iterdir()}
    options = {"engine": "serial", "verbose": 0}
    model = keras.saving.load_model("net.keras")
    compared = {"criteria": ["l1"], "macs": [0.5], "seeds": 1, "controls": (), "folder": "out", **options}
    for given in ("net.keras", model):
        with pytest.raises(PruneError, match="as many labels as inputs, 20"):
            compare(given, data="few.npz", **compared)
    drawn = {"draw": Draw(params=0.3, delta=0.1, n=2), "ranked_by": ["removed"], "folder": "out"}
    with pytest.raises(PruneError, match="cannot be judged"):  # the labels fit no output
        np.savez("other.npz", x=np.zeros((20, 4)), y=np.full(20, 7.5))
        explore("net.keras", data="other.npz", loss="sparse_categorical_crossentropy", **drawn, **options)
    with pytest.raises(PruneError, match="No run finished"):
        seeds_and_grid("mine.yaml", seeds=2, folder="out", **options)
    assert {path.name for path in place.iterdir()} == before | {"other.npz"}


@pytest.mark.thorough
def test_an_earlier_run_stays_if_the_one_to_overwrite_it_is_refused(place):
    command = ["prune", "net.keras", "--macs", "0.5", "--out", "out", "-q"]
    assert CliRunner().invoke(cli.app, command).exit_code == 0
    before = {path.name: path.read_bytes() for path in (place / "out").iterdir()}
    for wrong in (EMPTY, FEW, LATE, ("--criterion", "hrank"), ("--freeze", "none")):
        result = CliRunner().invoke(cli.app, [*command, "--overwrite", *wrong])
        assert result.exit_code == 2, (wrong, result.output, result.exception)
        assert {path.name: path.read_bytes() for path in (place / "out").iterdir()} == before
    assert CliRunner().invoke(cli.app, [*command, "--overwrite", "--seed", "1"]).exit_code == 0
    assert "seed: 1" in (place / "out" / "recipe.yaml").read_text()


def test_what_a_function_raises_while_it_is_read_is_said_with_its_place(place):
    result = CliRunner().invoke(cli.app, ["prune", "net.keras", "--macs", "0.5", *LATE, "--out", "out"])
    assert "RuntimeError: the camera is off, in broken of" in result.stderr
    assert "data.py', line 6" in result.stderr and "Traceback" not in result.stderr


def test_numbers_that_overflow_are_told_from_infinity(place):
    for value, words in ((1e300, "1e[+]300 among them"), (np.inf, "NaN or infinity among them")):
        np.savez("big.npz", x=np.full((20, 4), value), y=np.zeros(20, int))
        with pytest.raises(PruneError, match=words):
            compare("net.keras", ["l1"], [0.5], "big.npz", controls=(), folder="out", engine="serial", verbose=0)
