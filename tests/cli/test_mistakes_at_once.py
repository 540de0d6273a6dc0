"""What arguments alone decide is answered before Keras or its backend is imported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CHILD = """
import contextlib, io, json, sys

class Heavy(BaseException):
    pass

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("keras", "tensorflow", "jax", "torch"):
            raise Heavy(name)

sys.meta_path.insert(0, Watch())
from kerasprune.cli import app

ends = []
for command in json.load(sys.stdin):
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            app(command)
        ends.append((0, said.getvalue()))
    except SystemExit as end:
        ends.append((end.code, said.getvalue()))
    except Heavy as name:
        ends.append((f"imports {name}", said.getvalue()))
print(json.dumps(ends))
"""
HALF, DIGITS = ("--macs", ".5"), ("--data", "digits")
PRUNE, SEARCH = ("prune", "m.keras", "--out", "new"), ("search", "m.keras", *DIGITS, "--out", "new")
COMPARE, EXPORT = ("compare", "m.keras", *DIGITS, "--out", "new"), ("export", "m.keras", "--out", "new.tflite")
PACK, PROFILE = ("pack", "m.keras", "--out", "new.kpz"), ("profile", "m.keras", "--out", "new.csv")
REFUSED = {  # the command, and a word of what it is told
    (*PRUNE, "--time", ".5", "--table", "none.csv"): "none.csv",
    (*PRUNE, "--time", ".5", "--table", "wrong.csv"): "wrong.csv",
    (*PRUNE, "--time", "2"): "--time",
    (*PRUNE, "--time", ".5", "--precision", "int7"): "int7",
    (*PRUNE, "--time", ".5", "--seed", "-1"): "--seed",
    (*PRUNE, "--bytes", "200kB", "--precision", "int7"): "int7",
    (*PRUNE, *HALF, "--export", "tflite-int9"): "tflite-int9",
    (*PRUNE, *HALF, "--criterion", "foo"): "foo",
    (*PRUNE, *HALF, "--calibrate", "none.npy", "--export", "tflite-int8"): "none.npy",
    (*PRUNE, *HALF, "--log-file", "none/log"): "none",
    ("prune", "m.keras", *HALF, "--out", "full"): "full",
    ("prune", "m.keras", *HALF, "--out", "full", "--overwrite"): "full",
    (*SEARCH, "--time", ".5", "--table", "none.csv"): "none.csv",
    (*SEARCH, "--delta", "-1"): "delta",
    (*SEARCH, "--population", "0"): "population",
    (*SEARCH, "--generations", "-1"): "generations",
    (*SEARCH, "--samples", "0"): "samples",
    (*COMPARE, "--criteria", "l1,foo"): "foo",
    (*COMPARE, "--controls", "foo"): "foo",
    (*COMPARE, "--macs", "2"): "2",
    (*COMPARE, "--seeds", "0"): "--seeds",
    (*COMPARE, "--workers", "0"): "--workers",
    (*COMPARE, "--optimizer", "foo"): "foo",
    (*COMPARE, "--finetune-epochs", "-1"): "-1",
    (*COMPARE, "--budget", "foo"): "foo",
    ("compare", "m.keras", *DIGITS, "--out", "full"): "full",
    (*EXPORT, "--format", "tflite-int9"): "tflite-int9",
    (*EXPORT, "--format", "tflite-int8"): "--calibrate",
    (*EXPORT, "--format", "tflite", "--data", "nope"): "nope",
    ("export", "m.keras", "--format", "tflite", "--out", "wrong.csv"): "wrong.csv",
    ("export", "m.keras", "--format", "tflite", "--out", "none/new.tflite"): "none",
    (*PACK, "--bits", "conv=99"): "99",
    (*PACK, "--start", "foo"): "foo",
    (*PACK, "--rest", "int8"): "int8",
    ("pack", "m.keras", "--out", "none/new.kpz"): "none",
    (*PROFILE, "--precision", "int7"): "int7",
    (*PROFILE, "--threads", "0"): "threads",
    ("profile", "m.keras", "--out", "new.txt"): ".csv",
    ("profile", "m.keras", "--out", "wrong.csv"): "wrong.csv",
    ("profile", "m.keras", "--out", "none/new.csv"): "none",
    ("unpack", "old.kpz", "--out", "m.keras"): "m.keras",
    ("inspect", "m.keras", "--coupling", "foo"): "foo",
    ("precrop", "m.keras", "--params", ".5", "--out", "full"): "full",
    ("reproduce", "nope"): "nope",
    ("run", "nope"): "nope",
    ("run", "mine.yaml", "--workers", "2"): "--workers",
    ("latency", "m.keras", "--runs", "0"): "--runs",
    ("latency", "m.keras", "m.tflite", "--device", "keras"): "--devicelitert",
    ("latency", "m.keras", "--batch", "8"): "--devicekeras",
}
LISTS = {("reproduce", "--list"): "eie", ("ls", "criteria"): "taylor_fo"}


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    """Returns how each command ends in one process that cannot import Keras."""
    here = tmp_path_factory.mktemp("mistakes")
    (here / "full").mkdir()
    for name in ("m.keras", "old.kpz", "wrong.csv", "full/note.txt"):
        (here / name).write_text("a,b\n")
    (here / "mine.yaml").write_text("name: mine\nwhy: a test\n")
    given = json.dumps([*REFUSED, *LISTS])
    done = subprocess.run(
        [sys.executable, "-c", CHILD], input=given, capture_output=True, text=True, cwd=here, check=False
    )
    assert not done.returncode, done.stderr
    return dict(zip([*REFUSED, *LISTS], json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("command", REFUSED, ids=" ".join)
def test_mistakes_are_answered_before_keras_is_imported(ends, command):
    code, said = ends[command]
    assert code == 2, (code, said)
    assert REFUSED[command] in "".join(said.split())


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_lists_are_printed_without_keras(ends, command):
    code, said = ends[command]
    assert code == 0, (code, said)
    assert LISTS[command] in said
