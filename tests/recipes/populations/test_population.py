"""Populations: each candidate once, whatever ends it, whatever ends us."""

from __future__ import annotations

import csv
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from support import candidates

import kerasprune as kp
from kerasprune import PruneError
from kerasprune.files.writing import claim_store
from kerasprune.recipes.populations.engine import Outcome
from kerasprune.recipes.populations.meter import Meter

TESTS = Path(__file__).parent.parent


def calls(folder) -> dict[int, int]:
    """Returns how often each candidate was called."""
    return {int(path.stem): len(path.read_text().splitlines()) for path in folder.glob("*.calls")}


def serial(folder, **options):
    return kp.recipes.Population(folder / "store.sqlite", engine="serial", verbose=0, **options)


# ---- what a store holds ---------------------------------------------------------------------------------------


def test_nothing_is_evaluated_twice(tmp_path):
    three = [{"folder": str(tmp_path), "x": x, "y": 3} for x in (1, 2, 1)]
    rows = serial(tmp_path).run(candidates.noted, three)
    assert [(row["x"], row["product"], row["state"], row["attempts"]) for row in rows] == [
        (1, 3, "done", 1),
        (2, 6, "done", 1),
        (1, 3, "done", 1),
    ]
    again = serial(tmp_path).run("support.candidates:noted", [{"y": 3, "x": 2, "folder": str(tmp_path)}, *three])
    assert [row["product"] for row in again] == [6, 3, 6, 3]
    assert calls(tmp_path) == {1: 1, 2: 1}
    serial(tmp_path).run(candidates.noted, three[:1], version="2")
    serial(tmp_path).run(candidates.noted, [{**three[0], "y": 4}])
    assert calls(tmp_path) == {1: 3, 2: 1}
    assert len(serial(tmp_path).table()) == 4


def test_table_and_its_csv(tmp_path):
    def row(result, error=None, **arguments):
        population._store.write("m:f", "", arguments, Outcome(str(arguments), 1.5, result, error), 2)

    population = serial(tmp_path)
    row({"accuracy": 0.5, "x": 7, "error": 0.1, "keep": [1, 2]}, x=3)
    row(0.25, x=4, seconds=9)
    row(None, "ValueError: no", x=5)
    first, second, third = population.table()
    assert first == {
        "x": 3, "accuracy": 0.5, "result_x": 7, "result_error": 0.1, "keep": [1, 2],
        "state": "done", "error": None, "attempts": 2, "seconds": 1.5,
    }  # fmt: skip
    assert (second["result"], second["argument_seconds"], second["seconds"]) == (0.25, 9, 1.5)
    assert (third["state"], third["error"], "result" in third) == ("failed", "ValueError: no", False)
    with population.save(tmp_path / "table.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [one["x"] for one in written] == ["3", "4", "5"]
    assert written[0]["keep"] == "[1, 2]"


def test_numbers_of_numpy_come_and_go_as_plain_ones(tmp_path):
    (row,) = serial(tmp_path).run("statistics:fmean", [{"data": np.array([1.0, 2.0], "float32")}])
    assert (row["data"], row["result"]) == ([1.0, 2.0], 1.5)
    serial(tmp_path).run("statistics:fmean", [{"data": (1, 2)}, {"data": [1.0, 2.0]}])
    assert len(serial(tmp_path).table()) == 2  # 1 and 1.0 are two


def test_failures_are_kept_and_tried_again_as_told(tmp_path):
    population, some = serial(tmp_path), [{"folder": str(tmp_path), "x": x} for x in (0, 1, 4, 5)]
    with pytest.warns(UserWarning, match="3 of 4 candidates failed, the first with: ValueError: no such width"):
        rows = population.run(candidates.unlucky, some)
    assert [row["state"] for row in rows] == ["done", "failed", "failed", "failed"]
    assert "Expected numbers, texts" in rows[3]["error"] and "object" in rows[3]["error"]
    assert calls(tmp_path) == {0: 1, 1: 1, 4: 1, 5: 1}
    with pytest.warns(UserWarning, match="2 of 4"):
        rows = population.run(candidates.unlucky, some, retries=2)
    assert [(row["state"], row["attempts"]) for row in rows] == [("done", 1), ("failed", 3), ("done", 2), ("failed", 3)]
    assert rows[2]["error"] is None
    assert 'raise ValueError("no such width")' in population.failures()[0].log
    assert population.forget_failures() == 2
    assert [row["x"] for row in population.table()] == [0, 4]


# ---- processes ------------------------------------------------------------------------------------------------


def test_processes_that_fail_crash_or_hang_take_no_other_with_them(tmp_path):
    some = [{"folder": str(tmp_path), "x": x} for x in (1, 2, 3, 4, 0, 6, 8)]
    population = kp.recipes.Population(tmp_path / "s.sqlite", workers=2, timeout=1, per_process=3, threads=1, verbose=0)
    with pytest.warns(UserWarning, match="4 of 7"):
        rows = population.run(candidates.unlucky, some, retries=1)
    assert [row.get("result") for row in rows] == [None, None, None, 2.0, 0.0, None, 4.0]
    errors = {row["x"]: row["error"] for row in rows if row["error"]}
    assert list(errors) == [1, 2, 3, 6]
    for x, named in {1: "ValueError", 2: "SIGKILL", 3: "timeout=1", 6: "code 3"}.items():
        assert named in errors[x]
    assert calls(tmp_path) == {1: 2, 2: 2, 3: 2, 4: 2, 0: 1, 6: 2, 8: 1}
    for one in population.failures():
        assert f"candidate {one.arguments['x']} says hello" in one.log
    assert not list(tmp_path.glob(".*"))


def test_every_candidate_has_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    some = [{"folder": str(tmp_path), "x": x} for x in range(3)]
    rows = kp.recipes.Population(tmp_path / "s.sqlite", workers=3, threads=2, verbose=0).run(candidates.noted, some)
    assert len({row["process"] for row in rows} - {os.getpid()}) == 3
    assert {row["threads"] for row in rows} == {"2"}


def script(folder, guard="if __name__ == '__main__':") -> Path:
    path = folder / "mine.py"
    path.write_text(
        textwrap.dedent(f"""
            import sys
            sys.path[:0] = {[str(TESTS), str(TESTS.parent)]!r}
            import kerasprune as kp
            from support.candidates import slow

            def mine(x):
                return slow({str(folder)!r}, x)

            {guard}
                kp.recipes.Population({str(folder / "store.sqlite")!r}, workers=2, per_process=99).run(
                    mine, [{{"x": x}} for x in range(12)]
                )
        """)
    )
    return path


@pytest.mark.thorough
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on(tmp_path, by):
    command = [sys.executable, str(script(tmp_path))]
    process = subprocess.Popen(
        command,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore Ctrl-C
    )
    while len(calls(tmp_path)) < 4:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    (os.killpg if by == signal.SIGINT else os.kill)(process.pid, by)  # Ctrl-C goes to all of the terminal
    _, said = process.communicate(timeout=30)
    assert said.count("Traceback") == (by == signal.SIGINT)  # of the script, none of its processes
    begun = calls(tmp_path)
    kept = [row["x"] for row in kp.recipes.Population(tmp_path / "store.sqlite", verbose=0).table()]
    assert 2 <= len(kept) < 12
    assert len((tmp_path / "ends").read_text().splitlines()) < len(begun)  # nobody goes on in the background
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"{len(kept)} of 12 candidates were evaluated before" in done.stderr
    assert f"{len(kept) + 1} of 12 candidates, about " in done.stderr
    rows = kp.recipes.Population(tmp_path / "store.sqlite", verbose=0).table()
    assert sorted(row["result"] for row in rows) == list(range(12))
    assert all(calls(tmp_path)[x] == begun[x] for x in kept)
    assert len(begun) - len(kept) <= 2


@pytest.mark.thorough
def test_a_script_that_starts_itself_is_stopped(tmp_path):
    done = subprocess.run(
        [sys.executable, str(script(tmp_path, "if True:"))], stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "Put the call below \"if __name__ == '__main__':\"" in done.stderr
    assert "Expected a process that imports the function" in done.stderr
    assert kp.recipes.Population(tmp_path / "store.sqlite", verbose=0).table() == []


def test_functions_that_a_process_cannot_import(tmp_path):
    population = kp.recipes.Population(tmp_path / "s.sqlite", verbose=0)
    with pytest.raises(PruneError, match="no lambda"):
        population.run(lambda x: x, [{"x": 1}])
    with pytest.raises(PruneError, match="package.module:function"):
        population.run("statistics.fmean", [{"data": [1]}])
    with pytest.raises(PruneError, match="ModuleNotFoundError: No module named 'no_such'"):
        population.run("no_such:thing", [{}])
    assert population.table() == []


# ---- what is refused --------------------------------------------------------------------------------------------


def test_candidates_are_checked_before_any_runs(tmp_path):
    bad = [{"x": 1, "folder": "."}, {"z": 1, "folder": "."}, 3, {"x": object(), "folder": "."}, {"x": float("nan")}]
    with pytest.raises(PruneError) as raised:
        serial(tmp_path).run(candidates.noted, bad)
    for words in (
        "candidate 1: Expected the arguments (folder",
        "candidate 2: Expected",
        "candidate 3: ",
        "candidate 4",
    ):
        assert words in str(raised.value)
    assert "candidate 0" not in str(raised.value)
    with pytest.raises(PruneError, match="retries=-1"):
        serial(tmp_path).run(candidates.noted, [], retries=-1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers=0"),
        ({"engine": "locl"}, "Did you mean 'local'"),
        ({"engine": 3}, "local or ray or serial"),
        ({"timeout": -1}, "timeout=-1"),
        ({"threads": 0.5}, "threads=0.5"),
        ({"per_process": 0}, "per_process=0"),
    ],
)
def test_arguments_out_of_range(tmp_path, options, words):
    with pytest.raises(PruneError, match=words):
        kp.recipes.Population(tmp_path / "s.sqlite", **options)


def test_files_that_are_no_store(tmp_path):
    (tmp_path / "text.sqlite").write_text("no database, whatever it is called" * 100)
    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        other.execute("CREATE TABLE mine (x)")
    for name, words in (("text.sqlite", "cannot be read"), ("other.sqlite", "another program"), ("", "a folder")):
        with pytest.raises(PruneError, match=words):
            kp.recipes.Population(tmp_path / name)
    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]


def test_two_at_a_time_are_refused(tmp_path):
    population = serial(tmp_path)
    with claim_store(population._store.path), pytest.raises(PruneError, match="another process"):
        population.run(candidates.noted, [{"folder": str(tmp_path)}])
    population.run(candidates.noted, [{"folder": str(tmp_path)}])
    assert calls(tmp_path) == {0: 1}


def test_the_rest_is_estimated_from_what_was_done(monkeypatch):
    now = iter([0.0, 30.0, 60.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    meter = Meter(10, earlier=3, verbose=0)
    meter.done = 1
    assert str(meter) == "4 of 10 candidates, about 3 min left"  # 30 s each, 6 left
    meter.done, meter.failed = 2, 1
    assert str(meter) == "5 of 10 candidates, 1 failed, about 2 min 30 s left"


def test_a_path_that_is_none_is_said():
    with pytest.raises(kp.PruneError, match="Expected a path. Received: path=None"):
        kp.recipes.Population(None)
